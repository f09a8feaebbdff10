"""Studies in real kernels: what was kept comes out again cell by cell, and a form runs one from a notebook."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from isletnet.studies import keep
from isletnet.studies.declaration import checked, find_study
from isletnet.studies.runner import run_study

FORM = (
    """
from isletnet.ui.study_form import study_form
form = study_form("sampling", out=out)
form
""",
    """
import threading
form.fields["draws"].value = 20
form.fields["level"].value = 0.9
form.run_button.click()
pause = threading.Event()
while form.run_button.disabled:
    pause.wait(0.1)
""",
    """
print(form.last.state, form.last.folder)
print(form.told.value.count("<figure>"), "figures")
""",
)


def compare(notebook: Path) -> subprocess.CompletedProcess[str]:
    """Run a kept notebook again by nbval, which compares every output with the kept one."""
    bare = ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(notebook.parent)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", "--nbval", "--nbval-cell-timeout=600", *bare, notebook.name],
        cwd=notebook.parent,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("correlations", {"reference": "truth.csv", "resamples": 200}),
        ("error_visualisation", {"truth": ""}),
        ("sampling", {"draws": 100}),
    ],
)
def test_a_kept_run_gives_the_same_again_in_every_cell(
    name: str, values: dict[str, object], results: Path, drawn: Path, tmp_path: Path
) -> None:
    study = find_study(name)
    # Paths below the drawn micrographs.
    places = {key: str(drawn / str(value)) for key, value in values.items() if key in ("reference", "truth")}
    run = run_study(study, checked(study, {**values, **places, "results": str(results)}), tmp_path / "run")
    assert run.failure is None
    kept = run.folder / keep.NOTEBOOK_FILE
    first = compare(kept)
    assert first.returncode == 0, first.stdout[-3000:]
    told = nbformat.read(kept, as_version=4)
    shown = [
        output for cell in told.cells for output in cell.get("outputs", []) if "text/html" in output.get("data", {})
    ]
    assert len(shown) > 3
    # One digit of a table is another.
    shown[0].data["text/html"] = shown[0].data["text/html"].replace("1", "2", 1)
    nbformat.write(told, kept)
    assert compare(kept).returncode == 1


@pytest.mark.browser
def test_a_form_runs_a_study_from_a_notebook(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell(cell) for cell in (f"out = {str(tmp_path / 'runs')!r}", *FORM)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=600, startup_timeout=300, kernel_name="python3").execute()
    assert "application/vnd.jupyter.widget-view+json" in cells[1].outputs[0].data
    assert cells[3].outputs[0].text.splitlines() == [f"done {tmp_path / 'runs' / 'sampling-1'}", "3 figures"]
    parameters = keep.read_json(tmp_path / "runs" / "sampling-1" / keep.PARAMETERS_FILE)["parameters"]
    assert (parameters["draws"], parameters["level"]) == (20, 0.9)
