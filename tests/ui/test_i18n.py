from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from isletnet.ui import friendly
from isletnet.ui.i18n import _, language, ngettext, number, percent, set_language, when
from isletnet.ui.request import words


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    set_language("en")


def test_a_sentence_is_translated_and_filled_in():
    set_language("cs")

    assert _("Sent: {done} of {n}", done=2, n=5) == "Odesláno: 2 z 5"


@pytest.mark.parametrize(("n", "text"), [(1, "1 snímek"), (3, "3 snímky"), (5, "5 snímků"), (0, "0 snímků")])
def test_czech_has_three_plurals(n: int, text: str):
    set_language("cs")

    assert ngettext("{n} image", "{n} images", n) == text


def test_an_unknown_language_is_english():
    assert set_language("xx") == "en"
    assert language() == "en"
    assert _("Sign in") == "Sign in"


def test_numbers_are_written_as_people_of_the_language_do():
    assert [number(1234.5), number(12.34), number(3.0), number(0.12345), number(None)] == [
        "1,234",
        "12.3",
        "3",
        "0.123",
        "–",
    ]
    assert percent(0.1234, 1) == "12.3\u00a0%"
    set_language("cs")
    assert (number(12345.6), percent(0.1234, 1)) == ("12\u00a0346", "12,3\u00a0%")


def test_a_moment_is_written_in_the_language():
    moment = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
    assert "Mar" in when(moment)
    set_language("cs")
    assert "2026" in when(moment)
    assert "Mar" not in when(moment)


def test_every_warning_and_problem_has_a_czech_sentence_of_its_own():
    set_language("en")
    english = [*friendly.problems().values(), *friendly.warnings().values()]
    set_language("cs")
    translated = [*friendly.problems().values(), *friendly.warnings().values()]

    assert all(one != other for one, other in zip(english, translated, strict=True))


def test_every_volume_method_has_a_name():
    from isletnet.schemas import IEQ_METHODS

    assert all(words.method_name(method) != method for method in IEQ_METHODS)


def test_no_sentence_of_javascript_is_written_there():
    """Words come from Python, translated; what is left in a script is names, marks and units."""
    for path in (Path(friendly.__file__).parent / "js").glob("*.js"):
        shown = re.findall(r"textContent\s*[:=]\s*[\"'`]([^\"'`$]*)[\"'`]", path.read_text())
        assert [text for text in shown if re.search(r"[a-z]{3,} [a-z]{2,}", text)] == [], path.name
