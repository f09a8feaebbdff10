"""The workers of a shepherd: processes that Ray keeps, each with one task at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import ray
from ray.exceptions import RayError

from isletnet.settings import Settings
from serve.segmenter import BEHIND_ANSWERS, remote_loader
from serve.work.tasks import WORKER_LOST, Answer, Broken, Task
from serve.worker import Worker, keep_memory

# A task that tells nothing new for so long hangs.
STALLED_S = 900.0
# How often workers are asked how far they are.
LOOK_S = 0.5
# At a start one worker is there soon; each that is ready lets so many others start, which would have held it up.
FOLLOWERS_N = 2

_LOST = Broken(code=WORKER_LOST, message="The process that worked on it broke down each time it was tried.")
_LOG = logging.getLogger("isletnet.serve.shepherd")


class RemoteWorker(Worker):
    """A worker whose networks are those of a segmenter."""

    def __init__(self, settings: Settings, segmenter: Any, *, memory_mb: int) -> None:
        os.nice(BEHIND_ANSWERS)
        keep_memory()
        super().__init__(settings, remote_loader(segmenter), memory_mb=memory_mb)


@dataclass(slots=True, eq=False)
class _Place:
    """A worker and what it does; changed by the pool alone. ``ticket`` is None while it is idle."""

    actor: Any
    is_ready: bool = False
    pid: int | None = None
    ticket: int | None = None
    told: tuple[str, float] = ("starting", 0.0)
    told_s: float = 0.0
    looked_s: float = 0.0
    refs: list[Any] = field(default_factory=list)


class RayPool:
    """Workers in processes of their own; one that dies answers `Broken` and is replaced.

    Used by one thread; ``wake`` is called by others when there is something to collect.

    Parameters
    ----------
    workers_n
        How many.
    make
        Starts a worker and gives its actor, with the methods of `Worker`.
    wake
        Called when a task has answered or a worker is ready.
    monotonic
        A clock in seconds.
    """

    def __init__(
        self, workers_n: int, make: Callable[[], Any], *, wake: Callable[[], None], monotonic: Callable[[], float]
    ) -> None:
        self._make, self._wake, self._monotonic = make, wake, monotonic
        self._events: SimpleQueue[tuple[_Place, str, int | None, Any]] = SimpleQueue()
        self._answers: list[tuple[int, Answer]] = []
        self._unstarted_n = workers_n
        self._places: list[_Place] = []
        self._start_more(1)

    def idle_n(self) -> int:
        """How many workers are ready and have nothing to do."""
        return sum(place.is_ready and place.ticket is None for place in self._places)

    def hand_out(self, ticket: int, task: Task) -> None:
        """Give a task to an idle worker."""
        place = next(place for place in self._places if place.is_ready and place.ticket is None)
        place.ticket, place.told, place.told_s = ticket, ("starting", 0.0), self._monotonic()
        self._call(place, "answer", ticket, place.actor.do.remote(ticket, task))

    def collect(self) -> list[tuple[int, Answer]]:
        """Take the answers that have come."""
        while True:
            try:
                place, kind, ticket, found = self._events.get_nowait()
            except Empty:
                break
            if place in self._places:
                self._heard(place, kind, ticket, found)
        self._look()
        answers, self._answers = self._answers, []
        return answers

    def progress(self) -> Mapping[int, tuple[str, float]]:
        """How far the tasks are, as their workers said last."""
        return {place.ticket: place.told for place in self._places if place.ticket is not None}

    def drop(self, ticket: int) -> None:
        """Have a task stopped at its next stage or tile."""
        for place in self._places:
            if place.ticket == ticket:
                place.actor.drop.remote(ticket)

    def pids(self) -> tuple[int, ...]:
        """The processes of the workers that are ready."""
        return tuple(place.pid for place in self._places if place.pid is not None)

    def close(self) -> None:
        """End all workers."""
        for place in self._places:
            ray.kill(place.actor)
        self._places = []

    def _start_more(self, most_n: int) -> None:
        started_n = min(most_n, self._unstarted_n)
        self._unstarted_n -= started_n
        self._places += [self._start() for _ in range(started_n)]

    def _start(self) -> _Place:
        place = _Place(actor=self._make())
        self._call(place, "ready", None, place.actor.pid.remote())
        return place

    def _call(self, place: _Place, kind: str, ticket: int | None, ref: Any) -> None:
        """Have the result of a call, or its error, put among the events."""

        def heard(future: Any) -> None:
            error = future.exception()
            self._events.put((place, kind, ticket, error or future.result()))
            if kind != "told":
                self._wake()

        ref.future().add_done_callback(heard)

    def _heard(self, place: _Place, kind: str, ticket: int | None, found: Any) -> None:
        if isinstance(found, BaseException):
            # A worker's methods do not raise, so this is the end of its process, or of its start.
            if isinstance(found, RayError) and kind != "told":
                self._replace(place, found)
        elif kind == "ready":
            place.is_ready, place.pid = True, found
            self._start_more(FOLLOWERS_N)
        elif kind == "told":
            if found[0] == place.ticket and found[1:] != place.told:
                place.told, place.told_s = found[1:], self._monotonic()
        elif ticket is not None:
            place.ticket = None
            self._answers.append((ticket, found))

    def _replace(self, place: _Place, error: BaseException) -> None:
        _LOG.warning("a worker is lost: %s", type(error).__name__)
        if place.ticket is not None:
            self._answers.append((place.ticket, _LOST))
        ray.kill(place.actor)
        self._places[self._places.index(place)] = self._start()

    def _look(self) -> None:
        """Ask the busy workers how far they are, and end those that hang."""
        now_s = self._monotonic()
        for place in tuple(self._places):
            if place.ticket is None:
                continue
            if now_s - place.told_s > STALLED_S:
                self._replace(place, TimeoutError())
            elif now_s - place.looked_s >= LOOK_S:
                place.looked_s = now_s
                self._call(place, "told", place.ticket, place.actor.told.remote())
