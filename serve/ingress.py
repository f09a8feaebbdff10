"""The deployment that answers calls: the routes, with handles of the deployments that do the work."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import ray
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from isletnet.errors import IsletnetError
from isletnet.settings import Settings
from isletnet.storage.store import open_store
from serve.access.identity import Access
from serve.access.limits import ANSWERS_AT_ONCE, Limits
from serve.access.refusals import BusyError
from serve.app import create_app
from serve.doors.calls import ACCESS_LOG
from serve.doors.deps import Deps
from serve.monitor import Monitor
from serve.platform.listen import Server
from serve.pruner import Keeper
from serve.segmenter import Segmenter
from serve.shepherd import Shepherd
from serve.statistics.events import EventLog
from serve.work.direct import LineLostError, Shortcut
from serve.work.tasks import Answer, Broken, NowTask, Task
from serve.work.trial import Trial

RETRY_S = 5.0
MOST_WORKERS_N = 8
# How often a replica that is to end looks whether its calls are over. Three stages wait for each other at a stop.
DRAINED_S = 0.5
# Callers who wait for the shepherd; more than it takes, so that it is the one who refuses.
MOST_WAITING = 2 * ANSWERS_AT_ONCE
# A larger image goes to its worker without a stop at the shepherd, for whom it would be much to hold.
SENT_BYTES = 16_000_000
# So long the API waits at its start for the other parts, which may be starting, too.
FIRST_ANSWERS_S = 20.0
_LOST = Broken(code="worker_lost", message="A part of the service broke down and is being started anew; try again.")

_LOG = logging.getLogger("isletnet.serve.ingress")


class Layout(BaseModel):
    """What serve.yaml may say beside replicas; see `serve.shepherd.Shepherd` and `serve.platform.listen.Server`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers_n: int = Field(default_factory=lambda: usual_workers_n(os.cpu_count() or 1), ge=1)
    worker_cpus: float = Field(default=0.25, ge=0)
    worker_memory_mb: int = Field(default=4_000, ge=500)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65_535)


def usual_workers_n(cpus_n: int) -> int:
    """One worker more than processors, so that tiles wait while others are measured; a few suffice for one device."""
    return min(cpus_n, MOST_WORKERS_N - 1) + 1


@serve.deployment(name="Ingress", ray_actor_options={"num_cpus": 0})
@serve.ingress()
class Ingress:
    """Answers calls.

    Parameters
    ----------
    shepherd, segmenter, keeper
        Handles of the deployments of these names.
    host, port
        Where it listens, beside all others of the machine.
    settings
        None reads the environment.
    """

    def __init__(
        self,
        shepherd: DeploymentHandle[Any],
        segmenter: DeploymentHandle[Any],
        keeper: DeploymentHandle[Any],
        *,
        host: str,
        port: int,
        settings: Settings | None = None,
    ) -> None:
        chosen = settings or Settings()
        _log_calls()
        self._server = Server(host, port)
        store = open_store(chosen.store)
        replicas_n = serve.get_replica_context().world_size or 1
        limits = Limits(chosen, monotonic=time.monotonic, processes_n=replicas_n)
        ask = Asking(shepherd)
        parts: dict[str, Callable[[], Awaitable[Any]]] = {
            "shepherd": lambda: _plainly(shepherd.report.remote()),
            "segmenter": lambda: _plainly(segmenter.report.remote()),
            "keeper": lambda: _plainly(keeper.status.remote()),
            "trial": Trial(ask, monotonic=time.monotonic, now=_now).look,
        }
        self._parts = [parts[name] for name in ("shepherd", "segmenter", "keeper")]
        self._events = EventLog(store, now=_now, default_network=chosen.network)
        self._events.start()
        self._deps = Deps(
            settings=chosen,
            store=store,
            access=Access(chosen, store, monotonic=time.monotonic, now=_now),
            limits=limits,
            monitor=Monitor(chosen, store, limits, parts=parts, monotonic=time.monotonic, now=_now),
            note=self._events.note,
            nudge=lambda: _nudge(shepherd),
            ask=ask,
            prune=lambda dry_run, actor: _prune(keeper, dry_run, actor),
            now=_now,
            monotonic=time.monotonic,
        )

    def __serve_build_asgi_app__(self) -> FastAPI:  # noqa: N807
        app = create_app(self._deps)
        app.router.on_startup.extend((partial(first_answers, self._parts), partial(self._server.open, app)))
        app.router.on_shutdown.extend((self._server.close, self._events.close))
        return app

    def check_health(self) -> None:
        """Tell Ray Serve whether it works; raises ``RuntimeError`` when it does not listen."""
        if not self._server.is_open:
            raise RuntimeError("the API's server has ended")


