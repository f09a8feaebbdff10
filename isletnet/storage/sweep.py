"""Removing what is left over: outputs of attempts that lost, signs of life, uploads that came too late, stale entries.

None of it was ever promised to anybody. What people gave and what they were told goes by `retention` alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from isletnet.errors import GoneError, NotStoredError
from isletnet.storage.consent import withdraw_for_want_of_image
from isletnet.storage.corrections import settle_correction
from isletnet.storage.deletion import is_gone, resume
from isletnet.storage.drawn import keys_beside
from isletnet.storage.jobs import settle
from isletnet.storage.layout import (
    CORRECTIONS,
    IDEMPOTENCY,
    OPEN,
    OUTBOX,
    REQUESTS,
    TRAINING,
    Aside,
    Outcome,
    Request,
    Reservation,
    file_key,
    image_key,
    load,
    request_ids,
    request_key,
)
from isletnet.storage.owners import stale_entries
from isletnet.storage.records import load_outcome, load_request
from isletnet.storage.store import Store
from isletnet.storage.versions import read_entry, superfluous, undecided

# Nobody takes longer between reserving an id and opening its draft.
_YOUNG = timedelta(days=1)


def sweep(store: Store, *, now: datetime) -> tuple[str, ...]:
    """Finish what was begun and remove what nobody will ever ask for; safe beside everything else that goes on.

    Returns
    -------
    tuple of str
        The keys that were removed.

    Raises
    ------
    StorageError
        A record is damaged; everything else was swept.
    """
    aside = Aside()
    with aside():
        resume(store)
    before = _index(store)
    for entry in store.list_keys(OPEN):
        with aside():
            settle(store, entry)
    _settle_corrections(store, now, aside)
    removed = sorted(before - _index(store))
    for request_id in request_ids(store, TRAINING):
        for image in {int(key.split("/")[2]) for key in store.list_keys(f"{TRAINING}/{request_id}")}:
            with aside():
                withdraw_for_want_of_image(store, request_id, image, now=now)
    for key in _leftovers(store, now, aside):
        store.delete(key)
        removed.append(key)
    store.discard_leftovers()
    aside.tell()
    return tuple(removed)


def _index(store: Store) -> set[str]:
    return {*store.list_keys(OPEN), *store.list_keys(CORRECTIONS)}


def _settle_corrections(store: Store, now: datetime, aside: Aside) -> None:
    begun = undecided(store.list_keys(REQUESTS))
    for request_id, version in sorted({*begun, *map(read_entry, store.list_keys(CORRECTIONS))}):
        with aside():
            settle_correction(store, request_id, version, now=now)


def surplus(store: Store, request_id: str) -> Iterator[str]:
    """List the objects in the folder of a request that it does not need: never, or not any more."""
    keys = list(store.list_keys(f"{REQUESTS}/{request_id}"))
    if is_gone(store, request_id):
        yield from keys
        return
    try:
        request = load_request(store, request_id)
    except (NotStoredError, GoneError):
        # A draft may still need everything, and retention deletes it when it expires.
        return
    outcome = load_outcome(store, request_id)
    needed = _needed(request, outcome)
    needed |= keys_beside(needed.intersection(keys))
    for key in keys:
        path = key.split("/")[2:]
        is_history = path[0] == "attempts" and path[2:] in (["claim.json"], ["end.json"])
        is_at_work = path[0] == "attempts" and outcome is None
        if key not in needed and not is_history and not is_at_work and path[0] != "corrections":
            yield key
    yield from superfluous(store, request_id, keys)


def _needed(request: Request, outcome: Outcome | None) -> set[str]:
    names = ("draft.json", "request.json", "outcome.json", "mailed.json")
    keys = {request_key(request.request_id, name) for name in names}
    for image in request.images:
        keys |= {image_key(request.request_id, image.number, name) for name in ("original", "meta.json")}
    if outcome is not None and outcome.attempt is not None:
        keys |= {file_key(request.request_id, outcome.attempt, file.path) for file in outcome.files}
    return keys


def _leftovers(store: Store, now: datetime, aside: Aside) -> Iterator[str]:
    for request_id in request_ids(store, REQUESTS):
        with aside():
            yield from surplus(store, request_id)
    for request_id in request_ids(store, TRAINING):
        with aside():
            if is_gone(store, request_id):
                yield from store.list_keys(f"{TRAINING}/{request_id}")
    yield from stale_entries(store)
    for key in store.list_keys(OUTBOX):
        request_id = key.rpartition("/")[2].removesuffix(".json")
        with aside():
            if is_gone(store, request_id) or store.exists(request_key(request_id, "mailed.json")):
                yield key
    for key in store.list_keys(IDEMPOTENCY):
        with aside():
            reservation = load(store, key, Reservation)
            is_used = store.exists(request_key(reservation.request_id, "draft.json"))
            if not is_used and now - reservation.reserved_utc > _YOUNG:
                yield key
