"""The chain of what was done: numbered entries, each with the hash of the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from isletnet.errors import AlreadyStoredError, StorageError
from isletnet.storage.layout import AUDIT, dump, load
from isletnet.storage.store import Store, sha256_of

START_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was done, to ``subject``, by ``actor``; no names of files or people's data in ``details``.

    ``token`` tells a thing that must be noted once only.
    """

    number: int
    previous_sha256: str
    utc: datetime
    kind: str
    actor: str
    subject: str = ""
    token: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def entry_key(number: int) -> str:
    """Name an entry; numbers begin with 1."""
    return f"{AUDIT}/{number:012d}.json"


def head(store: Store) -> int:
    """Find the number of the last entry, 0 if there is none, in few looks."""
    high = 1
    while store.exists(entry_key(high)):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if store.exists(entry_key(middle)) else (low, middle)
    return low


def append(
    store: Store,
    *,
    kind: str,
    actor: str,
    now: datetime,
    subject: str = "",
    details: Mapping[str, Any] | None = None,
    token: str | None = None,
    since: int = 0,
) -> Entry:
    """Add an entry to the chain.

    Parameters
    ----------
    token
        If an entry after number ``since`` has it, nothing is added: that entry is returned. This holds in every race,
        because an entry is created only by one who has seen all before it.

    Returns
    -------
    Entry
        The entry that tells it.
    """
    number = head(store)
    seen = number if token is None else since
    while True:
        for earlier in range(seen + 1, number + 1):
            entry = load(store, entry_key(earlier), Entry)
            if token is not None and entry.token == token:
                return entry
        seen = number
        entry = Entry(
            number=number + 1,
            previous_sha256=_link(store, number),
            utc=now,
            kind=kind,
            actor=actor,
            subject=subject,
            token=token,
            details=details or {},
        )
        try:
            store.create(entry_key(entry.number), dump(entry))
        except AlreadyStoredError:
            number += 1
        else:
            return entry


def entries(store: Store) -> Iterator[Entry]:
    """Read the chain from its beginning."""
    for key in store.list_keys(AUDIT):
        yield load(store, key, Entry)


def broken_links(store: Store) -> Iterator[tuple[str, str]]:
    """Find where the chain was edited, cut out or forged: keys, and what is wrong there.

    Entries removed from its end cannot be found so; compare number and hash of the last one with a note kept elsewhere.
    """
    expected, previous = 1, START_SHA256
    for key in store.list_keys(AUDIT):
        try:
            entry = load(store, key, Entry)
        except StorageError as error:
            yield key, error.message
        else:
            if key != entry_key(expected) or entry.number != expected:
                yield key, f"entry {expected} should be here"
                expected = entry.number
            elif entry.previous_sha256 != previous:
                yield key, "the entry before it was changed"
        expected, previous = expected + 1, sha256_of(store, key)


def _link(store: Store, number: int) -> str:
    return sha256_of(store, entry_key(number)) if number else START_SHA256
