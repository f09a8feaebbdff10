"""Workers: what takes a task and answers it, in this process or in one of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING

from isletnet.storage.layout import Outcome
from isletnet.storage.leases import Dispatcher
from isletnet.storage.records import load_outcome
from serve.work.coordination import Coordinator
from serve.work.door import do
from serve.work.images import Load, Rules

if TYPE_CHECKING:
    from isletnet.networks.model import Network
    from isletnet.settings import Settings
    from isletnet.storage.store import Store
    from serve.work.tasks import Answer, Task


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
    pool = InlinePool(
        partial(
            do, store, rules=rules_of(settings), load=load or loader(settings), now=now, tell=lambda stage, share: None
        )
    )
    dispatcher = Dispatcher(store, "in-process", monotonic=monotonic)
    coordinator = Coordinator(store, dispatcher, pool, monotonic=monotonic, now=now)
    coordinator.step()
    taken = coordinator.requests
    while coordinator.requests:
        coordinator.step(take=False)
    return load_outcome(store, taken[0]) if taken else None


@cache
def loader(settings: Settings) -> Load:
    """Give a loader of networks for this process that keeps what it has loaded."""
    from isletnet.networks.model import load_network

    @cache
    def load(name: str) -> Network:
        return load_network(name, engine=settings.engine, precision=settings.precision, threads=settings.threads)

    return load
