"""Workers: what takes a task and answers it, in a process of its own or in this one."""

from __future__ import annotations

import ctypes
import os
import resource
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from isletnet.storage.layout import Outcome
from isletnet.storage.leases import Dispatcher
from isletnet.storage.records import load_outcome
from serve.work.coordination import Coordinator
from serve.work.images import Load, Rules
from serve.work.tasks import DroppedError

# See mallopt(3). Larger arrays go back to the machine at once: with 32 MiB, an image of 100 MPx left a gigabyte unused.
KEPT_BYTES, OWN_MAP_BYTES = 64 * 2**20, 8 * 2**20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

if TYPE_CHECKING:
    from isletnet.networks.model import Network
    from isletnet.settings import Settings
    from isletnet.storage.store import Store
    from serve.work.tasks import Answer, Task


class Worker:
    """One worker in a process of its own; `do` is called for one task at a time, the rest beside it at any time.

    Parameters
    ----------
    settings
        Of this installation.
    load
        Gives a network by name.
    memory_mb
        What the process may take beyond what it has at its start; 0 sets no limit.
    """

    def __init__(self, settings: Settings, load: Load, *, memory_mb: int) -> None:
        # Loaded now, so that the first image does not wait for them.
        import isletnet.analysis.pipeline
        import isletnet.exports.results  # noqa: F401
        from isletnet.storage.store import open_store
        from serve.work.door import do

        self._do = do
        self._store = open_store(settings.store)
        self._rules, self._load = rules_of(settings), load
        self._lock = threading.Lock()
        self._ticket: int | None = None
        self._dropped: set[int] = set()
        self._told = ("starting", 0.0)
        if memory_mb:
            limit_memory(memory_mb)

    def pid(self) -> int:
        """Tell the number of the process; answers when the worker is ready."""
        return os.getpid()

    def do(self, ticket: int, task: Task) -> Answer:
        """Do a task; never raises."""
        with self._lock:
            self._ticket, self._told = ticket, ("starting", 0.0)
        try:
            return self._do(
                self._store,
                task,
                rules=self._rules,
                load=self._load,
                now=lambda: datetime.now(UTC),
                tell=partial(self._tell, ticket),
            )
        finally:
            with self._lock:
                self._ticket = None
                self._dropped.discard(ticket)

    def told(self) -> tuple[int | None, str, float]:
        """Tell the ticket of the task that is being done, and how far it is."""
        with self._lock:
            return self._ticket, *self._told

    def drop(self, ticket: int) -> None:
        """Stop a task as soon as can be."""
        with self._lock:
            if ticket == self._ticket:
                self._dropped.add(ticket)

    def _tell(self, ticket: int, stage: str, share: float) -> None:
        with self._lock:
            if ticket in self._dropped:
                raise DroppedError
            self._told = stage, share


def limit_memory(memory_mb: int) -> None:
    """Let this process take that much more memory than it has now; then it gets a ``MemoryError``."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + memory_mb * 1_000_000
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def keep_memory() -> None:
    """Let this process keep up to `KEPT_BYTES` that it does not use, for the next image.

    Else the arrays of an image of 2 MPx are given back and fetched again, a page at a time: some thousand pages.
    """
    # Other C libraries have nothing to set.
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, OWN_MAP_BYTES)


class InlinePool:
    """One worker in this process: a task is done when it is handed out."""

    def __init__(self, do_task: Callable[[Task], Answer]) -> None:
        self._do_task = do_task
        self._answers: list[tuple[int, Answer]] = []

    def idle_n(self) -> int:
        """One, until its answer is taken."""
        return 0 if self._answers else 1

    def hand_out(self, ticket: int, task: Task) -> None:
        """Do a task."""
        self._answers.append((ticket, self._do_task(task)))

    def collect(self) -> list[tuple[int, Answer]]:
        """Take the answer."""
        answers, self._answers = self._answers, []
        return answers

    def progress(self) -> Mapping[int, tuple[str, float]]:
        """Nothing runs between two steps."""
        return {}

    def drop(self, ticket: int) -> None:
        """Nothing runs that could be stopped."""


def rules_of(settings: Settings) -> Rules:
    """Take from the settings what holds for all images."""
    return Rules(default_network=settings.network, max_pixels=settings.max_pixels)


def process_one(
    store: Store,
    settings: Settings,
    *,
    monotonic: Callable[[], float],
    now: Callable[[], datetime],
    load: Load | None = None,
) -> Outcome | None:
    """Take the oldest request that is free, and work on it in this process until it ends.

    Parameters
    ----------
    monotonic, now
        Clocks.
    load
        Gives a network by name; None loads what the settings say.

    Returns
    -------
    Outcome or None
        How it ended. None if there was nothing to take, or the work was lost or put off.
    """
    pool = InlinePool(lambda task: do_here(store, settings, task, now=now, load=load))
    dispatcher = Dispatcher(store, "in-process", monotonic=monotonic)
    coordinator = Coordinator(store, dispatcher, pool, monotonic=monotonic, now=now)
    coordinator.step()
    taken = coordinator.requests
    while coordinator.requests:
        coordinator.step(take=False)
    return load_outcome(store, taken[0]) if taken else None


def do_here(
    store: Store, settings: Settings, task: Task, *, now: Callable[[], datetime], load: Load | None = None
) -> Answer:
    """Do one task in this process, with the networks that the settings say unless ``load`` gives others."""
    from serve.work.door import do

    return do(store, task, rules=rules_of(settings), load=load or loader(settings), now=now, tell=_tell_nobody)


def _tell_nobody(stage: str, share: float) -> None:
    """Nobody watches."""


@cache
def loader(settings: Settings) -> Load:
    """Give a loader of networks for this process that keeps what it has loaded."""
    from isletnet.networks.model import load_network

    @cache
    def load(name: str) -> Network:
        return load_network(name, engine=settings.engine, precision=settings.precision, threads=settings.threads)

    return load
