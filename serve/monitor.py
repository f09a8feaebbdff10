"""How the service is: the store, the disk, the queue, its parts, what it does and what went wrong lately.

Every answer comes within seconds, whatever hangs; what does not answer is told as silent.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from isletnet.errors import IsletnetError
from isletnet.storage.store import Store
from serve.access.limits import Limits, Space
from serve.upkeep import looks

if TYPE_CHECKING:
    from isletnet.settings import Settings

ANSWER_S = 3.0
# A health check every second or so from several sides costs one look at the store.
READY_FOR_S = 2.0
_THREADS_N = 8
_BROKEN = {"failed", "silent", "full"}
_LOG = logging.getLogger("isletnet.serve.monitor")

Ask = Callable[[], Awaitable[Any]]


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
        # Looks that hang use up these threads and no others.
        self._threads = ThreadPoolExecutor(_THREADS_N, thread_name_prefix="monitor")
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
        now, store = self._now(), self._store
        asked: dict[str, Awaitable[Any]] = {
            "store": self._look(lambda: looks.store_answers(store, monotonic=self._monotonic)),
            "network": self._look(lambda: looks.network_is_right(self._settings.network)),
            "disk": self._look(lambda: _disk(self._limits.space())),
            "queue": self._look(lambda: looks.queue(store, now=now)),
            "mail": self._look(lambda: {**looks.mails(store), "is_sent": bool(self._settings.smtp_host)}),
            "last_hour": self._look(lambda: looks.last_hour(store, now=now)),
        }
        things = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
        answers = await asyncio.gather(*(self._answer(ask()) for ask in self._parts.values()))
        parts = dict(zip(self._parts, answers, strict=True))
        states = [thing["state"] for thing in things.values()] + [part["state"] for part in parts.values()]
        return {
            "utc": now.isoformat(),
            "state": _worst(states),
            **things,
            "parts": parts,
            "machine": await self._look(lambda: {"state": "ok", **looks.machine()}),
            "processes": await self._look(lambda: {"state": "ok", "list": looks.processes()}),
            "versions": looks.versions(),
            "networks": await self._look(looks.networks),
        }

    def _look_ready(self) -> Readiness:
        # A full store still answers: what is there can be read.
        looking = [
            self._threads.submit(looks.store_answers, self._store, monotonic=self._monotonic),
            self._threads.submit(looks.network_is_right, self._settings.network),
        ]
        done, silent = wait(looking, self._answer_s)
        errors = [error for error in (one.exception() for one in looking if one in done) if error is not None]
        reasons = [error.code if isinstance(error, IsletnetError) else "unexpected" for error in errors]
        return Readiness(reasons=(*reasons, *("no_answer" for _ in silent)))

    async def _look(self, look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        answer: dict[str, Any] = await self._answer(asyncio.get_running_loop().run_in_executor(self._threads, look))
        return answer

    async def _answer(self, asked: Awaitable[Any]) -> dict[str, Any]:
        """Wait for an answer, but not for ever; an error is an answer, too, and tells its code alone."""
        try:
            answer = await asyncio.wait_for(_awaited(asked), self._answer_s)
        except TimeoutError:
            return {"state": "silent", "code": "no_answer"}
        except IsletnetError as error:
            return {"state": "failed", "code": error.code}
        except Exception:
            _LOG.exception("a look at the service failed")
            return {"state": "failed", "code": "unexpected"}
        return answer if isinstance(answer, dict) and "state" in answer else {"state": "ok", "answer": answer}


async def _awaited(asked: Awaitable[Any]) -> Any:
    return await asked


def _disk(space: Space | None) -> dict[str, Any]:
    return {"state": "ok"} if space is None else asdict(space)


def _worst(states: list[str]) -> str:
    if not _BROKEN.isdisjoint(states):
        return "failed"
    return "ok" if all(state == "ok" for state in states) else "warning"
