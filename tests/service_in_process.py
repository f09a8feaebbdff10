"""The service in one process: the real routes, a real store, and the real work, done when a test says so."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partialmethod
from pathlib import Path
from typing import Any

import httpx
from anyio import to_thread
from colour_network import write_colour_network
from fastapi import FastAPI

from isletnet.networks.model import Network, load_network
from isletnet.settings import Settings
from isletnet.storage.statistics import Event
from isletnet.storage.store import Store, open_store
from serve.access.identity import Access
from serve.access.limits import Limits
from serve.app import create_app
from serve.doors.deps import Deps
from serve.monitor import Monitor
from serve.upkeep.chores import plain, plan_prune, run_prune
from serve.work.tasks import Answer, Task
from serve.worker import do_here, process_one


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(kw_only=True)
class Service:
    """A service on a folder; ``app`` answers calls, `work` does what has been submitted."""

    settings: Settings
    store: Store
    load: Callable[[str], Network]
    now: Callable[[], datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    stall_s: float = 5.0
    events: list[Event] = field(default_factory=list)
    nudges_n: int = 0
    # Making the routes ready takes most of a short test's time, so one application may serve a row of services.
    app: FastAPI | None = None

    def __post_init__(self) -> None:
        limits = Limits(self.settings, monotonic=self.monotonic)
        deps = Deps(
            settings=self.settings,
            store=self.store,
            access=Access(self.settings, self.store, monotonic=self.monotonic, now=self.now),
            limits=limits,
            monitor=Monitor(self.settings, self.store, limits, parts={}, monotonic=self.monotonic, now=self.now),
            note=self.events.append,
            nudge=self._nudge,
            ask=self._ask,
            prune=self._prune,
            now=self.now,
            monotonic=self.monotonic,
            stall_s=self.stall_s,
            look_s=0.01,
        )
        if self.app is None:
            self.app = create_app(deps)
        self.app.state.deps = deps

    def work(self) -> int:
        """Do all that waits, in this thread; returns how many requests ended."""
        ended_n, now_s = 0, self.monotonic()
        # For the worker no time passes: on a slow machine it would give signs of life, which are left for a sweep.
        while process_one(self.store, self.settings, monotonic=lambda: now_s, now=self.now, load=self.load):
            ended_n += 1
        return ended_n

    def work_until(self, stopped: threading.Event) -> None:
        """Do what comes, until told to stop; for a thread of its own."""
        while not stopped.wait(0.02):
            self.work()

    def _nudge(self) -> None:
        self.nudges_n += 1

    async def _ask(self, task: Task) -> Answer:
        return await to_thread.run_sync(lambda: do_here(self.store, self.settings, task, now=self.now, load=self.load))

    async def _prune(self, dry_run: bool, actor: str) -> dict[str, Any]:
        if dry_run:
            return plan_prune(self.store, self.settings, now=self.now())
        return plain(run_prune(self.store, self.settings, actor=actor, now=self.now(), monotonic=self.monotonic))


def service(folder: Path, network_folder: Path, *, app: FastAPI | None = None, **settings: Any) -> Service:
    """Make a service with its store in a folder, and a network that knows colours only.

    Parameters
    ----------
    network_folder
        Made by `colour_network.write_colour_network`, or not there yet.
    app
        The application of a service that is not used any more; else a new one is made.
    settings
        Other values than the defaults.
    """
    chosen = Settings(store=str(folder), **settings)
    if not network_folder.exists():
        write_colour_network(network_folder)
    network = load_network(str(network_folder), engine="openvino")
    return Service(settings=chosen, store=open_store(chosen.store), load=lambda name: network, app=app)


@dataclass(frozen=True, kw_only=True)
class Client:
    """Calls a service without a network; `call` is for many calls at once."""

    made: Service
    headers: Mapping[str, str] = field(default_factory=dict)
    peer: str = "127.0.0.1"
    base_url: str = "http://127.0.0.1:8000"

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.made.app, raise_app_exceptions=False, client=(self.peer, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url=self.base_url, headers=self.headers) as client:
            return await client.request(method, path, **more)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self.call(method, path, **more))

    get = partialmethod(request, "GET")
    post = partialmethod(request, "POST")
    put = partialmethod(request, "PUT")
    delete = partialmethod(request, "DELETE")


def local_client(made: Service, **headers: str) -> Client:
    """Call a service from the same machine."""
    return Client(made=made, headers={name.replace("_", "-"): value for name, value in headers.items()})


def submitted(client: Client, *pictures: bytes) -> str:
    """Submit a request of these pictures."""
    files = [("images", (f"{number}.png", content)) for number, content in enumerate(pictures)]
    return str(client.post("/api/requests", files=files).json()["request_id"])
