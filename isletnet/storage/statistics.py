"""What was done with the service, by whom, how long it took and what failed: events, in pieces that are never changed.

::

    statistics/<day>/<time>-<random>.json   some events of a process, in the order in which it noted them
    statistics/<day>/<time>-<id>.json       the end of a request: its name is the same whoever notes it
    statistics/<day>/all.json               all of a day that is long past, in place of its pieces
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from isletnet.errors import AlreadyStoredError, NotStoredError, StorageError
from isletnet.storage.layout import STATISTICS, dump, load, read_stamp, stamp
from isletnet.storage.store import Store

_DAY = "%Y%m%d"
_WHOLE_DAY = "all.json"
# Nobody's clock is wrong by more, so a day that ended so long ago gets no more pieces.
_SETTLED = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that was done: a ``call`` of the service, or the ``end`` of a request.

    Parameters
    ----------
    who
        The principal, or the owner of the request.
    action
        Method and route of a call with its parameters by name, never by value; of an end its state.
    duration_s
        Of a call, or of the work on a request.
    status, call_id
        Code and id of a call's answer.
    request_id, waiting_s
        Of a request, and how long it waited for work.
    images
        How many images by network.
    megapixels
        Of all images.
    failures, warnings
        Codes.
    """

    utc: datetime
    kind: Literal["call", "end"]
    who: str
    action: str
    duration_s: float
    status: int | None = None
    call_id: str | None = None
    request_id: str | None = None
    waiting_s: float | None = None
    images: Mapping[str, int] = field(default_factory=dict)
    megapixels: float = 0.0
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """The events of the named pieces; a piece that is not among them came late and stands beside it."""

    pieces: tuple[str, ...]
    events: tuple[Event, ...]


_EVENTS = TypeAdapter(tuple[Event, ...])


def append_events(
    store: Store,
    events: Sequence[Event],
    *,
    now: datetime,
    name: str | None = None,
    random_hex: Callable[[int], str] = secrets.token_hex,
) -> None:
    """Add events, all in one object.

    Parameters
    ----------
    now
        Decides the day, so that days that are past stay as they are.
    name
        Adding under the same moment and name again adds nothing. If None, a random one.
    """
    key = f"{_folder(now)}/{stamp(now)}-{name or random_hex(16)}.json"
    with suppress(AlreadyStoredError):
        store.create(key, _EVENTS.dump_json(tuple(events), exclude_defaults=True))


def read_events(store: Store, since: datetime, until: datetime) -> Iterator[Event]:
    """Read the events from a moment (included) to another (not included), in no order.

    Raises
    ------
    StorageError
        An object is damaged.
    """
    # Events are added after they happened, up to a day later where the store did not answer.
    first, last = since.astimezone(UTC), until.astimezone(UTC) + _SETTLED
    for offset in range((last.date() - first.date()).days + 1):
        day = _folder(first + timedelta(days=offset))
        try:
            events = list(_events_of(store, day, first))
        except NotStoredError:
            # Its pieces were put together meanwhile.
            events = list(_events_of(store, day, first))
        yield from (event for event in events if since <= event.utc < until)


def compact(store: Store, *, now: datetime) -> int:
    """Put the pieces of days long past together, one object a day; returns how many pieces went.

    It may be stopped anywhere and done by many at once.
    """
    joined_n = 0
    for day in list(store.list_folders(STATISTICS)):
        folder = f"{STATISTICS}/{day}"
        if not _is_settled(day, now):
            continue
        pieces = [key for key in store.list_keys(folder) if _is_piece(key)]
        if pieces and not store.exists(f"{folder}/{_WHOLE_DAY}"):
            with suppress(NotStoredError, AlreadyStoredError):
                events = tuple(event for key in pieces for event in _load_piece(store, key))
                store.create(f"{folder}/{_WHOLE_DAY}", dump(_Day(pieces=tuple(pieces), events=events)))
        whole = _whole(store, folder)
        for key in pieces:
            if whole is not None and key in whole.pieces:
                store.delete(key)
                joined_n += 1
    return joined_n


def _folder(moment: datetime) -> str:
    return f"{STATISTICS}/{moment.astimezone(UTC).strftime(_DAY)}"


def _is_settled(day: str, now: datetime) -> bool:
    try:
        begun = datetime.strptime(day, _DAY).replace(tzinfo=UTC)
    except ValueError:
        return False
    return now - begun > timedelta(days=1) + _SETTLED


def _events_of(store: Store, folder: str, since: datetime) -> Iterator[Event]:
    whole = _whole(store, folder)
    if whole is not None:
        yield from whole.events
    for key in store.list_keys(folder):
        if _is_piece(key) and _moment(key) >= since and (whole is None or key not in whole.pieces):
            yield from _load_piece(store, key)


def _whole(store: Store, folder: str) -> _Day | None:
    try:
        return load(store, f"{folder}/{_WHOLE_DAY}", _Day)
    except NotStoredError:
        return None


def _is_piece(key: str) -> bool:
    """Whether a key is one of ours; other notes may lie beside them."""
    try:
        _moment(key)
    except ValueError:
        return False
    return True


def _moment(key: str) -> datetime:
    return read_stamp(key.rpartition("/")[2].partition("-")[0])


def _load_piece(store: Store, key: str) -> tuple[Event, ...]:
    try:
        return _EVENTS.validate_json(store.read(key))
    except ValidationError as error:
        raise StorageError("it should hold events, but is damaged; restore it", subject=key) from error
