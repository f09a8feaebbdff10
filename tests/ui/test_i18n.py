from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

from isletnet.ui import friendly, i18n, words
from isletnet.ui.i18n import _, language, ngettext, number, percent, set_language, when

UI = Path(i18n.__file__).parent
OWN_ROOMS = ("analyse", "bits", "follow", "friendly", "intake", "result_tables", "results", "words")


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    set_language("en")


def fields_of(text: str) -> set[str]:
    return {name for _literal, name, _spec, _conversion in Formatter().parse(text) if name}


def czech() -> dict[str, str]:
    found = {}
    for path in (UI / "locale" / "cs" / "LC_MESSAGES").glob("*.po"):
        for message in read_po(path.open("rb"), locale="cs"):
            if message.id:
                ids = message.id if isinstance(message.id, tuple) else (message.id,)
                texts = message.string if isinstance(message.string, tuple) else (message.string,)
                found[ids[0]] = texts
    return found


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


@pytest.mark.parametrize("room", OWN_ROOMS)
def test_every_sentence_of_a_room_has_its_czech(room: str):
    known = czech()
    found = extract_from_file("python", str(UI / f"{room}.py"), keywords={"_": None, "ngettext": (1, 2)})
    ids = {message[0] if isinstance(message, tuple) else message for _line, message, _comments, _context in found}

    assert {text for text in ids if not all(known.get(text) or ("",))} == set()


def test_czech_sentences_have_the_fields_of_the_english_ones():
    wrong = {text: texts for text, texts in czech().items() if any(fields_of(one) != fields_of(text) for one in texts)}

    assert wrong == {}


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
    for path in (UI / "js").glob("*.js"):
        shown = re.findall(r"textContent\s*[:=]\s*[\"'`]([^\"'`$]*)[\"'`]", path.read_text())
        assert [text for text in shown if re.search(r"[a-z]{3,} [a-z]{2,}", text)] == [], path.name
