"""A pipeline runs what is not done, side by side, and goes on where it was stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_results import drawn_labels, made_result
from toys import ToyMaker, wait_for
from typer.testing import CliRunner

from isletnet.cli import app
from isletnet.errors import ParameterError
from isletnet.exports.folder import write_image
from isletnet.studies import keep, steps
from isletnet.studies.declaration import Declaration, studies_folder
from isletnet.studies.failure import Failure
from isletnet.studies.inputs.sources import read_results
from isletnet.studies.pipeline import PipelineRun, check_inputs, in_order, read_pipeline, run_pipeline
from isletnet.studies.runner import Run

HEAD = (
    "title: T\nabout: A.\n"
    "inputs: {word: {kind: text, default: a, about: W.}, more: {kind: text, default: '', about: M.}}\n"
)
DIAMOND = (
    HEAD
    + """
steps:
  last: {study: toy, needs: [left, right], parameters: {before: "${left}"}}
  left: {study: toy, needs: [first], parameters: {before: "${first}", word: "${word}"}}
  right: {study: toy, needs: [first], parameters: {before: "${first}", word: "fails"}}
  first: {study: toy}
  extra: {study: toy, when: more}
"""
)
TOY = "{before: {kind: folder, default: '', about: B.}, word: {kind: text, default: x, about: W.}}"

Runner = Callable[..., PipelineRun]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs of studies, without their notebooks: the steps that started, in order."""
    names: list[str] = []

    def run(study: Declaration, values: dict[str, Any], folder: Path) -> Run:
        names.append(folder.name)
        failure = Failure(code="cell_failed", message="no", cell=2, link="executed.ipynb#x")
        key = steps.run_key(study, values, steps.input_hashes(study, values))
        fails = values["word"] == "fails"
        (folder / "files").mkdir(parents=True)
        (folder / "files" / "product").write_text(values["word"])
        state = "failed" if fails else "done"
        keep.write_json(folder / keep.RUN_FILE, {"state": state, "key": key})
        return Run(study=study.name, folder=folder, state=state, key=key, seconds=0, failure=failure if fails else None)

    monkeypatch.setattr(steps, "run_study", run)
    return names


@pytest.fixture
def run_text(make_toy: ToyMaker, tmp_path: Path) -> Runner:
    """Run a pipeline that is given as text."""
    toys = make_toy("toy", parameters=TOY)

    def run(text: str, **inputs: object) -> PipelineRun:
        file = tmp_path / "pipeline.yaml"
        file.write_text(text)
        pipeline = read_pipeline(file)
        with ThreadPoolExecutor(2) as executor:
            return run_pipeline(
                pipeline, check_inputs(pipeline, inputs), tmp_path / "out", executor=executor, studies=toys
            )

    return run


def test_steps_come_after_those_they_need_and_a_failure_stops_only_those(
    run_text: Runner, started: list[str], tmp_path: Path
) -> None:
    done = run_text(DIAMOND)
    assert done.states == {
        "last": "not_run",
        "left": "done",
        "right": "failed",
        "first": "done",
        "extra": "left_out",
    }
    assert not done.is_whole
    assert started[0] == "first"
    assert sorted(started[1:]) == ["left", "right"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert 'href="right/executed.ipynb#x"' in page
    state = json.loads((tmp_path / "out" / "pipeline.json").read_text())
    assert [step["state"] for step in state["steps"]] == list(done.states.values())


def test_only_what_changed_is_done_again_and_earlier_runs_are_kept(
    run_text: Runner, started: list[str], tmp_path: Path
) -> None:
    text = DIAMOND.replace('"fails"', '"fine"')
    assert run_text(text).is_whole
    assert len(started) == 4
    assert set(run_text(text).states.values()) == {"skipped", "left_out"}
    assert len(started) == 4
    again = run_text(text, word="b")
    assert again.states["left"] == "done"
    assert (again.states["first"], again.states["right"]) == ("skipped", "skipped")
    # What the last step read has changed with it.
    assert again.states["last"] == "done"
    assert (tmp_path / "out" / "earlier" / "left-1" / "left" / "files" / "product").read_text() == "a"
    assert (tmp_path / "out" / "left" / "files" / "product").read_text() == "b"


def test_a_failed_step_is_tried_again(run_text: Runner, started: list[str]) -> None:
    run_text(DIAMOND)
    again = run_text(DIAMOND.replace('"fails"', '"fine"'))
    assert (again.states["first"], again.states["right"], again.states["last"]) == ("skipped", "done", "done")


def test_wrong_parameters_are_told_before_anything_runs(run_text: Runner, started: list[str], tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="did you mean word"):
        run_text(DIAMOND.replace('word: "fails"', 'wort: "fails"'))
    with pytest.raises(ParameterError, match="valid string"):
        run_text(DIAMOND.replace('word: "fails"', "word: 3"))
    with pytest.raises(ParameterError, match="no such parameter"):
        run_text(DIAMOND, wort="a")
    assert started == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("steps_text", "told"),
    [
        ("a: {study: toy, needs: [b]}\n  b: {study: toy, needs: [a]}", "circle"),
        ("a: {study: toy, needs: [c]}", "no such step"),
        ("a: {study: toy}\n  b: {study: toy, parameters: {before: '${a}'}}", "is not needed"),
        ("a: {study: toy, analyse: x}", "either"),
        ("a: {needs: []}", "either"),
        ("word: {study: toy}", "cannot name a step"),
        ("a: {study: toy, when: never}", "there is none"),
        ("a: {study: toy, colour: red}", "Extra inputs"),
    ],
)
def test_a_pipeline_that_cannot_run_is_refused(tmp_path: Path, steps_text: str, told: str) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(f"{HEAD}steps:\n  {steps_text}\n")
    with pytest.raises(ParameterError, match=told):
        read_pipeline(file)


