"""The deployment that keeps the store in order by itself: prunes, sweeps up, sends the mails, and raises the alarm."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import ray
from ray import serve

from isletnet.settings import Settings
from isletnet.storage.mail import Postman, SmtpSettings
from isletnet.storage.store import Store, open_store
from serve.access.limits import Limits
from serve.upkeep.alerts import Alarm, looks_of, teller
from serve.upkeep.chores import last_runs, pages_address, plain, plan_prune, run_prune, run_sweep, smtp_of

SWEEP_S, MAIL_S = 30.0, 5.0
# Sweeping rests at least so many times as long as it took.
REST_FACTOR = 10.0
# The longest time without a look at what is due.
_LOOK_S = 1.0
_LOG = logging.getLogger("isletnet.serve.keeper")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """Something to do every ``every_s`` seconds, or ``rest_factor`` times as long as it took where that is more."""

    name: str
    every_s: float
    do: Callable[[], Any]
    rest_factor: float = 0.0


class Rounds:
    """Does chores one after the other, each when its time has come; one that fails stops neither itself nor others.

    Parameters
    ----------
    chores
        In the order in which they are done where several are due.
    monotonic
        A clock in seconds that never goes back.
    """

    def __init__(self, chores: Sequence[Chore], *, monotonic: Callable[[], float]) -> None:
        self._chores = tuple(chores)
        self._monotonic = monotonic
        self._due_s = {chore.name: monotonic() for chore in chores}

    def step(self) -> float:
        """Do what is due; returns the seconds until something is due again."""
        for chore in self._chores:
            begun_s = self._monotonic()
            if begun_s < self._due_s[chore.name]:
                continue
            try:
                chore.do()
            except Exception:
                _LOG.exception("%s failed", chore.name)
            ended_s = self._monotonic()
            rest_s = max(chore.every_s, chore.rest_factor * (ended_s - begun_s))
            self._due_s[chore.name] = ended_s + rest_s
        return max(0.0, min(self._due_s.values()) - self._monotonic())


def _alarm(store: Store, settings: Settings, smtp: SmtpSettings) -> Alarm:
    limits = Limits(settings, monotonic=time.monotonic)

    def disk_state() -> str:
        space = limits.space()
        return "ok" if space is None else space.state

    page = f"{pages_address(settings)}/status"
    return Alarm(
        store,
        looks_of(store, settings, disk_state=disk_state, monotonic=time.monotonic),
        teller(smtp, to=settings.alert_to, page=page, now=lambda: datetime.now(UTC)),
        now=lambda: datetime.now(UTC),
    )


@ray.remote(num_cpus=0, max_retries=1)
def _prune_task(settings: Settings, actor: str, dry_run: bool) -> dict[str, Any]:
    store, now = open_store(settings.store), datetime.now(UTC)
    if dry_run:
        return plan_prune(store, settings, now=now)
    return plain(run_prune(store, settings, actor=actor, now=now, monotonic=time.monotonic))


@ray.remote(num_cpus=0, max_retries=1)
def _sweep_task(settings: Settings) -> dict[str, Any]:
    return plain(run_sweep(open_store(settings.store), now=datetime.now(UTC), monotonic=time.monotonic))


@serve.deployment(name="Keeper", max_ongoing_requests=16, ray_actor_options={"num_cpus": 0})
class Keeper:
    """Starts the chores as tasks of Ray, when their time has come or an admin asks.

    Parameters
    ----------
    settings
        None reads the environment.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = chosen = settings or Settings()
        self._store = open_store(chosen.store)
        self._last: dict[str, dict[str, Any]] = {}
        chores = [
            Chore(name="prune", every_s=3600 * chosen.prune_hours, do=self._prune),
            Chore(name="sweep", every_s=SWEEP_S, do=self._sweep, rest_factor=REST_FACTOR),
        ]
        rounds = [Rounds(chores, monotonic=time.monotonic)]
        smtp = smtp_of(chosen)
        if smtp is not None:
            postman = Postman(self._store, smtp, monotonic=time.monotonic)
            mail = Chore(name="mail", every_s=MAIL_S, do=lambda: postman.deliver(now=datetime.now(UTC)))
            # Apart from the others: a mail server that keeps silent holds up nothing else.
            rounds.append(Rounds([mail], monotonic=time.monotonic))
        self._alarm = None if smtp is None or not chosen.alert_to else _alarm(self._store, chosen, smtp)
        if self._alarm is not None:
            look = Chore(name="look", every_s=60 * chosen.alert_minutes, do=self._alarm.look)
            rounds.append(Rounds([look], monotonic=time.monotonic))
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._go, args=(one,), daemon=True) for one in rounds]
        for thread in self._threads:
            thread.start()

    async def prune(self, dry_run: bool, actor: str = "admin") -> dict[str, Any]:
        """Prune now, or tell what that would delete; see `serve.upkeep.chores`."""
        told: dict[str, Any] = await _prune_task.remote(self._settings, actor, dry_run)
        if not dry_run:
            self._last["prune"] = told
        return told

    def status(self) -> dict[str, Any]:
        """Tell how it is, the last run of each chore, and what is broken where somebody is told of that.

        ``state`` is ok, or warning where a chore could not be done or something is broken.
        """
        runs = {**{chore: plain(run) for chore, run in last_runs(self._store).items()}, **self._last}
        broken = {} if self._alarm is None else dict(self._alarm.health.broken)
        is_well = not broken and all(run["state"] == "ok" for run in runs.values())
        return {"state": "ok" if is_well else "warning", "last_runs": runs, "broken": broken}

    def check_health(self) -> None:
        """Tell Serve whether this is to be started anew."""
        if not all(thread.is_alive() for thread in self._threads):
            raise RuntimeError("a thread of the chores has ended")

    def __del__(self) -> None:
        self._ended.set()

    def _go(self, rounds: Rounds) -> None:
        while not self._ended.wait(min(rounds.step(), _LOOK_S)):
            pass

    def _prune(self) -> None:
        self._last["prune"] = ray.get(_prune_task.remote(self._settings, "keeper", False))

    def _sweep(self) -> None:
        self._last["sweep"] = ray.get(_sweep_task.remote(self._settings))
