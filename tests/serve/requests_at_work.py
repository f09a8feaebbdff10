"""Requests, clocks and workers for the tests of the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from isletnet.storage import records
from isletnet.storage.backends.local import LocalStore
from isletnet.storage.layout import ImageOutcome, Request, new_request_id
from isletnet.storage.leases import Dispatcher
from isletnet.storage.store import Store
from serve.work.coordination import Coordinator
from serve.work.tasks import Answer, ClosingDone, ClosingTask, ImageDone, ImageTask, Task

MORNING = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)


@dataclass
class Clock:
    """A wall clock and a monotonic one that move when they are told to."""

    now_utc: datetime = MORNING
    monotonic_s: float = 1000.0

    def now(self) -> datetime:
        return self.now_utc

    def monotonic(self) -> float:
        return self.monotonic_s

    def pass_s(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.now_utc += timedelta(seconds=seconds)


@dataclass
class HeldPool:
    """Workers that answer when the test says so."""

    workers_n: int = 2
    running: dict[int, Task] = field(default_factory=dict)
    answers: list[tuple[int, Answer]] = field(default_factory=list)
    told: dict[int, tuple[str, float]] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)

    def idle_n(self) -> int:
        return self.workers_n - len(self.running)

    def hand_out(self, ticket: int, task: Task) -> None:
        assert self.idle_n()
        self.running[ticket] = task

    def collect(self) -> list[tuple[int, Answer]]:
        answers, self.answers = self.answers, []
        return answers

    def progress(self) -> Mapping[int, tuple[str, float]]:
        return self.told

    def drop(self, ticket: int) -> None:
        self.dropped.append(ticket)

    def answer(self, ticket: int, answer: Answer | None = None) -> None:
        """Let a worker answer; without words, that all went well."""
        task = self.running.pop(ticket)
        self.answers.append((ticket, answer or done(task)))

    @property
    def numbers(self) -> list[int | None]:
        """Which images are under work; None is the end of a request."""
        return [task.number if isinstance(task, ImageTask) else None for task in self.running.values()]


def done(task: Task) -> Answer:
    if isinstance(task, ImageTask):
        return ImageDone(outcome=ImageOutcome(number=task.number, state="done"), files=())
    assert isinstance(task, ClosingTask)
    return ClosingDone(files=())


def failed(number: int, code: str = "image_damaged", message: str = "It is broken.") -> ImageDone:
    return ImageDone(outcome=ImageOutcome(number=number, state="failed", code=code, message=message))


def submit(store: Store, clock: Clock, contents: list[bytes], **parameters: object) -> Request:
    """Commit a request with these images."""
    request_id = new_request_id()
    records.open_draft(store, request_id, owner="ann", now=clock.now())
    for number, content in enumerate(contents):
        records.add_image(store, request_id, number, [content], name=f"islets {number}.png", now=clock.now())
    request = records.submit(store, request_id, now=clock.now(), parameters=parameters)
    clock.pass_s(0.001)
    return request


def coordinator(store: Store, clock: Clock, pool: object, name: str = "shepherd") -> Coordinator:
    dispatcher = Dispatcher(store, name, monotonic=clock.monotonic)
    return Coordinator(store, dispatcher, pool, monotonic=clock.monotonic, now=clock.now)  # type: ignore[arg-type]


def picture(discs: int = 2, *, shape: tuple[int, int] = (192, 256), seed: int = 1) -> bytes:
    """A PNG of red discs of 60 px on yellow: at 2 um/px islets of 120 um."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    pixels = np.empty((*shape, 3), np.uint8)
    pixels[:] = (195, 190, 5)
    for number in range(discs):
        inside = (y - 60 - 40 * (number % 2)) ** 2 + (x - 50 - 80 * number) ** 2 <= 30**2
        pixels[inside] = (205, 60, 12)
    noise = np.random.default_rng(seed).integers(-3, 4, pixels.shape)
    buffer = BytesIO()
    Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


class Shepherd:
    """A coordinator with its store, clock and workers."""

    def __init__(self, folder: Path, workers_n: int = 2) -> None:
        self.store, self.clock = LocalStore(folder), Clock()
        self.pool = HeldPool(workers_n)
        self.coordinator = coordinator(self.store, self.clock, self.pool)

    def submit(self, images_n: int) -> Request:
        return submit(self.store, self.clock, [b"picture %d" % number for number in range(images_n)])

    def step(self, seconds: float = 0.0, *, look: bool = False) -> None:
        self.clock.pass_s(seconds)
        self.coordinator.step(look=look)

    def answer_all(self, answer: Answer | None = None) -> None:
        for ticket in list(self.pool.running):
            self.pool.answer(ticket, answer)
        self.step()

    def finish(self) -> None:
        for _ in range(50):
            self.answer_all()
        assert not self.pool.running
