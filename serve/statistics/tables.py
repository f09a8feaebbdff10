"""Tables of what was done with the service: by day, person, network and action, and what failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any

from isletnet.errors import ParameterError
from isletnet.storage.statistics import Event

if TYPE_CHECKING:
    import pandas as pd

LONGEST_DAYS = 400
# Who called without a key; no principal has brackets in its name.
NOBODY = "(unknown)"
_QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_COLUMNS = ("utc", "kind", "who", "action", "status", "duration_s", "waiting_s", "images_n", "megapixels", "failures_n")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statistics:
    """Tables for the days ``first`` to ``last``, both included; days are of UTC.

    ``days`` has a row for each day, also without events. Durations are in seconds, of calls and of the work on
    requests; percentiles are None where nothing was done. ``requests_n`` counts requests that ended, and a
    day's ``failures_n`` images without a result and requests that died as wholes.
    """

    first: date
    last: date
    days: pd.DataFrame
    people: pd.DataFrame
    networks: pd.DataFrame
    actions: pd.DataFrame
    failures: pd.DataFrame


def period(first: date | None, last: date | None, *, today: date) -> tuple[date, date]:
    """Fill in the days that were not said: up to today, from 29 days before the last.

    Raises
    ------
    ParameterError
        The first is after the last, or they are more than `LONGEST_DAYS` apart.
    """
    until = last or today
    since = first or until - timedelta(days=29)
    if not since <= until <= since + timedelta(days=LONGEST_DAYS):
        raise ParameterError(f"the days go from the first to the last, at most {LONGEST_DAYS}; got {since} to {until}")
    return since, until


def aggregate(events: Iterable[Event], *, first: date, last: date) -> Statistics:
    """Count events.

    Parameters
    ----------
    events
        In any order; those of other days are passed over.
    first, last
        Days of UTC, both included.
    """
    import pandas as pd

    chosen = [event for event in events if first <= event.utc.date() <= last]
    # A request may be told of twice where two looked at once under a clock that was put back; it ended once.
    ends = list({event.request_id: event for event in chosen if event.kind == "end"}.values())
    calls = [event for event in chosen if event.kind == "call"]
    table = pd.DataFrame([_row(event) for event in calls + ends], columns=list(_COLUMNS))
    table["day"] = [moment.date() for moment in table["utc"]]
    return Statistics(
        first=first,
        last=last,
        days=_days(table, first, last),
        people=_people(table),
        networks=_networks(calls + ends),
        actions=_actions(table[table["kind"] == "call"]),
        failures=_failures(calls + ends),
    )


def to_json(statistics: Statistics) -> dict[str, Any]:
    """Give the tables as lists of rows for JSON."""
    return {
        "first": statistics.first.isoformat(),
        "last": statistics.last.isoformat(),
        **{
            name: [{column: _plain(value) for column, value in row.items()} for row in table.to_dict("records")]
            for name, table in tables(statistics)
        },
    }


def tables(statistics: Statistics) -> Iterator[tuple[str, pd.DataFrame]]:
    """Name the tables, in the order in which people read them."""
    for name in ("days", "people", "networks", "actions", "failures"):
        yield name, getattr(statistics, name)


def _row(event: Event) -> list[Any]:
    return [
        event.utc,
        event.kind,
        event.who or NOBODY,
        event.action,
        event.status,
        event.duration_s,
        event.waiting_s,
        sum(event.images.values()),
        event.megapixels,
        len(event.failures),
    ]


def _days(table: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    groups = dict(list(table.groupby("day")))
    return _frame([{"day": day, **_of_day(groups.get(day, table.iloc[:0]))} for day in days])


def _of_day(table: pd.DataFrame) -> dict[str, Any]:
    calls, ends = table[table["kind"] == "call"], table[table["kind"] == "end"]
    return {
        "calls_n": len(calls),
        "refused_calls_n": int(calls["status"].between(400, 499).sum()),
        "failed_calls_n": int((calls["status"] >= 500).sum()),
        "requests_n": len(ends),
        **{f"{state}_n": int((ends["action"] == state).sum()) for state in ("done", "dead", "cancelled")},
        "images_n": int(table["images_n"].sum()),
        "failures_n": int(ends["failures_n"].sum()),
        "megapixels": float(table["megapixels"].sum()),
        "people_n": int(table["who"].nunique()),
        **_percentiles(ends["waiting_s"], "waiting_s"),
        **_percentiles(ends["duration_s"], "working_s"),
        **_percentiles(calls["duration_s"], "call_s"),
    }


def _people(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for who, group in table.groupby("who"):
        ends, calls = group[group["kind"] == "end"], group[group["kind"] == "call"]
        rows.append(
            {
                "who": who,
                "calls_n": len(calls),
                "requests_n": len(ends),
                "images_n": int(group["images_n"].sum()),
                "megapixels": float(group["megapixels"].sum()),
                "failures_n": int(group["failures_n"].sum()),
                "working_s": float(ends["duration_s"].sum()),
                "last_utc": group["utc"].max(),
            }
        )
    columns = ("who", "calls_n", "requests_n", "images_n", "megapixels", "failures_n", "working_s", "last_utc")
    return _sorted(_frame(rows, columns), by="images_n", then="who")


def _networks(events: Sequence[Event]) -> pd.DataFrame:
    names = sorted({name for event in events for name in event.images})
    rows = []
    for name in names:
        mine = [event for event in events if name in event.images]
        ends = [event for event in mine if event.kind == "end"]
        # The time per image is of requests that used this network alone.
        alone = [event for event in ends if len(event.images) == 1 and event.action == "done"]
        rows.append(
            {
                "network": name,
                "requests_n": len(ends),
                "images_n": sum(event.images[name] for event in mine),
                **_percentiles([event.duration_s / event.images[name] for event in alone], "working_s_per_image"),
            }
        )
    columns = ("network", "requests_n", "images_n", *(f"working_s_per_image_{name}" for name in _QUANTILES))
    return _sorted(_frame(rows, columns), by="images_n", then="network")


def _actions(calls: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {
            "action": action,
            "calls_n": len(group),
            "refused_n": int(group["status"].between(400, 499).sum()),
            "failed_n": int((group["status"] >= 500).sum()),
            **_percentiles(group["duration_s"], "call_s"),
        }
        for action, group in calls.groupby("action")
    ]
    columns = ("action", "calls_n", "refused_n", "failed_n", *(f"call_s_{name}" for name in _QUANTILES))
    return _sorted(_frame(rows, columns), by="calls_n", then="action")


def _failures(events: Sequence[Event]) -> pd.DataFrame:
    found: dict[tuple[str, str], list[datetime]] = {}
    for event in events:
        for code in event.failures:
            found.setdefault((code, event.kind), []).append(event.utc)
    names = {"call": "calls", "end": "requests"}
    rows = [
        {"code": code, "of": names[kind], "failures_n": len(when), "first_utc": min(when), "last_utc": max(when)}
        for (code, kind), when in found.items()
    ]
    return _sorted(_frame(rows, ("code", "of", "failures_n", "first_utc", "last_utc")), by="failures_n", then="code")


def _percentiles(values: Any, name: str) -> dict[str, float | None]:
    import numpy as np

    known = np.asarray([float(value) for value in values if value is not None], dtype=float)
    known = known[np.isfinite(known)]
    return {
        f"{name}_{key}": float(np.quantile(known, share)) if known.size else None for key, share in _QUANTILES.items()
    }


def _frame(rows: Sequence[dict[str, Any]], columns: Sequence[str] | None = None) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=None if columns is None else list(columns))


def _sorted(table: pd.DataFrame, *, by: str, then: str) -> pd.DataFrame:
    return table.sort_values([by, then], ascending=[False, True], ignore_index=True)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not isfinite(value) else value
