"""Who works on a request: attempts, each begun by a claim that one worker wins, and kept by signs of life.

Who sees no sign of life for a while, by a clock of its own, claims the next attempt; the one before then stops.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from isletnet.errors import AlreadyStoredError, LeaseLostError
from isletnet.storage.jobs import Beat, attempts_of, end, settle
from isletnet.storage.layout import (
    OPEN,
    Aside,
    FileRecord,
    ImageOutcome,
    Outcome,
    Request,
    attempt_key,
    dump,
    file_key,
    id_of,
    load,
    request_key,
)
from isletnet.storage.processes import has_ended
from isletnet.storage.store import Store, Tally

HEARTBEAT_S, LEASE_S = 5.0, 30.0
FIRST_PAUSE_S = 10.0
MOST_ATTEMPTS = 3
# Of those whose worker was killed while others did the work for it, or whose store was away: no fault of a request.
MOST_LOST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who works on an attempt; ``process`` is the mark of one whose end can be no fault of the request."""

    worker: str
    token: str
    utc: datetime
    process: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """How an attempt ended early; a ``released`` one, or one ``lost`` with its worker or store, is not a failure."""

    how: Literal["failed", "released", "lost"]
    utc: datetime
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on a request, for as long as `beat` renews it."""

    request: Request
    attempt: int
    beats_n: int = 0


class Dispatcher:
    """Finds work for one worker: the oldest request that is free. Keep it; it remembers what it saw, and when.

    Parameters
    ----------
    store
        Where the requests are.
    worker
        Name of the worker, for people who look.
    monotonic
        A clock in seconds that never goes back; nobody else's clock decides whether a worker is lost.
    process
        The mark of this process if it only hands work out (`isletnet.storage.processes.process_mark`). When it has
        ended, others on its machine take its requests at once.
    """

    def __init__(
        self, store: Store, worker: str, *, monotonic: Callable[[], float], process: str | None = None
    ) -> None:
        self._store = store
        self._worker = worker
        self._process = process
        self._monotonic = monotonic
        self._seen: dict[str, tuple[object, float]] = {}
        self._holders: dict[tuple[str, int], str | None] = {}

    def take(self, *, now: datetime, held: Collection[str] = ()) -> Lease | None:
        """Claim the oldest request that nobody works on; None if there is none. Ends those that are past help.

        One whose records are damaged is passed over; sweeping tells of it.

        Parameters
        ----------
        now
            For the record.
        held
            The ids of the requests under work here, which need no look: `beat` tells when they are lost.
        """
        entries = dict.fromkeys(entry for entry in self._store.list_keys(OPEN) if id_of(entry) not in held)
        self._seen = {key: seen for key, seen in self._seen.items() if key in entries}
        self._holders = {of: holder for of, holder in self._holders.items() if of[0] in entries}
        aside = Aside()
        for entry in entries:
            with aside():
                request = settle(self._store, entry)
                lease = self._claim(entry, request, now) if request is not None else None
                if lease is not None:
                    return lease
        return None

    def _claim(self, entry: str, request: Request, now: datetime) -> Lease | None:
        attempts = attempts_of(self._store, request.request_id)
        last = max(attempts, default=0)
        if last:
            ends = _ends(self._store, request.request_id, attempts)
            if last not in ends and self._is_lost(entry, request, last):
                ends[last] = _leave(self._store, request.request_id, last, AttemptEnd(how="lost", utc=now))
            failures = sum(number not in ends or ends[number].how == "failed" for number in attempts)
            lost = sum(one.how == "lost" for one in ends.values())
            if self._unchanged_s(entry, (last, attempts[last])) < _patience_s(ends.get(last), failures, lost):
                return None
            if failures >= MOST_ATTEMPTS or lost >= MOST_LOST:
                _end_as_dead(self._store, request, ends.get(last), failures + lost, now)
                return None
        claim = Claim(worker=self._worker, token=secrets.token_hex(16), utc=now, process=self._process)
        lease = Lease(request=request, attempt=last + 1)
        try:
            self._store.create(attempt_key(request.request_id, lease.attempt, "claim.json"), dump(claim))
            check_lease(self._store, lease)
        except (AlreadyStoredError, LeaseLostError):
            return None
        return lease

    def _is_lost(self, entry: str, request: Request, attempt: int) -> bool:
        """Whether the process that works on an attempt is known to have ended."""
        key = entry, attempt
        if key not in self._holders:
            self._holders[key] = None
            # Who holds it by a damaged claim will show by its signs of life.
            with Aside()():
                claim = load(self._store, attempt_key(request.request_id, attempt, "claim.json"), Claim)
                self._holders[key] = claim.process
        holder = self._holders[key]
        return holder is not None and has_ended(holder)

    def _unchanged_s(self, entry: str, sight: object) -> float:
        """How long the same has been seen of an attempt."""
        now_s = self._monotonic()
        before = self._seen.get(entry)
        if before is None or before[0] != sight:
            self._seen[entry] = before = sight, now_s
        return now_s - before[1]


def beat(store: Store, lease: Lease, *, now: datetime, progress: Mapping[str, Any] | None = None) -> Lease:
    """Give a sign of life, every `HEARTBEAT_S`, and learn whether the work is still wanted.

    Returns
    -------
    Lease
        The one to go on with.

    Raises
    ------
    LeaseLostError
        Stop at once: somebody took over, or the request was ended or deleted.
    StorageError
        The sign could not be given: stop at once, too, for others will believe that the worker is lost.
    """
    renewed = replace(lease, beats_n=lease.beats_n + 1)
    request_id = lease.request.request_id
    try:
        store.create(_beat_key(renewed), dump(Beat(utc=now, progress=progress or {})))
    except AlreadyStoredError:
        raise LeaseLostError("somebody else gives the signs of life of this attempt", subject=request_id) from None
    check_lease(store, renewed)
    if lease.beats_n:
        store.delete(_beat_key(lease))
    return renewed


def check_lease(store: Store, lease: Lease) -> None:
    """Raise ``LeaseLostError`` if the next attempt has begun, or the request has ended or is no more."""
    request_id = lease.request.request_id
    next_claim = attempt_key(request_id, lease.attempt + 1, "claim.json")
    is_taken, is_over, is_there = store.exist(
        (next_claim, request_key(request_id, "outcome.json"), request_key(request_id))
    )
    if is_taken:
        raise LeaseLostError("another worker has taken over; stop", subject=request_id)
    if is_over:
        raise LeaseLostError("the request has ended; stop", subject=request_id)
    if not is_there:
        raise LeaseLostError("the request was deleted; stop", subject=request_id)


def write_file(store: Store, lease: Lease, path: str, chunks: Iterable[bytes]) -> FileRecord:
    """Store an output of an attempt.

    Parameters
    ----------
    path
        Where, as a key: ``images/<k>/<name>`` for what is of one image.
    chunks
        The content in pieces.
    """
    tally = Tally(chunks)
    store.create_from(file_key(lease.request.request_id, lease.attempt, path), tally)
    return FileRecord(path=path, sha256=tally.sha256, size_bytes=tally.size_bytes)


def finish(
    store: Store, lease: Lease, *, files: Iterable[FileRecord], images: Iterable[ImageOutcome], now: datetime
) -> Outcome:
    """End a request with a result; raises ``LeaseLostError`` if it is somebody else's by now or has ended."""
    check_lease(store, lease)
    outcome = Outcome(state="done", ended_utc=now, attempt=lease.attempt, files=tuple(files), images=tuple(images))
    if not end(store, lease.request, outcome):
        raise LeaseLostError("the request has ended; stop", subject=lease.request.request_id)
    return outcome


