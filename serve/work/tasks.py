"""What the shepherd hands to a worker, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isletnet.storage.layout import FileRecord, ImageOutcome
from isletnet.storage.leases import Lease
from isletnet.storage.versions import CorrectionResult
from serve.work.parameters import RequestParameters

# Tells how far a task is: a word for people, and the share that is done. Raises `DroppedError` when nobody wants it.
Tell = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTask:
    """Analyse one image of a request."""

    lease: Lease
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingTask:
    """Pool the images of a request that were analysed, and copy those that are given for training."""

    lease: Lease
    images: tuple[ImageOutcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NowTask:
    """Analyse an image that is not stored, for somebody who waits.

    ``content`` is the image's bytes, or gives them where the work is done.
    """

    content: bytes | Callable[[], bytes]
    name: str
    parameters: RequestParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionTask:
    """Measure an image anew by the labels of a person, which are committed as a version."""

    request_id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTask:
    """Copy an image that is given for training, with the labels of a version."""

    request_id: str
    number: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawTask:
    """Draw the files that come from one file of a version: of an image, or of all (`isletnet.storage.drawn`)."""

    request_id: str
    version: int
    source: str


Task = ImageTask | ClosingTask | NowTask | CorrectionTask | CopyTask | DrawTask


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDone:
    """An image has a result, or never will have one."""

    outcome: ImageOutcome
    files: tuple[FileRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingDone:
    """The numbers of all images are stored."""

    files: tuple[FileRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NowDone:
    """The answer for somebody who waits: the record of the image, as JSON holds it.

    ``content`` is JSON, written where it was counted so that nobody on its way has to read it: the same ``record``, the
    ``summary`` as a sample, and a row for each of the ``islets``.
    """

    record: dict[str, Any]
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionDone:
    """A version has its result, or never will have one; the result says which."""

    result: CorrectionResult


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyDone:
    """The copy is there, or not wanted any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawDone:
    """The files are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """It cannot be done, now or ever: the caller's data, in the words of an `isletnet.errors.IsletnetError`."""

    code: str
    message: str
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """It broke off through no fault of the data: try again. ``is_store`` where the store did not answer."""

    code: str
    message: str
    is_store: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """It was stopped, because nobody wants it any more."""


# The code of `Broken` where the worker's process ended.
WORKER_LOST = "worker_lost"

Answer = ImageDone | ClosingDone | NowDone | CorrectionDone | CopyDone | DrawDone | Refused | Broken | Dropped


class DroppedError(Exception):
    """Raised inside a task that nobody wants any more."""