def application(arguments: dict[str, Any]) -> Any:
    """Bind the deployments to each other; ``arguments`` are those of `Layout`."""
    layout = Layout.model_validate(arguments)
    segmenter = _bound(Segmenter)
    shepherd = _bound(Shepherd, segmenter, **layout.model_dump(exclude={"host", "port"}))
    return _bound(Ingress, shepherd, segmenter, _bound(Keeper), host=layout.host, port=layout.port)


def _bound(deployment: Any, *arguments: Any, **named: Any) -> Any:
    """Bind a deployment; the types of Ray's decorators hide what they made of a class."""
    return deployment.options(graceful_shutdown_wait_loop_s=DRAINED_S).bind(*arguments, **named)


async def first_answers(parts: Sequence[Callable[[], Awaitable[Any]]], patience_s: float = FIRST_ANSWERS_S) -> None:
    """Wait until all parts have answered once, or have had the time for it: then who asks how they are hears it."""
    # One that is away comes back by itself, and calls that need none are answered meanwhile.
    with suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            await asyncio.gather(*(part() for part in parts), return_exceptions=True)


class Asking:
    """Has tasks done by the shepherd: over a direct line to the only one, else by way of Ray Serve."""

    def __init__(self, shepherd: DeploymentHandle[Any]) -> None:
        self._shepherd = shepherd
        self._shortcut = Shortcut(lambda: shepherd.address.remote().result())
        # Threads of its own: those who wait here must not take them from short calls.
        self._threads = CapacityLimiter(MOST_WAITING)

    async def __call__(self, task: Task) -> Answer:
        """Have a task done; `Broken` where a part of the service is away."""
        content = task.content if isinstance(task, NowTask) else b""
        try:
            if isinstance(task, NowTask) and isinstance(content, bytes) and len(content) > SENT_BYTES:
                # The worker takes the image from Ray's store; the shepherd need not hand it on.
                take: Callable[[], Any] = partial(ray.get, ray.put(content))
                task = replace(task, content=take)
            else:
                answer = await to_thread.run_sync(self._directly, task, limiter=self._threads, abandon_on_cancel=True)
                if answer is not None:
                    return answer
            told: Answer = await self._shepherd.ask.remote(task)
        except (RayError, RayServeException) as error:
            _LOG.warning("a task was lost: %s", type(error).__name__)
            return _LOST
        return told

    def _directly(self, task: Task) -> Answer | None:
        # A line of a shepherd that has died is no way to its successor; all tasks may be done twice.
        with suppress(LineLostError):
            answer: Answer | None = self._shortcut.ask(task)
            return answer
        return None


async def _prune(keeper: DeploymentHandle[Any], dry_run: bool, actor: str) -> dict[str, Any]:
    try:
        told: dict[str, Any] = await keeper.prune.remote(dry_run, actor)
    except (RayError, RayServeException) as error:
        # What a deployment raises comes wrapped in an error of Ray's that is also one of its own kind.
        if isinstance(error, IsletnetError):
            raise getattr(error, "cause", error) from None
        raise BusyError("the pruner is being started anew; try again", retry_after_s=RETRY_S) from error
    return told


def _nudge(shepherd: DeploymentHandle[Any]) -> None:
    """Wake the shepherd; without it, the request is found half a second later."""
    try:
        shepherd.nudge.remote()
    except (RayError, RayServeException, RuntimeError) as error:
        _LOG.warning("no nudge: %s", type(error).__name__)


async def _plainly(answer: Any) -> Any:
    told = await answer
    return told if isinstance(told, dict) else asdict(told)


def _log_calls() -> None:
    """Write the access log to this process's own output, a line of JSON for each call; Ray rotates the file."""
    if not ACCESS_LOG.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        ACCESS_LOG.addHandler(handler)
    ACCESS_LOG.setLevel(logging.INFO)
    ACCESS_LOG.propagate = False


def _now() -> datetime:
    return datetime.now(UTC)
