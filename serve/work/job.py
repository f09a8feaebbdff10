"""How far one request is, as the shepherd that works on it sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isletnet.storage.layout import FileRecord, ImageOutcome
from isletnet.storage.leases import Lease
from serve.work.tasks import Broken, ClosingTask, ImageDone, ImageTask

MOST_TRIES = 3
FIRST_PAUSE_S = 1.0
# The share of a request's work that the files for all its images are.
CLOSING_SHARE = 0.1


class Job:
    """A request under work: which tasks wait, which run under which ticket, and what has come of them.

    Parameters
    ----------
    lease
        The right to work on it; renewed by whoever gives the signs of life.
    now_s
        When it was taken, by the monotonic clock.

    Attributes
    ----------
    beaten_s, beating_s
        When the last sign of life was given, and how long that took.
    """

    def __init__(self, lease: Lease, *, now_s: float) -> None:
        self.lease = lease
        self.beaten_s = now_s
        self.beating_s = 0.0
        self.told: Mapping[str, Any] = {}
        self.outcomes: dict[int, ImageOutcome] = {}
        self.files: list[FileRecord] = []
        self._running: dict[int, ImageTask | ClosingTask] = {}
        # Images that wait, and from when on they may begin.
        self._waiting_s = {image.number: now_s for image in lease.request.images}
        self._closing_s = now_s
        self._tries: dict[int | None, int] = {}

    @property
    def tickets(self) -> tuple[int, ...]:
        """The tickets of the tasks that run."""
        return tuple(self._running)

    def next_task(self, now_s: float) -> ImageTask | ClosingTask | None:
        """Tell what may be handed out now: the first image that waits or, after all of them, the end."""
        for number, begin_s in self._waiting_s.items():
            if begin_s <= now_s:
                return ImageTask(lease=self.lease, number=number)
        if self._waiting_s or self._running or not self.has_result or self._closing_s > now_s:
            return None
        return ClosingTask(lease=self.lease, images=self.ended_images)

    @property
    def has_result(self) -> bool:
        """Whether any image was analysed."""
        return any(outcome.state == "done" for outcome in self.outcomes.values())

    @property
    def has_failed(self) -> bool:
        """Whether every image has ended, and none has a result."""
        return len(self.outcomes) == len(self.lease.request.images) and not self.has_result

    @property
    def ended_images(self) -> tuple[ImageOutcome, ...]:
        """The outcomes of the images that have one, by number."""
        return tuple(self.outcomes[number] for number in sorted(self.outcomes))

    def begin(self, ticket: int, task: ImageTask | ClosingTask) -> None:
        """Note that a task was handed out."""
        self._running[ticket] = task
        if isinstance(task, ImageTask):
            del self._waiting_s[task.number]

    def end(self, ticket: int) -> ImageTask | ClosingTask:
        """Note that a task has answered."""
        return self._running.pop(ticket)

    def keep(self, done: ImageDone) -> None:
        """Note what came of an image."""
        self.outcomes[done.outcome.number] = done.outcome
        self.files.extend(done.files)

    def try_again(self, task: ImageTask | ClosingTask, broken: Broken, *, now_s: float) -> bool:
        """Let a task that broke off wait for its next try; whether it has one. An image without one has failed."""
        number = task.number if isinstance(task, ImageTask) else None
        tries = self._tries[number] = self._tries.get(number, 0) + 1
        begin_s = now_s + FIRST_PAUSE_S * 2 ** (tries - 1)
        if number is None:
            self._closing_s = begin_s
        elif tries < MOST_TRIES:
            self._waiting_s[number] = begin_s
        else:
            self.outcomes[number] = ImageOutcome(
                number=number, state="failed", code=broken.code, message=broken.message
            )
        return tries < MOST_TRIES

    def progress(self, running: Mapping[int, tuple[str, float]]) -> Mapping[str, Any]:
        """Describe how far it is.

        Parameters
        ----------
        running
            For tickets, a word and the share that is done.

        Returns
        -------
        Mapping
            ``fraction``, ``stage`` (of the end), and ``images``: for each number as text ``state``, ``fraction``, and
            ``stage`` or ``code`` and ``message``; an image that is not there waits.
        """
        images = dict(self._images(running))
        ends = [running.get(ticket) for ticket, task in self._running.items() if isinstance(task, ClosingTask)]
        shares = sum(image["fraction"] for image in images.values()) / len(self.lease.request.images)
        told: dict[str, Any] = {"fraction": round((1 - CLOSING_SHARE) * shares, 3), "images": images}
        if ends and ends[0]:
            told["stage"] = ends[0][0]
        return told

    def _images(self, running: Mapping[int, tuple[str, float]]) -> Iterator[tuple[str, dict[str, Any]]]:
        for ticket, task in self._running.items():
            if isinstance(task, ImageTask):
                stage, fraction = running.get(ticket, ("starting", 0.0))
                yield str(task.number), {"state": "running", "fraction": round(fraction, 2), "stage": stage}
        for outcome in self.ended_images:
            said: dict[str, Any] = {"state": outcome.state, "fraction": 1.0}
            if outcome.state == "failed":
                said |= {"code": outcome.code or "", "message": outcome.message or ""}
            yield str(outcome.number), said
