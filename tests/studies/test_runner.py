"""A study runs strictly: parameters first, in a process of its own, and every run is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from openpyxl import load_workbook
from toys import ToyMaker, wait_for
from typer.testing import CliRunner

from isletnet.cli import app
from isletnet.errors import ParameterError
from isletnet.studies import Study, keep
from isletnet.studies.declaration import checked, find_study, studies_folder, study_names
from isletnet.studies.runner import next_folder, run_study
from isletnet.studies.tables import table_files, tex_table

SIX = (
    "{level: {kind: number, default: 0.95, at_least: 0.5, at_most: 0.999, about: Level.}, "
    "count: {kind: integer, default: 3, at_least: 1, at_most: 9, about: Count.}, "
    "flag: {kind: flag, default: false, about: Flag.}, "
    "word: {kind: text, default: a, about: Word.}, "
    "kinds: {kind: texts, default: [x], choices: [x, y], at_least: 1, about: Kinds.}, "
    "folder: {kind: folder, about: A folder.}}"
)
WRITES = """
import os
from pathlib import Path
import pandas as pd
from isletnet.studies import Study
from isletnet.views.print_style import new_figure, print_style
study = Study.open("good", globals(), studies=Path(word))
study.table(pd.DataFrame({"size_um": [50.0, 1 / 3], "name": ["Žluťoučký", "=1+1"]}), "sizes", caption="Sizes (µm).")
with print_style():
    figure = new_figure(height_mm=40)
    figure.subplots().plot([1, 2, 4])
