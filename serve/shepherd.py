"""The deployment that takes requests from storage and sees to it that each of them ends."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from isletnet.errors import StorageError
from isletnet.settings import Settings
from isletnet.storage.leases import Dispatcher
from isletnet.storage.processes import process_mark
from isletnet.storage.store import Store, open_store
from isletnet.storage.training import copies_due
from isletnet.storage.versions import unfinished
from serve.pools.workers import RayPool, RemoteWorker
from serve.work.coordination import Coordinator
from serve.work.direct import Switchboard
from serve.work.tasks import Answer, Broken, CopyTask, CorrectionTask, Task

POLL_S = 0.5
# How often it looks for what others left unfinished.
CHORES_S = 30.0
# More callers than this who wait for an answer at once are told to come later.
MOST_ASKED = 16
BUSY = Broken(code="busy", message="Too many wait for an answer at once; try again in a few seconds.")
STOPPED = Broken(code="stopped", message="The service is being stopped; try again in a minute.")

_LOG = logging.getLogger("isletnet.serve.shepherd")


@serve.deployment(
    name="Shepherd", max_ongoing_requests=256, graceful_shutdown_timeout_s=20, ray_actor_options={"num_cpus": 0}
)
class Shepherd:
    """Works on requests with workers of its own.

    Parameters
    ----------
    segmenter
        Handle of the segmenters.
    workers_n, worker_cpus, worker_memory_mb
        How many workers, the processors that Ray counts for each, and what each may take beyond its start.
    settings
        None reads the environment.
    """

    def __init__(
        self,
        segmenter: DeploymentHandle[Any],
        *,
        workers_n: int = 2,
        worker_cpus: float = 0.25,
        worker_memory_mb: int = 5_000,
        settings: Settings | None = None,
    ) -> None:
        chosen = settings or Settings()
        self._store = open_store(chosen.store)
        self._wake, self._look, self._ending = threading.Event(), threading.Event(), threading.Event()
        # A worker that dies is replaced by its pool, which knows what it was doing.
        actor = ray.remote(RemoteWorker).options(num_cpus=worker_cpus, max_concurrency=4, max_restarts=0)
        self._pool = RayPool(
            workers_n,
            lambda: actor.remote(chosen, segmenter, memory_mb=worker_memory_mb),
            wake=self._wake.set,
            monotonic=time.monotonic,
        )
        name = f"{socket.gethostname()}-{os.getpid()}"
        self._coordinator = Coordinator(
            self._store,
            Dispatcher(self._store, name, monotonic=time.monotonic, process=process_mark()),
            self._pool,
            monotonic=time.monotonic,
            now=_now,
        )
        self._thread = threading.Thread(target=self._work, name="shepherd", daemon=True)
        self._thread.start()
        self._switchboard = Switchboard(self._called)

    async def address(self) -> str | None:
        """Tell where a direct line ends; None where there are several shepherds, among which Ray Serve chooses."""
        return self._switchboard.address if serve.get_replica_context().world_size == 1 else None

    async def nudge(self) -> None:
        """Look at once: there is a new request, or one was cancelled."""
        self._look.set()
        self._wake.set()

    async def ask(self, task: Task) -> Answer:
        """Have a task done before all requests; `Broken` with the code ``busy`` if too many wait."""
        answer = self._begin(task)
        while not self._ending.is_set():
            done, _ = await asyncio.wait({asyncio.wrap_future(answer)}, timeout=POLL_S)
            if done:
                return answer.result()
        return STOPPED

    async def report(self) -> dict[str, Any]:
        """Tell what it does now: requests under work, and the processes of its workers."""
        return {"pid": os.getpid(), "requests": self._coordinator.requests, "workers": self._pool.pids()}

    def check_health(self) -> None:
        """Tell Ray Serve whether it works; raises ``RuntimeError`` when its thread has ended."""
        if not self._thread.is_alive() and not self._ending.is_set():
            raise RuntimeError("the shepherd's thread has ended")

    def __del__(self) -> None:
        """Stop in good order: hand the requests back."""
        self._ending.set()
        self._wake.set()
        self._thread.join()

    def _called(self, task: Task) -> Answer | None:
        """Do the same for somebody on a direct line; None once there are other shepherds."""
        if serve.get_replica_context().world_size != 1:
            return None
        answer = self._begin(task)
        while not self._ending.is_set():
            with suppress(TimeoutError):
                return answer.result(POLL_S)
        return STOPPED

    def _begin(self, task: Task) -> Future[Answer]:
        answer: Future[Answer] = Future()
        if self._coordinator.asked_n >= MOST_ASKED:
            answer.set_result(BUSY)
        else:
            self._coordinator.ask(task, partial(_tell, answer))
            self._wake.set()
        return answer

    def _work(self) -> None:
        chores_s = time.monotonic()
        while not self._ending.is_set():
            self._wake.wait(POLL_S)
            self._wake.clear()
            if self._ending.is_set():
                break
            is_look = self._look.is_set()
            self._look.clear()
            try:
                self._coordinator.step(look=is_look)
                if time.monotonic() - chores_s >= CHORES_S:
                    chores_s = time.monotonic()
                    self._do_chores()
            except Exception:
                # One bad request must not end the work on all others.
                _LOG.exception("a step of the shepherd broke off")
        self._coordinator.stop()
        self._pool.close()

    def _do_chores(self) -> None:
        try:
            tasks = chores(self._store, now=_now())
        except StorageError as error:
            _LOG.warning("nothing could be looked for: %s", error.code)
            return
        for task in tasks[: MOST_ASKED - self._coordinator.asked_n]:
            self._coordinator.ask(task, _ignore)


def chores(store: Store, *, now: datetime) -> list[Task]:
    """List what somebody began and did not end: corrections without result, and copies for training."""
    corrections: list[Task] = [
        CorrectionTask(request_id=one.request_id, version=one.version)
        for one in unfinished(store)
        if (now - one.utc).total_seconds() > CHORES_S
    ]
    copies = [CopyTask(request_id=name, number=number, version=version) for name, number, version in copies_due(store)]
    return [*corrections, *copies]


def _tell(future: Future[Answer], answer: Answer) -> None:
    """Answer somebody, who may have gone."""
    if future.set_running_or_notify_cancel():
        future.set_result(answer)


def _ignore(answer: Answer) -> None:
    """Nobody waits for a chore; what is left of it is found the next time."""


def _now() -> datetime:
    return datetime.now(UTC)
