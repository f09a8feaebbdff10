"""The notebooks run from the first cell to the last, in a kernel, against a real service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import papermill
import pytest
from service_in_process import service

from isletnet.client import Client
from tests.client.live import Server

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "notebooks" / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))
MOST_CELLS_N = 15


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that works."""
    folder = tmp_path_factory.mktemp("service")
    made = service(folder / "store", folder / "network")
    running, stopped = Server(lambda: made.app), threading.Event()
    worker = threading.Thread(target=made.work_until, args=(stopped,))
    running.start()
    worker.start()
    yield running
    stopped.set()
    worker.join()
    running.stop()


def cells(name: str) -> list[dict[str, Any]]:
    return json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def run(name: str, folder: Path, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Run a notebook where it stands; gives the outputs of its code cells."""
    done = papermill.execute_notebook(
        str(EXAMPLES / f"{name}.ipynb"),
        str(folder / f"{name}.ipynb"),
        parameters=parameters or {},
        cwd=str(EXAMPLES),
        progress_bar=False,
        execution_timeout=120,
    )
    return [output for cell in done["cells"] for output in cell.get("outputs", ())]


def told(outputs: list[dict[str, Any]]) -> str:
    return "\n".join(output["data"]["text/plain"] for output in outputs if "data" in output)


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_short_and_clean(name: str):
    found = cells(name)
    code = [cell for cell in found if cell["cell_type"] == "code"]
    assert len(found) < MOST_CELLS_N
    assert found[0]["cell_type"] == "markdown"
    assert code[0]["metadata"]["tags"] == ["parameters"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)


def test_there_are_four():
    assert NAMES == ["batch", "own_analysis", "quickstart", "service_client"]


@pytest.mark.browser
def test_quickstart_shows_picture_and_numbers(tmp_path: Path):
    outputs = run("quickstart", tmp_path)
    assert "<svg" in outputs[0]["data"]["text/html"]
    assert "purity by area" in told(outputs)


@pytest.mark.browser
def test_own_analysis_draws(tmp_path: Path):
    outputs = run("own_analysis", tmp_path)
    assert "at 2.0 µm per pixel" in told(outputs)
    assert sum("image/png" in output["data"] for output in outputs) == 2


@pytest.mark.browser
def test_service_client_fetches_files(server: Server, tmp_path: Path):
    outputs = run("service_client", tmp_path, {"service": server.url, "folder": str(tmp_path / "results")})
    assert "IEQ in the whole preparation" in told(outputs)
    assert (tmp_path / "results" / "report.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.browser
def test_batch_run_twice_is_one_request(server: Server, tmp_path: Path):
    for _ in range(2):
        outputs = run("batch", tmp_path, {"service": server.url, "batch": "the batch"})
        assert "done, 0 of 1 images failed" in told(outputs)
    with Client(server.url) as client:
        assert len(client.requests(sample="samples").requests) == 1


@pytest.mark.browser
def test_pages_and_examples_pass_nbval(server: Server, tmp_path: Path):
    sample = str(ROOT / "samples" / "islets.tif")
    given = {
        "service_client": {"service": server.url, "images": [sample], "folder": str(tmp_path / "results")},
        "batch": {"service": server.url, "images": str(ROOT / "samples"), "batch": "by nbval"},
    }
    paths = [
        *sorted(EXAMPLES.parent.glob("*.ipynb")),
        *(EXAMPLES / f"{name}.ipynb" for name in set(NAMES) - set(given)),
    ]
    for name, parameters in given.items():
        paths.append(tmp_path / f"{name}.ipynb")
        papermill.execute_notebook(str(EXAMPLES / f"{name}.ipynb"), str(paths[-1]), parameters, prepare_only=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--quiet",
        "--nbval-lax",
        "--nbval-current-env",
        "-p",
        "no:cacheprovider",
    ]
    environment = {**os.environ, "ISLETNET_PORT": str(server.port)}
    done = subprocess.run([*command, *map(str, paths)], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    cells_n = sum(cell["cell_type"] == "code" for path in paths for cell in json.loads(path.read_text())["cells"])
    assert f"{cells_n} passed" in done.stdout
