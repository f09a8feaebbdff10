"""For those who run the service: keys, pruning, the clock, statistics."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from isletnet.errors import ParameterError
from isletnet.storage.retention import confirm_clock
from isletnet.storage.statistics import read_events
from serve.access.keys import KeyStatus, add_key, list_keys, revoke_key
from serve.doors import files
from serve.doors.deps import Deps, TheDeps, Who
from serve.doors.types import ClockAnswer, Key, KeyList, KeyOrder, NewKey
from serve.intake.small_bodies import SmallBodyRoute
from serve.statistics.tables import Statistics, aggregate, period, to_json
from serve.statistics.xlsx import statistics_xlsx

router = APIRouter(prefix="/api", tags=["admin"], route_class=SmallBodyRoute)

First = Annotated[
    date | None, Query(alias="from", description="The first day (UTC); 29 days before the last if absent.")
]
Last = Annotated[date | None, Query(alias="to", description="The last day (UTC); today if absent.")]
_XLSX: dict[int | str, dict[str, Any]] = {
    200: {"content": {files.MEDIA_TYPES["xlsx"]: {"schema": {"type": "string", "format": "binary"}}}}
}


@router.post("/admin/keys", status_code=201)
def make_key(order: KeyOrder, who: Who, deps: TheDeps) -> NewKey:
    """Make a key; it is shown in this answer and never again."""
    who.require("admin")
    key, status = add_key(deps.store, order.name, order.scopes, actor=who.name, now=deps.now())
    return NewKey(**dict(_key(status)), key=key)


@router.get("/admin/keys")
def keys(who: Who, deps: TheDeps) -> KeyList:
    """List all keys, revoked ones, too."""
    who.require("admin")
    return KeyList(keys=tuple(_key(status) for status in list_keys(deps.store)))


@router.delete("/admin/keys/{key_id}")
def end_key(key_id: str, who: Who, deps: TheDeps) -> Key:
    """Revoke a key; within seconds nobody accepts it."""
    who.require("admin")
    return _key(revoke_key(deps.store, key_id, actor=who.name, now=deps.now()))


@router.post("/admin/prune")
async def prune(
    who: Who,
    deps: TheDeps,
    dry_run: Annotated[bool, Query(description="Only tell what would be deleted.")] = True,
) -> dict[str, Any]:
    """Delete now what is older than it may be, or tell what that would be."""
    who.require("admin")
    return await deps.prune(dry_run, who.name)


@router.post("/admin/clock")
def clock(who: Who, deps: TheDeps) -> ClockAnswer:
    """Take the service's clock for right after it moved by more than a day, so that pruning goes on."""
    who.require("admin")
    now = deps.now()
    confirm_clock(deps.store, admin=who.name, now=now)
    return ClockAnswer(utc=now)


@router.get("/statistics")
def statistics(who: Who, deps: TheDeps, first: First = None, last: Last = None) -> dict[str, Any]:
    """Tell what was used, by day, person, network and call, and what failed."""
    who.require("admin")
    return to_json(_statistics(deps, first, last))


@router.get("/statistics/access_statistics.xlsx", response_class=StreamingResponse, responses=_XLSX)
def statistics_workbook(who: Who, deps: TheDeps, first: First = None, last: Last = None) -> StreamingResponse:
    """Give the statistics as a workbook with charts."""
    who.require("admin")
    content = statistics_xlsx(_statistics(deps, first, last))
    return files.file_answer(iter([content]), "access_statistics.xlsx", stem="", size_bytes=len(content))


def _statistics(deps: Deps, first: date | None, last: date | None) -> Statistics:
    if any(day is not None and not 2000 <= day.year < 3000 for day in (first, last)):
        raise ParameterError("the days are between 2000 and 2999", subject="from" if first else "to")
    since, until = period(first, last, today=deps.now().astimezone(UTC).date())
    events = read_events(
        deps.store,
        datetime.combine(since, time(), UTC),
        datetime.combine(until, time(), UTC) + timedelta(days=1),
    )
    return aggregate(events, first=since, last=until)


def _key(status: KeyStatus) -> Key:
    return Key(
        id=status.key_id,
        name=status.name,
        scopes=status.scopes,
        created_utc=status.created_utc,
        created_by=status.created_by,
        revoked_utc=status.revoked_utc,
    )
