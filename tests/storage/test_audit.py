"""The chain of what was done."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from isletnet.storage import audit
from tests.storage.actors import MORNING
from tests.storage.store_contract import MemoryStore


def note(store: MemoryStore, number: int = 0, **more: object) -> audit.Entry:
    return audit.append(store, kind="note", actor="ann", now=MORNING, details={"number": number}, **more)


def change(store: MemoryStore, key: str, content: bytes) -> None:
    store.delete(key)
    store.create(key, content)


@pytest.mark.parametrize("entries_n", [0, 1, 2, 3, 4, 7, 8, 9, 33])
def test_the_last_entry_is_found(store: MemoryStore, entries_n: int):
    for number in range(entries_n):
        assert note(store, number).number == number + 1
    assert audit.head(store) == entries_n
    assert [entry.details["number"] for entry in audit.entries(store)] == list(range(entries_n))
    assert list(audit.broken_links(store)) == []


def test_each_entry_has_the_hash_of_the_one_before(store: MemoryStore):
    for number in range(3):
        note(store, number)
    previous = b""
    for number in range(1, 4):
        content = store.read(f"audit/{number:012d}.json")
        assert json.loads(content)["previous_sha256"] == hashlib.sha256(previous).hexdigest()
        previous = content


def test_entries_that_come_together_all_find_their_place(store: MemoryStore):
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: note(store, number), range(100)))
    assert sorted(entry.details["number"] for entry in audit.entries(store)) == list(range(100))
    assert list(audit.broken_links(store)) == []


def test_what_has_a_token_is_told_once_however_many_tell_it(store: MemoryStore):
    note(store)
    with ThreadPoolExecutor(16) as pool:
        told = set(pool.map(lambda _: note(store, token="x/1", since=1).number, range(32)))
    assert len(told) == 1
    assert audit.head(store) == 2
    assert note(store, token="x/2", since=1).number == 3


@pytest.mark.parametrize("number", [1, 3, 5])
def test_an_edited_entry_is_found(store: MemoryStore, number: int):
    for value in range(5):
        note(store, value)
    key = f"audit/{number:012d}.json"
    change(store, key, store.read(key).replace(b"ann", b"eve"))
    broken = dict(audit.broken_links(store))
    # The last one has none after it that would tell; the note kept elsewhere does.
    assert broken == ({} if number == 5 else {f"audit/{number + 1:012d}.json": "the entry before it was changed"})


def test_a_removed_a_damaged_and_a_forged_entry_are_found(store: MemoryStore):
    for value in range(6):
        note(store, value)
    store.delete("audit/000000000002.json")
    change(store, "audit/000000000004.json", b"{}")
    store.create("audit/000000000099.json", store.read("audit/000000000006.json"))
    assert {key for key, _ in audit.broken_links(store)} == {
        "audit/000000000003.json",
        "audit/000000000004.json",
        "audit/000000000005.json",
        "audit/000000000099.json",
    }