def give_up(store: Store, lease: Lease, *, code: str, message: str, now: datetime, final: bool) -> None:
    """Say that an attempt failed.

    Parameters
    ----------
    code, message
        A stable code, and one plain sentence for the sender.
    final
        Bad input never gets better: end the request as dead at once. Otherwise it is tried again after a while, at most
        `MOST_ATTEMPTS` times in all.
    """
    given_up = AttemptEnd(how="failed", utc=now, code=code, message=message)
    _leave(store, lease.request.request_id, lease.attempt, given_up)
    if final:
        _end_as_dead(store, lease.request, given_up, 1, now)


def release(store: Store, lease: Lease, *, now: datetime) -> None:
    """Hand a request back unharmed, as a worker that is told to stop does; anybody may take it at once."""
    _leave(store, lease.request.request_id, lease.attempt, AttemptEnd(how="released", utc=now))


def lose(store: Store, lease: Lease, *, now: datetime) -> None:
    """Say that the work on a request broke off since the store was away; raises ``LeaseLostError`` if it has ended.

    It may be taken again at once, later each time that this happens, and at most `MOST_LOST` times.
    """
    check_lease(store, lease)
    _leave(store, lease.request.request_id, lease.attempt, AttemptEnd(how="lost", utc=now))


def _leave(store: Store, request_id: str, attempt: int, how: AttemptEnd) -> AttemptEnd:
    """Say how an attempt ended, unless somebody has said so."""
    with suppress(AlreadyStoredError):
        store.create(attempt_key(request_id, attempt, "end.json"), dump(how))
    return how


def _end_as_dead(store: Store, request: Request, last: AttemptEnd | None, times: int, now: datetime) -> None:
    silent = f"The work on it broke off {times} times, and no reason was given."
    code, message = (None, None) if last is None else (last.code, last.message)
    end(store, request, Outcome(state="dead", ended_utc=now, code=code or "worker_lost", message=message or silent))


def _ends(store: Store, request_id: str, attempts: Mapping[int, frozenset[str]]) -> dict[int, AttemptEnd]:
    return {
        number: load(store, attempt_key(request_id, number, "end.json"), AttemptEnd)
        for number, paths in attempts.items()
        if "end.json" in paths
    }


def _patience_s(last: AttemptEnd | None, failures: int, lost: int) -> float:
    """How long an attempt must look the same before the next may begin."""
    if last is None:
        return LEASE_S
    if last.how == "lost":
        return min(LEASE_S, FIRST_PAUSE_S * (lost - 1))
    return 0.0 if last.how == "released" else FIRST_PAUSE_S * 2 ** (failures - 1)


def _beat_key(lease: Lease) -> str:
    return attempt_key(lease.request.request_id, lease.attempt, f"beats/{lease.beats_n:08d}")
