"""What administrators ask of the service: keys, pruning, the clock, the workbook of statistics, dead requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

from isletnet.client import records
from isletnet.client.calls import Call, Flow, Patience, ask, ask_json, json_body, once, parse
from isletnet.client.fetch import fetch
from isletnet.client.send import OnProgress, look

# Pruning reads the whole store.
PRUNE_SILENCE_S = 900.0


def keys(patience: Patience) -> Flow[tuple[records.Key, ...]]:
    """List all keys."""
    call = Call(method="GET", path="/api/admin/keys")
    return (yield from ask_json(call, patience, lambda data: tuple(map(records.key, data["keys"]))))


def make_key(patience: Patience, name: str, scopes: Iterable[str]) -> Flow[records.NewKey]:
    """Make a key. It is asked for once only: a second attempt would make a second one."""
    body = json_body({"name": name, "scopes": list(scopes)})
    answer = yield from once(Call(method="POST", path="/api/admin/keys", body=body), patience)
    return parse(answer.content, records.new_key)


def revoke_key(patience: Patience, key_id: str) -> Flow[records.Key]:
    """End a key."""
    path = f"/api/admin/keys/{quote(key_id, safe='', errors='replace')}"
    return (yield from ask_json(Call(method="DELETE", path=path), patience, records.key))


def requeue(patience: Patience, request_id: str) -> Flow[records.Status]:
    """Submit a dead request again; gives the status of the new one."""
    call = Call(method="POST", path=f"/api/requests/{request_id}/requeue")
    new_id = yield from ask_json(call, patience, lambda data: str(data["request_id"]))
    return (yield from look(patience, new_id))


def prune(patience: Patience, dry_run: bool) -> Flow[dict[str, Any]]:
    """Delete what is due, or tell what that would be."""
    query = {"dry_run": str(dry_run).lower()}
    call = Call(method="POST", path="/api/admin/prune", query=query, silence_s=PRUNE_SILENCE_S)
    return (yield from ask_json(call, patience, dict))


def confirm_clock(patience: Patience) -> Flow[None]:
    """Say that the service's clock is right."""
    yield from ask(Call(method="POST", path="/api/admin/clock"), patience)


def statistics(patience: Patience, first: date | None, last: date | None) -> Flow[dict[str, Any]]:
    """Ask who used what."""
    return (yield from ask_json(Call(method="GET", path="/api/statistics", query=_days(first, last)), patience, dict))


def statistics_workbook(
    patience: Patience, target: Path, first: date | None, last: date | None, on_progress: OnProgress
) -> Flow[Path]:
    """Fetch who used what as a workbook."""
    path = "/api/statistics/access_statistics.xlsx"
    return (yield from fetch(patience, path, target, query=_days(first, last), on_progress=on_progress))


def _days(first: date | None, last: date | None) -> Mapping[str, str | int]:
    given = {"from": first, "to": last}
    return {name: day.isoformat() for name, day in given.items() if day}
