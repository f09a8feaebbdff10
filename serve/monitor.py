"""How the service is: the store, the disk, the queue, its parts, what it does and what went wrong lately.

Every answer comes within seconds, whatever hangs; what does not answer is told as silent.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from isletnet.errors import IsletnetError
from isletnet.storage.store import Store
from serve.access.limits import Limits, Space
from serve.upkeep import looks
from serve.upkeep.accelerators import accelerators, nodes_of_ray

if TYPE_CHECKING:
    from isletnet.settings import Settings

ANSWER_S = 3.0
# A health check every second or so from several sides costs one look at the store.
READY_FOR_S = 2.0
_BROKEN = {"failed", "silent", "full"}
# Only numbers to read: these say nothing of how the service is.
_UNJUDGED = {"machine", "processes", "networks"}
_LOG = logging.getLogger("isletnet.serve.monitor")

Ask = Callable[[], Awaitable[Any]]
Look = Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether calls can be served; ``reasons`` are stable codes that tell nothing of the inside."""

    reasons: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


class Monitor:
    """Looks at the service; one for a process.

    Parameters
    ----------
    settings, store, limits
        Of this process.
    parts
        By name, how to ask a part of the service how it is; what it answers is shown as it is.
    monotonic, now
        Clocks: one in seconds that never goes back, and the time of day.
    answer_s
        What takes longer counts as silent.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        limits: Limits,
        *,
        parts: Mapping[str, Ask],
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
        answer_s: float = ANSWER_S,
    ) -> None:
        self._settings = settings
        self._store = store
        self._limits = limits
        self._parts = dict(parts)
        self._monotonic = monotonic
        self._now = now
        self._answer_s = answer_s
        self._looks = self._all_looks()
        # Each look has a thread, so that one that hangs is in no other's way.
        self._threads = ThreadPoolExecutor(len(self._looks), thread_name_prefix="monitor")
        self._beginning = threading.Lock()
        self._begun: dict[str, Future[dict[str, Any]]] = {}
        self._looking = threading.Lock()
        self._readiness: tuple[Readiness, float] | None = None

    def readiness(self) -> Readiness:
        """Tell whether the store answers and the default network is what its card says; not for an event loop."""
        with self._looking:
            if self._readiness is None or self._monotonic() - self._readiness[1] >= READY_FOR_S:
                self._readiness = self._look_ready(), self._monotonic()
            return self._readiness[0]

    async def status(self) -> dict[str, Any]:
        """Tell everything, as JSON holds it: ``state`` is ok, warning or failed, and so is that of each thing."""
        # All are asked at once: together they take no longer than the slowest, and no longer than is waited for it.
        answers = await asyncio.gather(
            *(self._answer(partial(self._look, name)) for name in self._looks),
            *(self._answer(ask) for ask in self._parts.values()),
        )
        things = dict(zip(self._looks, answers[: len(self._looks)], strict=True))
        parts = dict(zip(self._parts, answers[len(self._looks) :], strict=True))
        judged = [thing for name, thing in things.items() if name not in _UNJUDGED]
        return {
            "utc": self._now().isoformat(),
            "state": _worst([one["state"] for one in (*judged, *parts.values())]),
            **things,
            "parts": parts,
            "versions": looks.versions(),
        }

    def _all_looks(self) -> dict[str, Look]:
        store, settings = self._store, self._settings
        return {
            "store": lambda: looks.store_answers(store, monotonic=self._monotonic),
            "network": lambda: looks.network_is_right(settings.network),
            "disk": lambda: _disk(self._limits.space()),
            "queue": lambda: looks.queue(store, now=self._now()),
            "mail": lambda: {**looks.mails(store), "is_sent": bool(settings.smtp_host)},
            "last_hour": lambda: looks.last_hour(store, now=self._now()),
            "accelerators": lambda: accelerators(nodes_of_ray()),
            "machine": lambda: {"state": "ok", **looks.machine()},
            "processes": lambda: {"state": "ok", "list": looks.processes()},
            "networks": looks.networks,
        }

    async def _look(self, name: str) -> dict[str, Any]:
        return await asyncio.wrap_future(self._begin(name))

    def _begin(self, name: str) -> Future[dict[str, Any]]:
        """Begin a look; one that still goes on is not begun again, so that it takes one thread and no more."""
        with self._beginning:
            begun = self._begun.get(name)
            if begun is None or begun.done():
                begun = self._begun[name] = self._threads.submit(self._looks[name])
            return begun

    def _look_ready(self) -> Readiness:
        # A full store still answers: what is there can be read.
        looking = [self._begin("store"), self._begin("network")]
        done, silent = wait(looking, self._answer_s)
        errors = [error for error in (one.exception() for one in looking if one in done) if error is not None]
        reasons = [error.code if isinstance(error, IsletnetError) else "unexpected" for error in errors]
        return Readiness(reasons=(*reasons, *("no_answer" for _ in silent)))

    async def _answer(self, ask: Ask) -> dict[str, Any]:
        """Wait for an answer, but not for ever; an error is an answer, too, and tells its code alone."""
        try:
            answer = await asyncio.wait_for(_asked(ask), self._answer_s)
        except TimeoutError:
            return {"state": "silent", "code": "no_answer"}
        except IsletnetError as error:
            return {"state": "failed", "code": error.code}
        except Exception:
            _LOG.exception("a look at the service failed")
            return {"state": "failed", "code": "unexpected"}
        return answer if isinstance(answer, dict) and "state" in answer else {"state": "ok", "answer": answer}


async def _asked(ask: Ask) -> Any:
    return await ask()


def _disk(space: Space | None) -> dict[str, Any]:
    return {"state": "ok"} if space is None else asdict(space)


def _worst(states: list[str]) -> str:
    if not _BROKEN.isdisjoint(states):
        return "failed"
    return "ok" if all(state == "ok" for state in states) else "warning"
