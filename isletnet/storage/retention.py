"""What is deleted when: a plan from facts and a given time, and carrying it out.

Images and results of ended requests go by their age, drafts that nobody submitted, too. What is given for training
stays until consent is withdrawn. Erasure on request outranks that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from isletnet.errors import ClockError, ConflictError, GoneError, NotStoredError, ParameterError
from isletnet.storage import audit
from isletnet.storage.consent import is_held
from isletnet.storage.deletion import Deletion, Kind, Tombstone, delete, resume
from isletnet.storage.jobs import cancel
from isletnet.storage.layout import (
    CLOCK,
    CORRECTIONS,
    IDEMPOTENCY,
    OPEN,
    REQUESTS,
    TRAINING,
    Aside,
    Reservation,
    check_request_id,
    image_number,
    load,
    owner_key,
    read_stamp,
    request_ids,
    stamp,
)
from isletnet.storage.mail import outbox_key
from isletnet.storage.records import abandon, load_draft, load_outcome, load_request
from isletnet.storage.store import Store

LONGEST_JUMP = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How many days images and results are kept after the request ended, and drafts after they were opened."""

    images_days: float = 30.0
    results_days: float = 30.0
    drafts_days: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What counts for the retention of one request.

    ``created_utc`` is None where nothing is left of the request itself, ``ended_utc`` for those that have not ended.
    ``held`` are the images given for training.
    """

    request_id: str
    created_utc: datetime | None
    is_submitted: bool
    ended_utc: datetime | None
    is_abandoned: bool
    keys: tuple[str, ...]
    images: frozenset[int]
    held: frozenset[int]


def survey(store: Store) -> Iterator[Facts]:
    """Collect the facts of every request that has left anything in the store."""
    for request_id in request_ids(store, REQUESTS, TRAINING):
        facts = facts_of(store, request_id)
        if facts.keys:
            yield facts


def facts_of(store: Store, request_id: str) -> Facts:
    """Collect the facts of one request; it has no keys if it is unknown."""
    check_request_id(request_id)
    keys = [*store.list_keys(f"{REQUESTS}/{request_id}"), *store.list_keys(f"{TRAINING}/{request_id}")]
    images = frozenset(number for key in keys if (number := image_number(key)) is not None)
    created, is_submitted, is_abandoned = None, False, False
    try:
        draft = load_draft(store, request_id)
        created = draft.created_utc
        keys += _keys_elsewhere(store, request_id, draft.idempotency)
        request = load_request(store, request_id)
        is_submitted = True
        keys += (key for key in [owner_key(request)] if store.exists(key))
    except NotStoredError:
        pass
    except GoneError:
        is_abandoned = True
    outcome = load_outcome(store, request_id)
    return Facts(
        request_id=request_id,
        created_utc=created,
        is_submitted=is_submitted,
        ended_utc=None if outcome is None else outcome.ended_utc,
        is_abandoned=is_abandoned,
        keys=tuple(keys),
        images=images,
        held=frozenset(image for image in images if is_held(store, request_id, image)),
    )


def plan(facts: Iterable[Facts], policy: RetentionPolicy, *, now: datetime) -> tuple[Deletion, ...]:
    """Tell what is to be deleted now; pure, so that it can be shown before anything happens.

    Parameters
    ----------
    facts
        From `survey`.
    now
        The time that ages are counted to, with its zone.

    Returns
    -------
    tuple of Deletion
        At most one for each request and kind, none without keys and none with a key that is held.
    """
    planned = (deletion for one in facts for deletion in _plan_one(one, policy, now))
    return tuple(deletion for deletion in planned if deletion.keys)


def prune(store: Store, policy: RetentionPolicy, *, actor: str, now: datetime) -> tuple[Tombstone, ...]:
    """Finish what was begun, then delete all that is due.

    Raises
    ------
    StorageError
        A record is damaged; what is due of all other requests was deleted.
    ClockError
        The clock moved by more than a day since the last look; nothing was deleted. See `confirm_clock`.
    """
    check_clock(store, now=now)
    tombstones, aside = [], Aside()
    with aside():
        resume(store)
    for request_id in request_ids(store, REQUESTS, TRAINING):
        with aside():
            for deletion in plan([facts_of(store, request_id)], policy, now=now):
                if deletion.kind != "draft":
                    tombstones.append(delete(store, deletion, actor=actor, now=now))
                elif abandon(store, load_draft(store, request_id), now=now):
                    tombstones.append(_delete_whole(store, request_id, "draft", deletion.rule, actor=actor, now=now))
    aside.tell()
    return tuple(tombstone for tombstone in tombstones if tombstone is not None)


def delete_request(store: Store, request_id: str, *, actor: str, now: datetime) -> Tombstone | None:
    """Delete a request because its owner asks; one that runs is cancelled first.

    Raises
    ------
    NotStoredError
        It is unknown, or deleted already.
    ConflictError
        An image of it is given for training; withdraw that first.
    """
    facts = _facts_of_known(store, request_id)
    if facts.held:
        raise ConflictError("an image of it is given for training; withdraw the consent first", subject=request_id)
    if facts.is_submitted:
        with suppress(ConflictError):
            cancel(store, request_id, actor=actor, now=now)
    elif facts.created_utc is not None and not abandon(store, load_draft(store, request_id), now=now):
        raise ConflictError("it was submitted at this moment; ask again", subject=request_id)
    return _delete_whole(store, request_id, "asked", "asked for by its owner", actor=actor, now=now)


def erase(store: Store, request_id: str, *, admin: str, now: datetime) -> Tombstone | None:
    """Delete everything of a request, also what is given for training, because a person has the right to it.

    Raises
    ------
    ParameterError
        No admin is named.
    NotStoredError
        It is unknown, or deleted already.
    """
    if not admin.strip():
        raise ParameterError("an erasure needs the name of the admin who decides it")
    _facts_of_known(store, request_id)
    return _delete_whole(store, request_id, "erasure", "erasure on request", actor=admin, now=now)


def check_clock(store: Store, *, now: datetime) -> None:
    """Note the time of a look; raises ``ClockError`` if it is more than a day from that of the last."""
    seen = list(store.list_keys(CLOCK))
    if seen:
        last = read_stamp(seen[-1].rpartition("/")[2])
        if abs(now - last) > LONGEST_JUMP:
            raise ClockError(
                f"the last look was at {last:%Y-%m-%d %H:%M} UTC, and now it is {now:%Y-%m-%d %H:%M %Z}; nothing is "
                "deleted by age across more than a day. Check the clock, then confirm it"
            )
    _note_clock(store, now, forget=seen)


def confirm_clock(store: Store, *, admin: str, now: datetime) -> None:
    """Take a time for right, on the word of a named admin, after the clock moved or the pruner rested."""
    if not admin.strip():
        raise ParameterError("the clock is confirmed by a named admin")
    audit.append(store, kind="clock-confirmed", actor=admin, now=now)
    _note_clock(store, now, forget=list(store.list_keys(CLOCK)))


def _plan_one(facts: Facts, policy: RetentionPolicy, now: datetime) -> Iterator[Deletion]:
    def of(kind: Kind, rule: str, keys: Iterable[str]) -> Deletion:
        free = tuple(key for key in keys if not _must_stay(key, facts.held))
        return Deletion(request_id=facts.request_id, kind=kind, rule=rule, keys=free, images=facts.images)

    withdrawn = [key for key in facts.keys if key.startswith(f"{TRAINING}/") and "/consent/" not in key]
    if facts.created_utc is None:
        yield of("training", "nothing is left to train on", () if facts.held else facts.keys)
    elif not facts.is_submitted:
        if facts.is_abandoned or _is_older(facts.created_utc, policy.drafts_days, now):
            yield of("draft", f"not submitted within {policy.drafts_days:g} days", facts.keys)
    elif facts.ended_utc is None:
        yield of("training", "consent was withdrawn", withdrawn)
    else:
        images_due = _is_older(facts.ended_utc, policy.images_days, now)
        results_due = _is_older(facts.ended_utc, policy.results_days, now)
        if images_due and results_due and not facts.held:
            rule = f"images after {policy.images_days:g} days and results after {policy.results_days:g} days"
            yield of("record", rule, facts.keys)
            return
        yield of("training", "consent was withdrawn", withdrawn)
        if images_due:
            originals = (key for key in facts.keys if key.endswith("/original"))
            yield of("images", f"images after {policy.images_days:g} days", originals)
        if results_due:
            outputs = (key for key in facts.keys if _is_result(key))
            yield of("results", f"results after {policy.results_days:g} days", outputs)


def _is_result(key: str) -> bool:
    """Whether an object is an output, or labels that a person gave for it."""
    return key.startswith(f"{REQUESTS}/") and ("/files/" in key or ("/corrections/" in key and "/images/" in key))


def _must_stay(key: str, held: frozenset[int]) -> bool:
    number = image_number(key)
    return bool(held) if number is None else number in held


def _is_older(since: datetime, days: float, now: datetime) -> bool:
    return now - since >= timedelta(days=days)


def _facts_of_known(store: Store, request_id: str) -> Facts:
    facts = facts_of(store, request_id)
    if not facts.keys:
        raise NotStoredError("there is no such request", subject=request_id)
    return facts


def _delete_whole(
    store: Store, request_id: str, kind: Kind, rule: str, *, actor: str, now: datetime
) -> Tombstone | None:
    facts = facts_of(store, request_id)
    entries = [key for key in store.list_keys(OPEN) if key.endswith(f"-{request_id}")]
    deletion = Deletion(request_id=request_id, kind=kind, rule=rule, keys=(*facts.keys, *entries), images=facts.images)
    return delete(store, deletion, actor=actor, now=now)


def _keys_elsewhere(store: Store, request_id: str, idempotency: str | None) -> Iterator[str]:
    """List what is kept of a request outside its folders."""
    yield from store.list_keys(f"{CORRECTIONS}/{request_id}")
    if store.exists(outbox_key(request_id)):
        yield outbox_key(request_id)
    key = f"{IDEMPOTENCY}/{idempotency}.json"
    if idempotency and store.exists(key) and load(store, key, Reservation).request_id == request_id:
        yield key


def _note_clock(store: Store, now: datetime, *, forget: list[str]) -> None:
    key = f"{CLOCK}/{stamp(now)}"
    if key not in forget:
        store.create(key, b"")
    for old in forget:
        if old != key:
            store.delete(old)
