"""Every sentence of the pages has a Czech one, the same on every page, with the same values in it."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

UI = Path(__file__).parents[2] / "isletnet" / "ui"
CATALOGUES = sorted((UI / "locale" / "cs" / "LC_MESSAGES").glob("*.po"))
KEYWORDS = {"_": None, "ngettext": (1, 2)}


def messages() -> list[Message]:
    found: list[Message] = []
    for path in CATALOGUES:
        with path.open("rb") as file:
            found += [message for message in read_po(file, locale="cs") if message.id]
    return found


def key(message_id: str | tuple[str, ...] | list[str]) -> str:
    return message_id if isinstance(message_id, str) else message_id[0]


def values(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def said() -> set[str]:
    """Collect the sentences in the code."""
    found: set[str] = set()
    for path in UI.rglob("*.py"):
        found |= {key(told) for _, told, _, _ in extract_from_file("python", str(path), keywords=KEYWORDS)}
    return found


@pytest.fixture(scope="module")
def czech() -> list[Message]:
    return messages()


def test_each_sentence_is_translated(czech: list[Message]):
    forms = {key(one.id): [one.string] if isinstance(one.string, str) else list(one.string) for one in czech}
    assert sorted(said() - {name for name, texts in forms.items() if all(texts)}) == []


def test_a_sentence_is_the_same_on_every_page(czech: list[Message]):
    forms: dict[str, set[str | tuple[str, ...]]] = {}
    for one in czech:
        forms.setdefault(key(one.id), set()).add(one.string)
    assert {name: texts for name, texts in forms.items() if len(texts) > 1} == {}


def test_values_stay_in_their_sentences(czech: list[Message]):
    wrong = []
    for one in czech:
        wanted = values(key(one.id)) if isinstance(one.id, str) else values(one.id[1])
        texts = [one.string] if isinstance(one.string, str) else one.string
        wrong += [text for text in texts if values(text) != wanted]
    assert wrong == []


def test_counted_things_have_three_forms(czech: list[Message]):
    assert [one.id for one in czech if not isinstance(one.id, str) and len(one.string) != 3] == []
