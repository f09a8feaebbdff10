"""Noting who used what, when and how long, beside the work: calls by the process that answers them, ends by looking.

A call is noted in memory and written with others of its minute. The end of a request is written under a name that
follows from it, so that many may note it and it counts once.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from isletnet.errors import (
    GoneError,
    IsletnetError,
    NotStoredError,
    StorageError,
    StoreFullError,
    StoreUnavailableError,
)
from isletnet.storage.jobs import attempts_of
from isletnet.storage.layout import REQUESTS, Outcome, Request, attempt_key, file_key, load, request_ids
from isletnet.storage.leases import Claim
from isletnet.storage.records import load_outcome, load_request
from isletnet.storage.statistics import Event, append_events
from isletnet.storage.store import Store

INTERVAL_S = 60.0
MOST_WAITING = 20_000
# Of callers whom nobody knows, who must not fill the disk with notes about them.
MOST_OF_STRANGERS = 1_000
_FRESH = timedelta(days=1)
_LOG = logging.getLogger("isletnet.serve.statistics")


class EventLog:
    """Notes events off the path of the calls; one for a process.

    Parameters
    ----------
    store
        Where they go. While it does not answer, events wait, the newest `MOST_WAITING` of them; and never more than
        `MOST_OF_STRANGERS` of callers without a name.
    now
        The time of day.
    default_network
        What answers where a sender names no network.
    """

    def __init__(self, store: Store, *, now: Callable[[], datetime], default_network: str) -> None:
        self._store = store
        self._now = now
        self._lock = threading.Lock()
        self._waiting: list[Event] = []
        self._strangers_n = 0
        self._ends = EndWatch(store, default_network=default_network)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, event: Event) -> None:
        """Note an event; takes microseconds and never fails."""
        with self._lock:
            if not event.who:
                if self._strangers_n >= MOST_OF_STRANGERS:
                    return
                self._strangers_n += 1
            self._waiting.append(event)
            del self._waiting[:-MOST_WAITING]

    def flush(self) -> None:
        """Write what waits and note the ends that came since, now; raises ``StorageError`` and keeps the rest."""
        now = self._now()
        with self._taken() as events:
            if events:
                append_events(self._store, events, now=now)
        self._ends.look(now=now)

    def start(self) -> None:
        """Flush every `INTERVAL_S` from now on."""
        self._thread = threading.Thread(target=self._run, name="statistics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what waits, and stop."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._flush_or_log()

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            self._flush_or_log()

    def _flush_or_log(self) -> None:
        try:
            self.flush()
        except IsletnetError as error:
            _LOG.warning("events wait: %s", error.code)
        except Exception:
            _LOG.exception("events wait")

    @contextmanager
    def _taken(self) -> Iterator[list[Event]]:
        """Take all that waits, and put it back if it cannot be written."""
        with self._lock:
            events, self._waiting, self._strangers_n = self._waiting, [], 0
        try:
            yield events
        except BaseException:
            with self._lock:
                self._waiting = (events + self._waiting)[-MOST_WAITING:]
                self._strangers_n = sum(not event.who for event in self._waiting)
            raise


class EndWatch:
    """Notes the requests that have ended since it last looked, and those of the day before it first did.

    Parameters
    ----------
    store
        Where the requests are.
    default_network
        What answers where a sender names no network.
    """

    def __init__(self, store: Store, *, default_network: str) -> None:
        self._store = store
        self._default_network = default_network
        self._known: set[str] = set()

    def look(self, *, now: datetime) -> int:
        """Look at the requests that were not seen to have ended; returns how many ends are new."""
        ids = set(request_ids(self._store, REQUESTS))
        # Who is gone need not be remembered.
        self._known &= ids
        noted_n = 0
        for request_id in sorted(ids - self._known):
            try:
                outcome = load_outcome(self._store, request_id)
                if outcome is not None and now - outcome.ended_utc < _FRESH:
                    note_end(self._store, request_id, outcome, default_network=self._default_network)
                    noted_n += 1
                if outcome is not None or self._is_abandoned(request_id):
                    self._known.add(request_id)
            except (StoreUnavailableError, StoreFullError):
                raise
            except StorageError as error:
                # It is gone by now, or damaged; the others must not wait for it.
                _LOG.debug("no end of %s: %s", request_id, error.code)
        return noted_n

    def _is_abandoned(self, request_id: str) -> bool:
        try:
            load_request(self._store, request_id)
        except GoneError:
            return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneImage:
    """What statistics want of an image's result."""

    number: int
    network: str
    megapixels: float
    warnings: tuple[str, ...]


def note_end(store: Store, request_id: str, outcome: Outcome, *, default_network: str) -> None:
    """Note how a request ended; noting it again changes nothing. Raises ``NotStoredError`` where it is gone."""
    event = end_event(store, request_id, outcome, default_network=default_network)
    append_events(store, [event], now=outcome.ended_utc, name=request_id)


def end_event(store: Store, request_id: str, outcome: Outcome, *, default_network: str) -> Event:
    """Tell what is known of the end of a request, from its records and its results."""
    request = load_request(store, request_id)
    begun_utc = _begun_utc(store, request_id) or outcome.ended_utc
    done = _done_images(store, request_id, outcome)
    failures = [image.code or "unexpected" for image in outcome.images if image.state == "failed"]
    if outcome.code is not None and not failures:
        failures = [outcome.code]
    return Event(
        utc=outcome.ended_utc,
        kind="end",
        who=request.owner,
        action=outcome.state,
        duration_s=max((outcome.ended_utc - begun_utc).total_seconds(), 0.0),
        request_id=request_id,
        waiting_s=max((begun_utc - request.submitted_utc).total_seconds(), 0.0),
        images=_images_by_network(request, done, default_network),
        megapixels=sum(image.megapixels for image in done),
        failures=tuple(failures),
        warnings=tuple(code for image in done for code in image.warnings),
    )


def _begun_utc(store: Store, request_id: str) -> datetime | None:
    attempts = attempts_of(store, request_id)
    if not attempts:
        return None
    return load(store, attempt_key(request_id, min(attempts), "claim.json"), Claim).utc


def _done_images(store: Store, request_id: str, outcome: Outcome) -> list[DoneImage]:
    if outcome.attempt is None or all(file.path != "results.json" for file in outcome.files):
        return []
    try:
        images = json.loads(store.read(file_key(request_id, outcome.attempt, "results.json")))["images"]
        return [done_image(image["number"], image["record"]) for image in images]
    except (ValueError, LookupError, TypeError, NotStoredError):
        # Damaged or deleted: that is for the check of the store to tell, and the end is noted all the same.
        return []


def done_image(number: int, record: Mapping[str, Any]) -> DoneImage:
    """Take from an image's record what statistics want."""
    return DoneImage(
        number=number,
        network=record["provenance"]["network"]["name"],
        megapixels=record["image"]["width_px"] * record["image"]["height_px"] / 1e6,
        warnings=tuple(warning["code"] for warning in record["summary"]["warnings"]),
    )


def _images_by_network(request: Request, done: list[DoneImage], default_network: str) -> Mapping[str, int]:
    answered = {image.number: image.network for image in done}
    shared = request.parameters.get("network") or default_network
    own = request.parameters.get("images") or {}
    asked = {int(number): (one or {}).get("network") for number, one in own.items()}
    names = (answered.get(image.number) or asked.get(image.number) or shared for image in request.images)
    return dict(Counter(names))
