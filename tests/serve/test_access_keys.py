"""Keys: shown once, kept as a hash, listed, revoked, audited."""

import hashlib

import pytest

from isletnet.errors import NotStoredError, ParameterError
from isletnet.storage import audit
from isletnet.storage.verify import verify
from serve.access.keys import Keyring, add_key, has_live_key, list_keys, revoke_key
from tests.storage.actors import MORNING, Clock
from tests.storage.store_contract import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def make(store: MemoryStore, name: str = "ann", scopes: tuple[str, ...] = ("read",)) -> str:
    return add_key(store, name, scopes, actor="root", now=MORNING)[0]


def test_the_store_never_learns_the_key(store: MemoryStore):
    key = make(store)
    secret = key.partition(".")[2]
    assert len(secret) == 43, "32 random bytes in base64"
    kept = [store.read(one) for one in store.list_keys()]
    assert all(secret.encode() not in content for content in kept)
    assert any(hashlib.sha256(key.encode()).hexdigest().encode() in content for content in kept)


def test_keys_differ(store: MemoryStore):
    assert len({make(store) for _ in range(50)}) == 50


def test_a_key_is_found_whole_and_only_so(store: MemoryStore):
    ring = Keyring(store, monotonic=Clock().monotonic)
    first, second = make(store, "ann"), make(store, "bob")
    found = ring.find(first)
    assert found is not None
    assert found.name == "ann"
    mixed = f"{first.partition('.')[0]}.{second.partition('.')[2]}"
    assert ring.find(mixed) is None
    assert ring.find(first + "\n") is None


def test_the_hash_is_not_shown(store: MemoryStore):
    ring = Keyring(store, monotonic=Clock().monotonic)
    found = ring.find(make(store))
    assert found is not None
    assert found.sha256 not in repr(found)


def test_keys_are_listed_with_their_end(store: MemoryStore):
    first, second = make(store, "ann", ("read", "submit")), make(store, "bob")
    revoked = revoke_key(store, second.partition(".")[0], actor="root", now=MORNING)
    assert revoked.revoked_utc == MORNING
    listed = {one.name: one for one in list_keys(store)}
    assert listed["ann"].key_id == first.partition(".")[0]
    assert listed["ann"].scopes == ("submit", "read")
    assert (listed["ann"].revoked_utc, listed["bob"].revoked_utc) == (None, MORNING)
    assert has_live_key(store)


def test_what_was_done_with_keys_is_in_the_audit_once(store: MemoryStore):
    key_id = make(store).partition(".")[0]
    for _ in range(2):
        revoke_key(store, key_id, actor="eve", now=MORNING)
    told = [(entry.kind, entry.actor, entry.subject) for entry in audit.entries(store)]
    assert told == [("key-added", "root", key_id), ("key-revoked", "eve", key_id)]


@pytest.mark.parametrize("key_id", ["0" * 16, "../admin", "", "csrf", "0" * 15 + "\n"])
def test_a_key_that_is_not_there_cannot_be_revoked(store: MemoryStore, key_id: str):
    make(store)
    with pytest.raises(NotStoredError):
        revoke_key(store, key_id, actor="root", now=MORNING)


@pytest.mark.parametrize("name", ["", "-ann", "ann bob", "änn", "a" * 101, "ann\n", "../x", "<b>"])
def test_names_are_plain(store: MemoryStore, name: str):
    with pytest.raises(ParameterError, match="name"):
        make(store, name)
    assert list(store.list_keys()) == []


@pytest.mark.parametrize("scopes", [(), ("read", "root"), ("READ",)])
def test_scopes_are_known(store: MemoryStore, scopes: tuple[str, ...]):
    with pytest.raises(ParameterError, match="scopes"):
        make(store, scopes=scopes)


def test_a_flood_of_made_up_keys_is_not_remembered_for_ever(store: MemoryStore):
    ring = Keyring(store, monotonic=Clock().monotonic)
    key = make(store)
    for number in range(5000):
        assert ring.find(f"{number:016x}.{'A' * 43}") is None
    assert len(ring._seen) <= 4096
    assert ring.find(key) is not None


def test_keys_belong_into_a_store(store: MemoryStore):
    make(store)
    assert verify(store).is_clean
