"""The form of a study in JupyterLab, driven as a person drives it."""

from __future__ import annotations

from pathlib import Path

import ipywidgets as widgets
import pytest
from toys import ToyMaker

from isletnet.studies.declaration import Declaration, study_names
from isletnet.studies.failure import Failure
from isletnet.studies.runner import Run
from isletnet.ui import study_form
from isletnet.ui.study_form import StudyForm

PARAMETERS = (
    "{level: {kind: number, default: 0.95, at_most: 0.999, about: Level.}, "
    "kinds: {kind: texts, default: [x], choices: [x, y], about: Kinds.}, "
    "words: {kind: texts, default: [a, b], about: Words.}, "
    "flag: {kind: flag, default: true, about: Flag.}, "
    "folder: {kind: folder, about: A <folder>.}}"
)


@pytest.fixture
def form(make_toy: ToyMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyForm:
    def run(study: Declaration, values: dict[str, object], folder: Path) -> Run:
        failure = Failure(code="cell_failed", message="no <luck>", cell=3) if values["level"] == 0.5 else None
        return Run(
            study=study.name,
            folder=folder,
            state="failed" if failure else "done",
            key="",
            seconds=2.0,
            failure=failure,
        )

    monkeypatch.setattr(study_form, "run_study", run)
    toys = make_toy("toy", parameters=PARAMETERS)
    return StudyForm("toy", out=tmp_path / "runs", studies=toys, start=lambda work: work())


def test_fields_hold_the_defaults_and_give_typed_values(form: StudyForm, tmp_path: Path) -> None:
    form.fields["folder"].value = str(tmp_path)
    defaults = {"level": 0.95, "kinds": ["x"], "words": ["a", "b"], "flag": True, "folder": str(tmp_path)}
    assert form.values() == defaults
    form.fields["kinds"].value = ("x", "y")
    form.fields["words"].value = "c , d,"
    form.fields["flag"].value = False
    assert form.values() == {**defaults, "kinds": ["x", "y"], "words": ["c", "d"], "flag": False}


def test_what_is_wrong_is_said_and_nothing_runs(form: StudyForm, tmp_path: Path) -> None:
    form.run_button.click()
    assert "folder: is needed" in form.told.value
    assert "&lt;folder&gt;" in form.told.value
    form.fields["folder"].value = str(tmp_path)
    form.fields["level"].value = 2.0
    form.run_button.click()
    assert "less than or equal" in form.told.value
    assert form.last is None
    assert not (tmp_path / "runs").exists()


def test_a_run_and_a_failure_are_told(form: StudyForm, tmp_path: Path) -> None:
    form.fields["folder"].value = str(tmp_path)
    form.run_button.click()
    assert "Done in 2 s" in form.told.value
    assert "toy-1" in form.told.value
    form.fields["level"].value = 0.5
    form.run_button.click()
    assert "Failed (cell 3): no &lt;luck&gt;" in form.told.value
    assert not form.run_button.disabled


@pytest.mark.parametrize("name", study_names())
def test_every_study_has_a_form(name: str) -> None:
    form = study_form.study_form(name)
    assert set(form.fields) == set(form.study.parameters)
    assert isinstance(form.widget, widgets.VBox)
