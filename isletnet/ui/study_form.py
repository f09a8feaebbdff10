"""A study's parameters as a form in JupyterLab: change them, run it, look at what came out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from isletnet.errors import IsletnetError
from isletnet.studies import keep
from isletnet.studies.declaration import Declaration, Parameter, checked, find_study
from isletnet.studies.runner import Run, next_folder, run_study
from isletnet.studies.shown import shown_figure

Start = Callable[[Callable[[], None]], object]

# A long text beside a field must not make it narrower.
_WIDE = {"layout": {"width": "34em", "flex": "0 0 auto"}, "style": {"description_width": "12em"}}
_MOST_FIGURES_N = 12


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="study", daemon=True).start()


class StudyForm:
    """The form of one study; shows itself as the last line of a cell.

    ``fields`` maps the parameters' names to their widgets, ``run_button`` runs the study, ``told`` says how it went and
    ``last`` is the last run.

    Parameters
    ----------
    name
        Of the study.
    out
        Folder that gets a new folder for each run.
    studies
        Folder of own studies; None takes the installed ones.
    start
        Does the work; by default in a thread, so that the notebook stays free.
    """

    def __init__(
        self, name: str, *, out: str | Path = "runs", studies: Path | None = None, start: Start = _in_thread
    ) -> None:
        self.study = find_study(name, studies)
        self.fields = {key: _field(key, one) for key, one in self.study.parameters.items()}
        self.run_button = widgets.Button(description="Run", button_style="primary", icon="play")
        self.told = widgets.HTML()
        self.last: Run | None = None
        self._out = Path(out)
        self._start = start
        self.run_button.on_click(lambda _: self._run())
        self.widget = widgets.VBox([_head(self.study), *self._rows(), self.run_button, self.told])

    def _repr_mimebundle_(self, **chosen: Any) -> Any:
        return self.widget._repr_mimebundle_(**chosen)

    def values(self) -> dict[str, Any]:
        """Give the values in the fields, checked; raises ``ParameterError``."""
        found = {key: _value(one, self.fields[key]) for key, one in self.study.parameters.items()}
        # An empty field of a needed parameter is one that was not given.
        return checked(self.study, {key: value for key, value in found.items() if value is not None})

    def _rows(self) -> list[widgets.Widget]:
        about = {key: widgets.HTML(f"<small>{escape(one.about)}</small>") for key, one in self.study.parameters.items()}
        return [widgets.HBox([field, about[key]]) for key, field in self.fields.items()]

    def _run(self) -> None:
        try:
            values = self.values()
            folder = next_folder(self._out, self.study.name)
        except IsletnetError as error:
            self.told.value = f'<b style="color:#b00020">{escape(str(error))}</b>'
            return
        self.run_button.disabled = True
        self.told.value = f"Running in {escape(str(folder))} …"
        self._start(lambda: self._work(values, folder))

    def _work(self, values: dict[str, Any], folder: Path) -> None:
        try:
            self.last = run_study(self.study, values, folder)
            self.told.value = _ending(self.last)
        except IsletnetError as error:
            self.told.value = f'<b style="color:#b00020">{escape(str(error))}</b>'
        finally:
            self.run_button.disabled = False


def study_form(name: str, *, out: str | Path = "runs") -> StudyForm:
    """Show the form of a study, such as ``study_form("correlations")``."""
    return StudyForm(name, out=out)


def _head(study: Declaration) -> widgets.HTML:
    return widgets.HTML(f"<h3>{escape(study.title)}</h3><p>{escape(study.about)}</p>")


def _field(key: str, one: Parameter) -> widgets.Widget:
    common = {"description": key.replace("_", " "), **_WIDE}
    if one.kind == "flag":
        return widgets.Checkbox(value=bool(one.default), indent=True, **common)
    if one.kind == "number":
        return widgets.FloatText(value=one.default or 0.0, **common)
    if one.kind == "integer":
        return widgets.IntText(value=one.default or 0, **common)
    if one.kind == "texts" and one.choices:
        return widgets.SelectMultiple(options=one.choices, value=tuple(_list(one.default)), rows=5, **common)
    if one.choices:
        return widgets.Dropdown(options=one.choices, value=one.default or one.choices[0], **common)
    shown = ", ".join(_list(one.default)) if one.kind == "texts" else str(one.default or "")
    return widgets.Text(value=shown, placeholder="needed" if one.is_needed else "", continuous_update=False, **common)


def _value(one: Parameter, field: widgets.Widget) -> Any:
    if one.kind == "texts":
        chosen = field.value if one.choices else (part.strip() for part in field.value.split(","))
        return [part for part in chosen if part]
    value = field.value
    return None if value == "" and one.is_needed else value


def _list(value: object) -> list[str]:
    return [str(part) for part in value] if isinstance(value, list) else []


def _ending(run: Run) -> str:
    if run.failure is not None:
        where = f" (cell {run.failure.cell})" if run.failure.cell else ""
        return f'<b style="color:#b00020">Failed{where}: {escape(run.failure.message)}</b><br>{escape(str(run.folder))}'
    captions = {entry["product"]: entry["caption"] for entry in keep.read_json(run.folder / keep.CAPTIONS_FILE) or []}
    pictures = sorted((run.folder / keep.FIGURES).glob("*.png"))[:_MOST_FIGURES_N]
    shown = "".join(_figure(path, captions.get(f"{keep.FIGURES}/{path.stem}", "")) for path in pictures)
    return f"<p>Done in {run.seconds:.0f} s: <code>{escape(str(run.folder))}</code></p>{shown}"


def _figure(path: Path, caption: str) -> str:
    return shown_figure(path.read_bytes(), caption).html
