"""A study's cells in this process: what they make, without the seconds that a kernel takes to start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from isletnet.studies.declaration import checked, find_study

MOST_CELLS_N = 15
GOLDEN = Path(__file__).parent / "golden"


def run_cells(name: str, values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run the cells of a study in order; gives their names. Products go into ``folder``."""
    study = find_study(name)
    cells = json.loads(study.notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(cells) < MOST_CELLS_N
    assert code[0]["metadata"]["tags"] == ["parameters"]
    assert not any(cell["outputs"] for cell in code)
    defaults: dict[str, Any] = {}
    exec("".join(code[0]["source"]), defaults)
    # A parameter cell that names others than the declaration would be filled in by nobody.
    assert set(defaults) - {"__builtins__"} == set(study.parameters)
    names: dict[str, Any] = {**checked(study, values), "out": str(folder)}
    for cell in code[1:]:
        exec(compile("".join(cell["source"]), f"{name}.ipynb", "exec"), names)
    return names


def made(folder: Path) -> dict[str, set[str]]:
    """Name the products by their kind, without the suffixes of their formats."""
    rooms = {room: {path.name.split(".")[0] for path in (folder / room).glob("*")} for room in ("figures", "tables")}
    return {**rooms, "files": {path.name for path in (folder / "files").glob("*")}}


def assert_golden(folder: Path, study: str, *tables: str) -> None:
    """Hold the tables of a run against those that are kept; numbers may differ as machines do."""
    for name in tables:
        found, kept = (pd.read_csv(home / f"{name}.csv") for home in (folder / "tables", GOLDEN / study))
        pd.testing.assert_frame_equal(found, kept, rtol=1e-6, atol=1e-9, obj=f"{study}/{name}")
