"""What the guide to the service says is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isletnet import client
from isletnet.client.calls import error_of
from isletnet.settings import Settings
from serve.keys import SCOPES
from serve.parameters import ImageParameters, RequestParameters
from serve.problems import STATUS_OF_CODE
from serve.refusals import RefusedError
from tests.client.client_script import refusal

GUIDE = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
# What only the library's own doors raise, and never leaves the service.
INNER = {"bad_input", "lease_lost", "clock_jumped"}


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
    found = {one for one in kind.__subclasses__() if one.__module__ in ("serve.problems", "serve.refusals")}
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
