"""Who does what when: leases, images in turn, retries, and the end of each request. No pixels, no Ray, no threads."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import count
from typing import Protocol

from isletnet.errors import LeaseLostError, StorageError
from isletnet.storage import leases
from isletnet.storage.leases import Dispatcher, Lease
from isletnet.storage.store import Store
from serve.work.job import Job
from serve.work.tasks import Answer, Broken, ClosingDone, ClosingTask, Dropped, ImageDone, Refused, Task

# A sign of life tells the progress, too: when that changes, but not more often than this, and not more of the time than
# this share of it where the store is slow.
SHORTEST_BEAT_S, MOST_BEATING = 1.0, 0.2

_LOG = logging.getLogger("isletnet.serve.shepherd")


class Pool(Protocol):
    """Workers that take one task each."""

    def idle_n(self) -> int:
        """How many tasks can be handed out now."""
        ...

    def hand_out(self, ticket: int, task: Task) -> None:
        """Give a task to an idle worker."""
        ...

    def collect(self) -> list[tuple[int, Answer]]:
        """Take the answers that have come since the last time; a worker that is lost answers `Broken`."""
        ...

    def progress(self) -> Mapping[int, tuple[str, float]]:
        """Tell how far the tasks are that are being done: a word, and the share that is done."""
        ...

    def drop(self, ticket: int) -> None:
        """Have a task stopped as soon as can be; it still answers."""
        ...


class Coordinator:
    """Works on requests, oldest first, as many at once as keep the workers busy. Call `step` again and again.

    Parameters
    ----------
    store, dispatcher
        Where the requests are, and who takes them.
    pool
        The workers.
    monotonic
        A clock in seconds that never goes back.
    now
        The wall clock.
    """

    def __init__(
        self,
        store: Store,
        dispatcher: Dispatcher,
        pool: Pool,
        *,
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._dispatcher, self._pool = store, dispatcher, pool
        self._monotonic, self._now = monotonic, now
        self._jobs: list[Job] = []
        self._tickets = count()
        # Of requests that were dropped since the store was away: it has not been told yet.
        self._owed: list[Lease] = []
        self._asked: deque[tuple[Task, Callable[[Answer], None]]] = deque()
        self._askers: dict[int, Callable[[Answer], None]] = {}

    @property
    def requests(self) -> tuple[str, ...]:
        """The ids of the requests under work."""
        return tuple(job.lease.request.request_id for job in self._jobs)

    @property
    def asked_n(self) -> int:
        """How many wait for an answer at once."""
        return len(self._asked) + len(self._askers)

    def ask(self, task: Task, then: Callable[[Answer], None]) -> None:
        """Have a task done before all others that wait; may be called by any thread."""
        self._asked.append((task, then))

    def step(self, *, look: bool = False, take: bool = True) -> None:
        """Do all that can be done now.

        Parameters
        ----------
        look
            Look at once whether the requests under work are still wanted.
        take
            Also take new requests.
        """
        for ticket, answer in self._pool.collect():
            self._answered(ticket, answer)
        self._beat_all(look)
        while self._pool.idle_n():
            if not self._hand_out_next() and not (take and self._take()):
                return

    def stop(self) -> None:
        """Hand everything back unharmed, so that anybody may go on with it at once."""
        for job in tuple(self._jobs):
            self._forget(job)
            with suppress(StorageError):
                leases.release(self._store, job.lease, now=self._now())
        with suppress(StorageError):
            self._tell_owed()

    def _hand_out_next(self) -> bool:
        """Give an idle worker what is most urgent; whether there was anything."""
        ticket = next(self._tickets)
        if self._asked:
            task, then = self._asked.popleft()
            self._askers[ticket] = then
            self._pool.hand_out(ticket, task)
            return True
        for job in self._jobs:
            waiting = job.next_task(self._monotonic())
            if waiting is not None:
                job.begin(ticket, waiting)
                self._pool.hand_out(ticket, waiting)
                return True
        return False

    def _take(self) -> bool:
        try:
            self._tell_owed()
            lease = self._dispatcher.take(now=self._now(), held=self.requests)
        except StorageError as error:
            _LOG.warning("no request could be taken: %s", error.code)
            return False
        if lease is not None:
            self._jobs.append(Job(lease, now_s=self._monotonic()))
        return lease is not None

    def _tell_owed(self) -> None:
        """Tell what was dropped, or it would seem to be under work for long; raises ``StorageError``."""
        while self._owed:
            # Not of what has ended, or is somebody else's by now.
            with suppress(LeaseLostError):
                leases.lose(self._store, self._owed[0], now=self._now())
            del self._owed[0]

    def _beat_all(self, look: bool) -> None:
        running = self._pool.progress()
        for job in tuple(self._jobs):
            silent_s = self._monotonic() - job.beaten_s
            told = job.progress(running)
            soonest_s = max(SHORTEST_BEAT_S, job.beating_s / MOST_BEATING)
            is_due = silent_s >= leases.HEARTBEAT_S or (silent_s >= soonest_s and told != job.told)
            if is_due or look:
                self._beat(job, told)

    def _beat(self, job: Job, told: Mapping[str, object]) -> None:
        begun_s = self._monotonic()
        try:
            job.lease = leases.beat(self._store, job.lease, now=self._now(), progress=told)
        except StorageError as error:
            self._drop(job, error)
        else:
            job.beaten_s, job.beating_s, job.told = begun_s, self._monotonic() - begun_s, told

    def _answered(self, ticket: int, answer: Answer) -> None:
        if ticket in self._askers:
            self._askers.pop(ticket)(answer)
            return
        job = next((job for job in self._jobs if ticket in job.tickets), None)
        if job is None:
            return
        try:
            self._settle(job, ticket, answer)
        except StorageError as error:
            self._drop(job, error)

    def _settle(self, job: Job, ticket: int, answer: Answer) -> None:
        task = job.end(ticket)
        if isinstance(answer, ImageDone):
            job.keep(answer)
        elif isinstance(answer, ClosingDone):
            self._forget(job)
            files = (*job.files, *answer.files)
            leases.finish(self._store, job.lease, files=files, images=job.ended_images, now=self._now())
            return
        elif isinstance(answer, Broken) and not answer.is_store:
            has_try = job.try_again(task, answer, now_s=self._monotonic())
            if not has_try and isinstance(task, ClosingTask):
                self._give_up(job, answer.code, answer.message, final=False)
                return
        elif isinstance(answer, Broken | Refused):
            self._give_up(job, answer.code, answer.message, final=isinstance(answer, Refused))
            return
        elif isinstance(answer, Dropped):
            raise LeaseLostError("nobody wants it", subject=job.lease.request.request_id)
        if job.has_failed:
            self._give_up(job, *_why(job), final=True)

    def _give_up(self, job: Job, code: str, message: str, *, final: bool) -> None:
        self._forget(job)
        leases.check_lease(self._store, job.lease)
        leases.give_up(self._store, job.lease, code=code, message=message, now=self._now(), final=final)

    def _drop(self, job: Job, error: StorageError) -> None:
        _LOG.warning("request %s is dropped: %s", job.lease.request.request_id, error.code)
        self._forget(job)
        if not isinstance(error, LeaseLostError):
            self._owed.append(job.lease)

    def _forget(self, job: Job) -> None:
        self._jobs = [other for other in self._jobs if other is not job]
        for ticket in job.tickets:
            self._pool.drop(ticket)


def _why(job: Job) -> tuple[str, str]:
    """Say why no image of a request has a result."""
    outcomes = job.ended_images
    codes = {outcome.code for outcome in outcomes}
    first = outcomes[0]
    if len(outcomes) == 1:
        return first.code or "unexpected", first.message or ""
    code = first.code if len(codes) == 1 and first.code else "all_images_failed"
    return code, f"None of the {len(outcomes)} images could be analysed. The first one: {first.message}"
