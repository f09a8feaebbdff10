"""How something is deleted for good and provably: announced, done, and noted in the chain with its hashes.

The intent is written first, so a crash leaves what to go on with. The tombstone is written once, however often that
happens and however many go on. It tells hashes, the rule and who, never names or content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from isletnet.errors import AlreadyStoredError, NotStoredError
from isletnet.storage import audit
from isletnet.storage.consent import is_key_held
from isletnet.storage.layout import (
    INTENTS,
    TOMBSTONES,
    Aside,
    dump,
    file_key,
    image_key,
    image_number,
    load,
)
from isletnet.storage.records import images_of, load_outcome
from isletnet.storage.store import Store, sha256_of

# "record" and what follows leave nothing of the request.
Kind = Literal["images", "results", "training", "record", "draft", "asked", "erasure"]
WHOLE_KINDS: frozenset[Kind] = frozenset({"record", "draft", "asked", "erasure"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What shall be deleted of a request, by which rule; ``images`` are the numbers that it has in all."""

    request_id: str
    kind: Kind
    rule: str
    keys: tuple[str, ...]
    images: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A deletion under way; ``sha256s`` maps keys to hashes, in the order of deleting."""

    request_id: str
    number: int
    kind: Kind
    rule: str
    actor: str
    utc: datetime
    sha256s: Mapping[str, str]
    images: frozenset[int]
    audit_head: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """A deletion that is done: the number of its entry in the chain, and whether nothing had to stay."""

    kind: Kind
    complete: bool
    audit_number: int


def delete(store: Store, deletion: Deletion, *, actor: str, now: datetime) -> Tombstone | None:
    """Delete what is not held, and leave a tombstone.

    Returns
    -------
    Tombstone or None
        None where all of it is held, so that nothing was deleted.
    """
    # In this order: whoever has this number must find the entry that another one makes for it.
    audit_head = audit.head(store)
    intent = Intent(
        request_id=deletion.request_id,
        number=sum(1 for _ in store.list_keys(f"{TOMBSTONES}/{deletion.request_id}")) + 1,
        kind=deletion.kind,
        rule=deletion.rule,
        actor=actor,
        utc=now,
        sha256s=_sha256s(store, deletion),
        images=deletion.images,
        audit_head=audit_head,
    )
    try:
        store.create(_intent_key(intent), dump(intent))
    except AlreadyStoredError:
        # Somebody else is at it: help to finish that first. What is left then is for the next look.
        intent = load(store, _intent_key(intent), Intent)
    return carry_out(store, intent)


def carry_out(store: Store, intent: Intent) -> Tombstone | None:
    """Do what an intent says, from wherever it was left; returns like `delete`."""
    with suppress(NotStoredError):
        # Somebody else has finished, and only the intent is left; or was written again, by one who looked too early.
        done = load(store, tombstone_key(intent.request_id, intent.number), Tombstone)
        store.delete(_intent_key(intent))
        return done
    for key in intent.sha256s:
        # Asked anew each time: consent may have come a moment ago.
        if intent.kind == "erasure" or not is_key_held(store, intent.request_id, key, images=intent.images):
            store.delete(key)
    deleted = {key: sha256 for key, sha256 in intent.sha256s.items() if not store.exists(key)}
    tombstone = None
    if deleted:
        token = f"{intent.request_id}/{intent.number}"
        entry = audit.append(
            store,
            kind="deletion",
            actor=intent.actor,
            now=intent.utc,
            subject=intent.request_id,
            token=token,
            since=intent.audit_head,
            details={"kind": intent.kind, "rule": intent.rule, "sha256s": deleted},
        )
        tombstone = Tombstone(
            kind=intent.kind,
            complete=len(entry.details["sha256s"]) == len(intent.sha256s),
            audit_number=entry.number,
        )
        with suppress(AlreadyStoredError):
            store.create(tombstone_key(intent.request_id, intent.number), dump(tombstone))
    store.delete(_intent_key(intent))
    return tombstone


def resume(store: Store) -> int:
    """Finish all deletions that a crash left under way; returns how many. Damaged ones hold up no others."""
    keys, aside = list(store.list_keys(INTENTS)), Aside()
    for key in keys:
        with aside(), suppress(NotStoredError):
            carry_out(store, load(store, key, Intent))
    aside.tell()
    return len(keys)


def is_deleted(store: Store, request_id: str) -> bool:
    """Whether a request is deleted as a whole, or about to be."""
    # The intents first: each turns into a tombstone, and neither must be missed in between.
    return any(intent.kind in WHOLE_KINDS for intent in _intents_of(store, request_id)) or is_gone(store, request_id)


def is_gone(store: Store, request_id: str) -> bool:
    """Whether a request was deleted as a whole, and nothing of it had to stay."""
    return any(tombstone.complete and tombstone.kind in WHOLE_KINDS for tombstone in tombstones_of(store, request_id))


def tombstones_of(store: Store, request_id: str) -> Iterator[Tombstone]:
    """Read what has been deleted of a request, in order."""
    for key in store.list_keys(f"{TOMBSTONES}/{request_id}"):
        yield load(store, key, Tombstone)


def tombstone_key(request_id: str, number: int) -> str:
    """Name a tombstone of a request; numbers begin with 1."""
    return f"{TOMBSTONES}/{request_id}/{number:06d}.json"


def _intents_of(store: Store, request_id: str) -> Iterator[Intent]:
    for key in store.list_keys(f"{INTENTS}/{request_id}"):
        with suppress(NotStoredError):
            yield load(store, key, Intent)


def _intent_key(intent: Intent) -> str:
    return f"{INTENTS}/{intent.request_id}/{intent.number:06d}.json"


def _sha256s(store: Store, deletion: Deletion) -> dict[str, str]:
    """Map each key that still is there to its hash, objects about the whole request last."""
    known = _known_sha256s(store, deletion.request_id)
    hashes = {}
    for key in sorted(deletion.keys, key=lambda key: (image_number(key) is None, key)):
        with suppress(NotStoredError):
            hashes[key] = known[key] if key in known and store.exists(key) else sha256_of(store, key)
    return hashes


def _known_sha256s(store: Store, request_id: str) -> dict[str, str]:
    """Map the big objects of a request to the hashes that were noted when they came."""
    images = {image_key(request_id, image.number): image.sha256 for image in images_of(store, request_id)}
    outcome = load_outcome(store, request_id)
    if outcome is None or outcome.attempt is None:
        return images
    return images | {file_key(request_id, outcome.attempt, file.path): file.sha256 for file in outcome.files}
