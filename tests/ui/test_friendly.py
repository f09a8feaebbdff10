from __future__ import annotations

import logging

import pytest

from isletnet.client import AccessError, ServiceError, UnreachableError
from isletnet.errors import IsletnetError
from isletnet.ui import friendly


def test_an_error_of_the_program_says_nothing_of_its_inside():
    said = friendly.sentence(ValueError("invalid literal 'secret' in /srv/islets.py line 3"))

    assert "secret" not in said
    assert "administrator" in said


def test_a_known_code_has_a_sentence_for_people():
    assert friendly.sentence(UnreachableError("no whole answer from http://10.0.0.7/")).startswith("The service does")
    assert friendly.sentence(AccessError("x", code="unauthorized")).startswith("Sign in")


def test_an_unknown_code_is_told_in_the_service_s_own_words():
    assert friendly.sentence(IsletnetError("the dish is upside down")) == "the dish is upside down"


def test_an_error_of_the_service_names_the_call():
    said = friendly.sentence(ServiceError("boom", code="unexpected", call_id="c0ffee"))

    assert said.endswith("c0ffee")
    assert "boom" not in said


def test_a_warning_shows_its_evidence():
    said = friendly.warning("many_cut_by_border", "...", {"cut_n": 4.0, "islets_n": 11.0})

    assert "4 of 11." in said


def test_a_warning_without_its_evidence_keeps_its_own_words():
    assert friendly.warning("many_cut_by_border", "4 of 11 are cut") == "4 of 11 are cut"
    assert friendly.warning("new_code", "something new") == "something new"


def test_every_warning_of_the_analysis_is_known():
    import re
    from pathlib import Path

    import isletnet

    home = Path(isletnet.__file__).parent
    sources = [*home.glob("analysis/**/*.py"), home / "exports" / "results.py"]
    blocks = [found for path in sources for found in re.findall(r"QualityWarning\(\s*code=\"(\w+)\"", path.read_text())]

    # What stands for a sample that is not pooled is for reports; the page has a sentence of its own.
    assert set(blocks) - set(friendly.warnings()) == {"sample_not_pooled"}
    assert len(blocks) > 10


def test_what_a_callback_raises_becomes_a_sentence(caplog: pytest.LogCaptureFixture):
    told = []

    @friendly.guarded(told.append)
    def press(n: int) -> None:
        raise RuntimeError(f"broken {n}")

    with caplog.at_level(logging.ERROR, logger="isletnet.ui"):
        press(3)

    assert len(told) == 1
    assert "broken" not in told[0]
    assert "broken 3" in caplog.text