study.figure(figure, "line", caption="A line.")
study.file("\\n".join(sorted(os.environ)).encode(), "environment.txt")
"""


def test_text_and_typed_values_are_checked_and_completed(make_toy: ToyMaker, tmp_path: Path) -> None:
    study = find_study("six", make_toy("six", parameters=SIX))
    text = {"level": "0.9", "count": "4", "flag": "yes", "kinds": "x, y", "folder": str(tmp_path)}
    typed = {"level": 0.9, "count": 4, "flag": True, "kinds": ["x", "y"], "folder": str(tmp_path)}
    assert checked(study, text, from_text=True) == checked(study, typed) == {**typed, "word": "a"}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"levle": 0.9}, "did you mean level"),
        ({"out": "elsewhere"}, "no such parameter"),
        ({"level = 1; import os #": 0.9}, "no such parameter"),
        ({"level": "0.9"}, "valid number"),
        ({"level": True}, "valid number"),
        ({"level": 1.5}, "less than or equal"),
        ({"level": float("nan")}, "greater than or equal|finite"),
        ({"count": 2.5}, "valid integer"),
        ({"count": 0}, "greater than or equal"),
        ({"flag": 1}, "valid boolean"),
        ({"word": "line\nbreak"}, "pattern"),
        ({"kinds": ["z"]}, "'x' or 'y'"),
        ({"kinds": []}, "at least 1"),
        ({"folder": "/no/such/folder"}, "there is none"),
        ({"folder": ""}, "is needed"),
    ],
)
def test_wrong_parameters_are_refused(make_toy: ToyMaker, tmp_path: Path, values: dict[str, object], told: str) -> None:
    study = find_study("six", make_toy("six", parameters=SIX))
    with pytest.raises(ParameterError, match=told):
        checked(study, {"folder": str(tmp_path), **values})


def test_a_needed_parameter_cannot_be_left_out(make_toy: ToyMaker) -> None:
    with pytest.raises(ParameterError, match=r"folder: is needed. It is: A folder"):
        checked(find_study("six", make_toy("six", parameters=SIX)), {})


@pytest.mark.parametrize(
    "parameters",
    ["{out: {kind: text, about: x}}", "{Level: {kind: text, about: x}}", "{a: {kind: colour, about: x}}", "{a: {}}"],
)
def test_a_declaration_that_is_none_is_refused(make_toy: ToyMaker, parameters: str) -> None:
    folder = make_toy("odd", parameters=parameters)
    with pytest.raises(ParameterError):
        find_study("odd", folder)
    with pytest.raises(ParameterError, match="did you mean odd"):
        find_study("od", folder)


def test_the_command_refuses_before_anything_is_made(make_toy: ToyMaker, tmp_path: Path) -> None:
    toys = make_toy("six", parameters=SIX)
    arguments = ["study", "run", "six", "--studies", str(toys), "--out", str(tmp_path / "runs"), "-p", "level=high"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "level: input should be a valid number" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_run_is_kept_whole_and_again_gives_the_same_bytes(
    make_toy: ToyMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISLETNET_STORE", "s3://secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    given = "{word: {kind: text, about: Folder of studies.}, source: {kind: file, about: An input.}}"
    toys = make_toy("good", WRITES, parameters=given)
    source = tmp_path / "in.csv"
    source.write_text("a\n1\n")
    study = find_study("good", toys)
    values = checked(study, {"word": str(toys), "source": str(source)})
    first, second = (run_study(study, values, next_folder(tmp_path / "runs", "good")) for _ in range(2))
    assert (first.folder.name, second.folder.name) == ("good-1", "good-2")
    run = json.loads((first.folder / keep.RUN_FILE).read_text())
    assert (run["state"], run["study"], first.state) == ("done", "good", "done")
    assert {name for name in run["products"] if not name.startswith("files/")} == {
        *(f"figures/line.{kind}" for kind in ("svg", "pdf", "png")),
        *(f"tables/sizes.{kind}" for kind in ("csv", "xlsx", "tex")),
    }
    assert run["products"] == json.loads((second.folder / keep.RUN_FILE).read_text())["products"]
    assert first.key == second.key
    inputs = json.loads((first.folder / keep.INPUTS_FILE).read_text())
    assert inputs["given"] == {"source": {"in.csv": keep.sha256_of(source)}}
    assert json.loads((first.folder / keep.PARAMETERS_FILE).read_text())["parameters"] == values
    assert json.loads((first.folder / keep.VERSIONS_FILE).read_text())["packages"]["numpy"]
    outputs = [output for cell in _cells(first.folder) for output in cell.get("outputs", [])]
    assert not any(output.output_type == "error" for output in outputs)
    # A notebook that held its figures twice would be twice as large.
    assert [output.data["text/plain"] for output in outputs if "data" in output] == ["Shown()"]
    known = (first.folder / "files" / "environment.txt").read_text().split()
    assert "PATH" in known
    assert not {name for name in known if name.startswith(("ISLETNET", "AWS"))}


def test_a_failed_run_is_kept_with_a_link_to_the_cell(make_toy: ToyMaker, tmp_path: Path) -> None:
    hostile = "'); raise SystemExit #"
    check = f"assert word == {hostile!r}"
    toys = make_toy("bad", check, "1 / 0", parameters="{word: {kind: text, about: Any text.}}")
    arguments = [
        "study",
        "run",
        "bad",
        "--studies",
        str(toys),
        "--out",
        str(tmp_path / "runs"),
        "-p",
        f"word={hostile}",
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    folder = tmp_path / "runs" / "bad-1"
    assert str(folder) in done.stdout
    assert "ZeroDivisionError" in done.stderr
    failure = json.loads((folder / keep.RUN_FILE).read_text())["failure"]
    assert (failure["code"], failure["cell"]) == ("cell_failed", 3)
    file, anchor = failure["link"].split("#")
    cells = _cells(folder)
    marked = [number for number, cell in enumerate(cells) if f'id="{anchor}"' in cell.source]
    assert file == keep.NOTEBOOK_FILE
    assert cells[marked[-1] + 1].source == "1 / 0"


def test_a_killed_kernel_fails_the_run(make_toy: ToyMaker, tmp_path: Path) -> None:
    toys = make_toy("dies", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    run = run_study(find_study("dies", toys), {}, tmp_path / "run")
    assert run.failure is not None
    assert (run.state, run.failure.code) == ("failed", "kernel_died")
    assert json.loads((tmp_path / "run" / keep.RUN_FILE).read_text())["state"] == "failed"


@pytest.mark.slow
def test_a_cell_that_does_not_end_is_stopped(make_toy: ToyMaker, tmp_path: Path) -> None:
    toys = make_toy("endless", "while True:\n    pass")
    run = run_study(find_study("endless", toys), {}, tmp_path / "run", timeout_s=2)
    assert run.failure is not None
    assert run.failure.code == "cell_timeout"


def test_a_run_ends_with_the_program_that_started_it(make_toy: ToyMaker, tmp_path: Path) -> None:
    place = tmp_path / "pid"
    toys = make_toy(
        "waits",
        f"import os, threading\nopen({str(place) + '.part'!r}, 'w').write(str(os.getpid()))\n"
        f"os.rename({str(place) + '.part'!r}, {str(place)!r})\nthreading.Event().wait()",
    )
    arguments = ["study", "run", "waits", "--studies", str(toys), "--out", str(tmp_path / "runs")]
    process = subprocess.Popen([sys.executable, "-m", "isletnet.cli", *arguments], stdout=subprocess.DEVNULL)
    wait_for(place.exists, "the running cell")
    process.kill()
    process.wait()
    kernel = Path("/proc") / place.read_text()
    wait_for(lambda: not kernel.exists() or "Z (zombie)" in (kernel / "status").read_text(), "the end of the kernel")
    assert not (tmp_path / "runs" / "waits-1" / keep.RUN_FILE).exists()


def test_a_folder_in_use_is_left_alone(make_toy: ToyMaker, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(ParameterError, match="new or empty folder"):
        run_study(find_study("idle", make_toy("idle")), {}, tmp_path / "run")


def test_tables_are_the_same_in_every_format_and_run_no_formula() -> None:
    frame = pd.DataFrame(
        {"name": ["=1+1", "50–100 µm"], "value_um": [1 / 3, float("nan")], "n": [1200, -3], "ok": [True, False]}
    )
    files = table_files(frame, name="sizes", caption="Sizes & 100% more")
    assert files == table_files(frame, name="sizes", caption="Sizes & 100% more")
    assert files["csv"].decode().splitlines()[1] == "'=1+1,0.3333333333333333,1200,True"
    tex = tex_table(frame, name="sizes", caption="Sizes & 100% more")
    assert r"\caption{Sizes \& 100\% more}" in tex
    assert r"50--100 \textmu{}m & -- & $-$3 & False \\" in tex
    assert r"=1+1 & 0.3333 & 1200 & True \\" in tex


def test_a_workbook_holds_numbers_as_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": ["=1+1", "b"], "value": [0.25, float("nan")]})
    path = tmp_path / "t.xlsx"
    path.write_bytes(table_files(frame, name="t", caption="A caption")["xlsx"])
    rows = list(load_workbook(path).active.values)
    assert rows[0][0] == "A caption"
    assert rows[2:] == [("name", "value"), ("'=1+1", 0.25), ("b", None)]


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "a b", "<x>"])
def test_products_stay_in_their_folder(make_toy: ToyMaker, tmp_path: Path, name: str) -> None:
    study = Study.open("idle", {"out": str(tmp_path / "run")}, studies=make_toy("idle"))
    with pytest.raises(ParameterError, match="a name of a-z"):
        study.table(pd.DataFrame({"a": [1]}), name, caption="x")
    if "b" not in name or " " in name:
        with pytest.raises(ParameterError):
            study.file(b"x", name)


@pytest.mark.parametrize("name", study_names())
def test_every_study_is_thin_clean_and_declares_what_it_takes(name: str) -> None:
    study = find_study(name)
    cells = nbformat.read(study.notebook, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert len(cells) < 15
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert [cell.metadata.get("tags", []) for cell in code] == [["parameters"], *([[]] * (len(code) - 1))]
    written: dict[str, object] = {}
    exec(code[0].source, written)  # it holds assignments only
    del written["__builtins__"]
    assert set(written) - {"out"} == set(study.parameters)
    for key, one in study.parameters.items():
        assert written[key] == ("" if one.is_needed else one.default), key
        assert one.about


def test_the_commands_list_and_show_the_studies() -> None:
    listed = CliRunner().invoke(app, ["study", "list"])
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(study_names())
    shown = CliRunner().invoke(app, ["study", "show", "correlations"])
    assert "level (number, at least 0.5, at most 0.999, default 0.95)" in shown.stdout
    assert "results (results, needed)" in shown.stdout
    assert CliRunner().invoke(app, ["study", "show", "corelations"]).exit_code == 1
    assert studies_folder().is_dir()


def _cells(folder: Path) -> list[nbformat.NotebookNode]:
    cells: list[nbformat.NotebookNode] = nbformat.read(folder / keep.NOTEBOOK_FILE, as_version=4).cells
    return cells
