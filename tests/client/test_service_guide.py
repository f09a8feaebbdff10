"""What the guide to the service says is so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from service_in_process import Service

from isletnet import client
from isletnet.client.calls import error_of
from isletnet.settings import Settings
from serve.access.keys import SCOPES
from serve.access.refusals import RefusedError
from serve.doors.problems import STATUS_OF_CODE
from serve.routes.results import ImageFile, WholeFile
from serve.work.parameters import ImageParameters, RequestParameters
from tests.client.client_script import refusal
from tests.client.live import Server

GUIDE = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
# What only the library's own doors raise, and never leaves the service.
INNER = {"bad_input", "lease_lost", "clock_jumped", "broken_off"}


ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path, work: Callable[[], None]) -> Path:
    """A folder with the samples, while the service works."""
    shutil.copytree(ROOT / "samples", tmp_path / "here" / "samples")
    work()
    return tmp_path / "here"


def test_every_command_runs(server: Server, made: Service, folder: Path):
    script = "\n".join(["set -euo pipefail", *blocks("bash")]).replace(ADDRESS, server.url)
    printed = run(["bash", "-c", script], folder)
    assert float(printed.splitlines()[0]) > 0
    assert re.search(r"done$", printed, flags=re.MULTILINE)
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    assert zipfile.ZipFile(folder / "archive.zip").testzip() is None
    with client.Client(server.url) as ours:
        newest, first = ours.requests().requests
        assert (newest.parameters, first.parameters["sample_name"]) == ({"um_per_px": 2.0}, "Donor 12")
        assert first.version == 1
        assert ours.request(first.request_id).status.images[0].training


def test_the_python_example_runs(server: Server, folder: Path):
    for block in blocks("python"):
        printed = run([sys.executable, "-c", block.replace(ADDRESS, server.url)], folder)
        assert "send 100%" in printed
        assert "done []" in printed
        assert "Donor 12" in printed
    assert (folder / "out" / "report.pdf").is_file()
    assert list((folder / "out").rglob("overlay.png"))


def test_every_address_is_told(made: Service):
    spec = made.app.openapi()["paths"]
    offered = {(method.upper(), _nameless(path)) for path, methods in spec.items() for method in methods}
    cells = [codes(row[0]) for row in rows("All addresses")]
    told = {(call.split()[0], _nameless(call.split()[1])) for cell in cells for call in cell}
    # The files of a request have one row.
    names = {("GET", f"/api/requests/{{}}/{file}") for file in ("archive.zip", "islets.csv")}
    names.add(("GET", "/api/requests/{}/images/{}/original"))
    assert names <= offered
    assert offered - names == told


def test_every_file_is_told():
    told = {
        _nameless(codes(row[0])[0].split()[1]): set(codes(row[1]))
        for row in rows("All addresses")
        if "{file}" in row[0]
    }
    images = told["/api/requests/{}/images/{}/{}"]
    assert images == {*get_args(ImageFile), "original"}
    assert told["/api/requests/{}/{}"] == {*get_args(WholeFile), "islets.csv", "archive.zip"}


def _nameless(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def rows(heading: str) -> list[list[str]]:
    section = re.split(r"^#+ ", GUIDE.split(f" {heading}\n", 1)[1], flags=re.MULTILINE)[0]
    lines = re.findall(r"^\| (.*) \|$", section, flags=re.MULTILINE)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines[2:]]


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_code_is_told_with_its_status_and_its_exception():
    told = {(int(row[0]), codes(row[1])[0]): codes(row[4])[0] for row in rows("Errors")}
    refused = {(kind.status, kind.code) for kind in _all_kinds(RefusedError)}
    given = {(status, code) for code, status in STATUS_OF_CODE.items() if code not in INNER}
    own = {(404, "not_found"), (405, "method_not_allowed"), (500, "unexpected")}
    assert set(told) == refused | given | own
    for (status, code), name in told.items():
        assert type(error_of(refusal(status, code))).__name__ == name
        assert name in client.__all__


def _all_kinds(kind: type[RefusedError]) -> set[type[RefusedError]]:
    found = {
        one for one in kind.__subclasses__() if one.__module__ in ("serve.doors.problems", "serve.access.refusals")
    }
    return found.union(*map(_all_kinds, found))


def test_every_parameter_is_told():
    told = [name for row in rows("Parameters") for name in codes(row[0])]
    assert set(told) == set(RequestParameters.model_fields) - {"images"}
    assert len(told) == len(set(told))
    shared = {name for row in rows("Parameters") if "whole request" in row[1] for name in codes(row[0])}
    assert shared | {"consent_text"} == set(RequestParameters.model_fields) - set(ImageParameters.model_fields) - {
        "images"
    }


def test_limits_and_ages_are_those_of_the_settings():
    defaults = {f"ISLETNET_{name.upper()}": field.default for name, field in Settings.model_fields.items()}
    limits = {codes(row[2])[0]: float(row[1].split()[0]) for row in rows("Limits")}
    assert limits == {name: defaults[name] for name in limits}
    assert {name for name in defaults if name.startswith("ISLETNET_MAX_")} == set(limits)
    assert _ages() == {name: default for name, default in defaults.items() if name.endswith("_DAYS")}


def _ages() -> dict[str, float]:
    section = GUIDE.split("## How long things are kept\n")[1].split("\n## ")[0]
    found: dict[str, float] = {}
    days = None
    for number, name in re.findall(r"(\d+) days?|`(ISLETNET_\w+_DAYS)`", section):
        days = float(number) if number else days
        if name and days is not None:
            found[name] = days
    return found


def test_every_scope_is_told():
    assert [codes(row[0])[0] for row in rows("Keys")] == list(SCOPES)


# Other languages have clients and requests of their own.
PYTHON = re.sub(r"^```(?:js|kotlin|swift)\n.*?^```$", "", GUIDE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b(?:client|request)\.(\w+)\(", PYTHON))))
def test_every_method_that_is_named_exists(name: str):
    assert hasattr(client.Client, name) or hasattr(client.Request, name)