def test_an_analysis_takes_known_options_only(run_text: Runner) -> None:
    with pytest.raises(ParameterError, match="an analysis takes border"):
        run_text(f"{HEAD}steps:\n  a: {{analyse: /tmp, parameters: {{out: /etc}}}}\n")


def test_results_of_images_that_are_gone_are_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in "abc":
        (images / f"{name}.png").write_bytes(name.encode())

    def analyse(order: dict[str, Any], folder: Path, *, longest_s: int) -> None:
        for path in images.iterdir():
            result = made_result(drawn_labels(), np.zeros((240, 320, 3), np.uint8), name=path.name)
            known = replace(result.provenance, image_sha256=keep.sha256_of(path))
            write_image(replace(result, provenance=known), folder / path.stem)

    monkeypatch.setattr(steps, "spawn", analyse)
    order = steps.StepOrder(name="results", folder=tmp_path / "out" / "results", study=None, images=str(images))
    assert steps.run_step(order).state == "done"
    # One is gone, and one has another name.
    (images / "a.png").unlink()
    (images / "b.png").rename(images / "d.png")
    assert steps.run_step(order).state == "done"
    assert [one.name for one in read_results(order.folder).images] == ["c.png", "d.png"]
    aside = tmp_path / "out" / "earlier" / "results-1"
    assert sorted(path.name for path in aside.iterdir()) == ["a", "b"]
    assert steps.run_step(order).state == "skipped"


def test_the_pipeline_of_a_publication_can_run(tmp_path: Path) -> None:
    pipeline = read_pipeline(studies_folder() / "pipeline.yaml")
    truth = tmp_path / "truth.csv"
    truth.write_text("image,ieq\na,1\n")
    inputs = check_inputs(pipeline, {"images": str(tmp_path), "truth": str(truth), "annotations": str(tmp_path)})
    assert in_order(pipeline)[0] == "results"

    class Refusing(ThreadPoolExecutor):
        def submit(self, *args: object, **kwargs: object) -> Any:
            raise RuntimeError("all steps are checked")

    with pytest.raises(RuntimeError, match="all steps are checked"), Refusing(1) as executor:
        run_pipeline(pipeline, inputs, tmp_path / "out", executor=executor)


def test_a_killed_pipeline_goes_on_where_it_was(make_toy: ToyMaker, tmp_path: Path) -> None:
    go, pid = tmp_path / "go", tmp_path / "pid"
    waits = (
        f"import os, threading\nfrom pathlib import Path\nPath({str(pid)!r}).write_text(str(os.getpid()) + '.')\n"
        f"pause = threading.Event()\nwhile not Path({str(go)!r}).exists():\n    pause.wait(0.05)"
    )
    toys = make_toy("quick", "1 + 1")
    make_toy("waits", waits, parameters="{before: {kind: folder, about: B.}}")
    file = tmp_path / "pipeline.yaml"
    file.write_text(
        f"{HEAD}steps:\n  one: {{study: quick}}\n"
        '  two: {study: waits, needs: [one], parameters: {before: "${one}"}}\n'
    )
    out = tmp_path / "out"
    arguments = ["study", "pipeline", str(file), "--studies", str(toys), "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "isletnet.cli", *arguments], stdout=subprocess.DEVNULL)
    wait_for(lambda: pid.exists() and pid.read_text().endswith("."), "the second step")
    busy = CliRunner().invoke(app, arguments)
    assert busy.exit_code == 1
    assert "another run of a pipeline works there" in busy.stderr
    process.kill()
    process.wait()
    kernel = Path("/proc") / pid.read_text().rstrip(".")
    wait_for(lambda: not kernel.exists() or "Z (zombie)" in (kernel / "status").read_text(), "the end of the kernel")
    first = (out / "one" / keep.RUN_FILE).read_bytes()
    assert not (out / "two" / keep.RUN_FILE).exists()
    go.touch()
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "one: skipped" in done.stdout
    assert "two: done" in done.stdout
    assert (out / "one" / keep.RUN_FILE).read_bytes() == first
    assert json.loads((out / "two" / keep.RUN_FILE).read_text())["state"] == "done"
    assert (out / "earlier" / "two-1" / "two" / keep.PARAMETERS_FILE).exists()


@pytest.mark.slow
def test_a_publication_from_images_and_truth_with_one_command(drawn: Path, tmp_path: Path) -> None:
    arguments = ["study", "pipeline", "--images", str(drawn / "images"), "--truth", str(drawn / "truth.csv")]
    arguments += ["--out", str(tmp_path), "-p", f"annotations={drawn}", "-p", "scenes=1"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "index.html").read_text()
    for step in json.loads((tmp_path / "pipeline.json").read_text())["steps"]:
        assert step["state"] == "done"
        if step["step"] != "results":
            for product in json.loads((tmp_path / step["step"] / keep.CAPTIONS_FILE).read_text()):
                assert f"{step['step']}/{product['product']}" in page
    again = CliRunner().invoke(app, arguments)
    assert again.stdout.count(": skipped in") == again.stdout.count(" in ") == 8


@pytest.mark.slow
def test_steps_run_on_ray(make_toy: ToyMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    toys = make_toy("quick", "1 + 1")
    file = tmp_path / "pipeline.yaml"
    file.write_text(f"{HEAD}steps:\n  one: {{study: quick}}\n  two: {{study: quick, needs: [one]}}\n")
    arguments = ["study", "pipeline", str(file), "--studies", str(toys), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*arguments, "--ray", "local"])
    assert done.exit_code == 0, done.output
    assert "two: done" in done.stdout
