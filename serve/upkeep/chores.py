"""What keeps a store in order: pruning by age and sweeping up, each run noted in the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from isletnet.errors import IsletnetError
from isletnet.storage.layout import STATISTICS, dump, load, stamp
from isletnet.storage.mail import SmtpSettings
from isletnet.storage.retention import RetentionPolicy, plan, prune, survey
from isletnet.storage.statistics import compact
from isletnet.storage.store import Store
from isletnet.storage.sweep import sweep

if TYPE_CHECKING:
    from isletnet.settings import Settings

ChoreName = Literal["prune", "sweep"]
# Beside the days of the statistics, which pass over it.
CHORES = f"{STATISTICS}/chores"
KEPT_RUNS_N = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoreRun:
    """One run of a chore: what it removed by kind, or the code and the sentence of what stopped it."""

    chore: ChoreName
    actor: str
    begun_utc: datetime
    duration_s: float
    removed: Mapping[str, int] = field(default_factory=dict)
    code: str | None = None
    message: str | None = None


def policy_of(settings: Settings) -> RetentionPolicy:
    """Take from the settings how long things are kept."""
    return RetentionPolicy(
        images_days=settings.images_days, results_days=settings.results_days, drafts_days=settings.drafts_days
    )


def pages_address(settings: Settings) -> str:
    """Tell where people find the pages."""
    return settings.pages_origin or f"http://{settings.host}:{settings.pages_port}"


def smtp_of(settings: Settings) -> SmtpSettings | None:
    """Take from the settings where mails go; None where none are sent."""
    if not settings.smtp_host:
        return None
    page = f"{pages_address(settings)}/?request={{request_id}}"
    return SmtpSettings(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        sender=settings.mail_sender,
        link=settings.result_link or page,
        username=settings.smtp_username or None,
        password=settings.smtp_password.get_secret_value() or None,
    )


def plan_prune(store: Store, settings: Settings, *, now: datetime) -> dict[str, Any]:
    """Tell what pruning would delete now, as JSON holds it; nothing is changed."""
    due = plan(survey(store), policy_of(settings), now=now)
    deletions = [
        {"request_id": one.request_id, "kind": one.kind, "rule": one.rule, "objects_n": len(one.keys)} for one in due
    ]
    return {"dry_run": True, "utc": now.isoformat(), "deletions": deletions, "removed": _counted(d.kind for d in due)}


def run_prune(
    store: Store, settings: Settings, *, actor: str, now: datetime, monotonic: Callable[[], float]
) -> ChoreRun:
    """Delete what is due, put old statistics together, and note the run; an error of the store is in the run."""

    def work() -> Mapping[str, int]:
        tombstones = prune(store, policy_of(settings), actor=actor, now=now)
        compact(store, now=now)
        return _counted(tombstone.kind for tombstone in tombstones)

    return _run(store, "prune", work, actor=actor, now=now, monotonic=monotonic)


def run_sweep(store: Store, *, now: datetime, monotonic: Callable[[], float]) -> ChoreRun:
    """Remove what is left over, and note the run if it did or could not do anything."""

    def work() -> Mapping[str, int]:
        return _counted(key.partition("/")[0] for key in sweep(store, now=now))

    return _run(store, "sweep", work, actor="keeper", now=now, monotonic=monotonic)


def last_runs(store: Store) -> dict[str, ChoreRun]:
    """Read the last noted run of each chore."""
    found = {}
    for key in store.list_keys(CHORES):
        found[key.rpartition("-")[2].removesuffix(".json")] = key
    return {chore: load(store, key, ChoreRun) for chore, key in found.items()}


def plain(run: ChoreRun) -> dict[str, Any]:
    """Give a run as JSON holds it, with ``state``: ok or failed."""
    told = {**asdict(run), "begun_utc": run.begun_utc.isoformat(), "removed": dict(run.removed)}
    return {"state": "ok" if run.code is None else "failed", **told}


def _run(
    store: Store,
    chore: ChoreName,
    work: Callable[[], Mapping[str, int]],
    *,
    actor: str,
    now: datetime,
    monotonic: Callable[[], float],
) -> ChoreRun:
    begun_s = monotonic()
    removed: Mapping[str, int] = {}
    code = message = None
    try:
        removed = work()
    except IsletnetError as error:
        code, message = error.code, error.message
    run = ChoreRun(
        chore=chore,
        actor=actor,
        begun_utc=now,
        duration_s=round(monotonic() - begun_s, 3),
        removed=removed,
        code=code,
        message=message,
    )
    if chore == "prune" or removed or code:
        try:
            _note(store, run)
        except IsletnetError:
            # A store that is full or away cannot take the note; the run still tells it to whoever asked for it.
            return run
    return run


def _note(store: Store, run: ChoreRun) -> None:
    ending = f"-{run.chore}.json"
    store.create(f"{CHORES}/{stamp(run.begun_utc)}{ending}", dump(run))
    older = [key for key in store.list_keys(CHORES) if key.endswith(ending)]
    for key in older[:-KEPT_RUNS_N]:
        store.delete(key)


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
