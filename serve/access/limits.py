"""How much is taken on: calls, bytes, requests and disk. What is too much is refused early and in plain words.

Each process that answers calls counts for itself. Of the calls it allows its share, for Ray Serve spreads them evenly;
large files are too few for that, so the bytes on their way are limited for each process alone. Nothing here ever
deletes anything.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from isletnet.errors import StoreFullError
from isletnet.storage.layout import OPEN, owner_folder
from isletnet.storage.store import Store
from serve.access.identity import Principal
from serve.access.refusals import BusyError, TooLargeError, TooManyError
from serve.access.shares import RETRY_S, Shares, is_fair

if TYPE_CHECKING:
    from isletnet.settings import Settings

MEGABYTE = 1_000_000
# What a caller who was still for a while may do at once, as seconds of its rate.
BURST_S = 10.0
# What there is of places: calls and bodies of one process, answers at once of the whole service.
CALLS_AT_ONCE, BODIES_AT_ONCE, ANSWERS_AT_ONCE = 200, 64, 16
_MOST_CALLERS = 10_000
_TOO_MANY_FILES = "too many of your files are on their way; let some of them arrive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The disk of the store. ``used_fraction`` is of what its user may use, as ``df`` tells it."""

    total_bytes: int
    free_bytes: int
    used_fraction: float
    state: Literal["ok", "warning", "full"]


class Upload:
    """A file on its way into the store; `count` each piece before it is written."""

    def __init__(self, limits: Limits, who: Principal, *, announced_bytes: int | None, limit_bytes: int) -> None:
        self._limits = limits
        self.who = who
        self._announced_bytes = announced_bytes
        self._limit_bytes = limit_bytes if announced_bytes is None else announced_bytes
        self.size_bytes = 0

    def count(self, piece_bytes: int) -> None:
        """Count a piece.

        Raises
        ------
        TooLargeError
            With it the file is larger than it may be, or than was announced.
        BusyError, TooManyError
            The size was not announced, and too many bytes are on their way, of all or of this caller.
        """
        if self.size_bytes + piece_bytes > self._limit_bytes:
            raise TooLargeError(f"at most {self._limit_bytes} bytes are taken here; more came")
        if self._announced_bytes is None:
            self._limits.check_in_flight(piece_bytes, beside=self)
        self.size_bytes += piece_bytes

    @property
    def reserved_bytes(self) -> int:
        """What is set aside for it."""
        return self.size_bytes if self._announced_bytes is None else self._announced_bytes


class Limits:
    """The limits of one process, for all its threads.

    Parameters
    ----------
    settings
        Of this installation.
    monotonic
        A clock in seconds that never goes back.
    disk_usage
        Gives total, used and free bytes of a folder's disk.
    processes_n
        How many processes answer calls; this one allows its share of the waiting for work.

    Attributes
    ----------
    calls, bodies, answers
        Places for calls under way, for bodies that are read, and for callers who wait for the work on an image.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        monotonic: Callable[[], float],
        disk_usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage,
        processes_n: int = 1,
    ) -> None:
        self._settings = settings
        # Not a share of it: a caller's connection stays with one process.
        self._calls_per_s = settings.max_calls_per_minute / 60
        self._monotonic = monotonic
        self._disk_usage = disk_usage
        self._lock = threading.Lock()
        self._calls: dict[str, tuple[float, float]] = {}
        self._uploads: frozenset[Upload] = frozenset()
        self.calls = Shares(CALLS_AT_ONCE, refusal="too many of your calls are under way; let some of them end")
        self.bodies = Shares(BODIES_AT_ONCE, refusal=_TOO_MANY_FILES)
        self.answers = Shares(
            max(1, ANSWERS_AT_ONCE // processes_n), refusal="too many of your images are under way; wait for an answer"
        )

    def admit_call(self, who: str) -> None:
        """Count a call of a principal or, where nobody is known, of an address.

        Raises
        ------
        TooManyError
            That one calls too often.
        """
        rate = self._calls_per_s
        most = max(1.0, rate * BURST_S)
        now_s = self._monotonic()
        with self._lock:
            if who not in self._calls and len(self._calls) >= _MOST_CALLERS:
                self._forget_idle(now_s, rate, most)
            calls, seen_s = self._calls.get(who, (most, now_s))
            calls = min(most, calls + (now_s - seen_s) * rate)
            is_admitted = calls >= 1
            self._calls[who] = calls - is_admitted, now_s
        if not is_admitted:
            raise TooManyError(
                f"more than {self._settings.max_calls_per_minute} calls a minute; slow down",
                retry_after_s=(1 - calls) / rate,
            )

    def check_images(self, images_n: int) -> None:
        """Raise ``TooLargeError`` where a request has more images than one may have."""
        if images_n > self._settings.max_images:
            raise TooLargeError(f"a request has at most {self._settings.max_images} images; send more requests")

    @contextmanager
    def upload(self, who: Principal, announced_bytes: int | None, *, request_bytes: int = 0) -> Iterator[Upload]:
        """Take a file on, for as long as it is on its way.

        Parameters
        ----------
        who
            Its sender.
        announced_bytes
            Its size as the sender says; None where the sender does not.
        request_bytes
            What its request has already.

        Raises
        ------
        TooLargeError
            It is larger than a file may be, or its request would be.
        StoreFullError
            The disk has no room for it.
        BusyError, TooManyError
            Too many bytes are on their way, of all or of this sender.
        """
        settings = self._settings
        limit_bytes = min(settings.max_upload_mb * MEGABYTE, settings.max_request_mb * MEGABYTE - request_bytes)
        if (announced_bytes or 0) > limit_bytes or limit_bytes <= 0:
            raise TooLargeError(
                f"a file has at most {settings.max_upload_mb} MB, and a request {settings.max_request_mb} MB"
            )
        self.check_space(announced_bytes or 0)
        upload = Upload(self, who, announced_bytes=announced_bytes, limit_bytes=limit_bytes)
        with self._lock:
            self._check_in_flight(announced_bytes or 0, upload)
            self._uploads |= {upload}
        try:
            yield upload
        finally:
            with self._lock:
                self._uploads -= {upload}

    def check_in_flight(self, more_bytes: int, *, beside: Upload) -> None:
        """Raise ``BusyError`` or ``TooManyError`` where an upload cannot have more, for what is on its way."""
        with self._lock:
            self._check_in_flight(more_bytes, beside)

    def _check_in_flight(self, more_bytes: int, upload: Upload) -> None:
        others = self._uploads - {upload}
        others_bytes = sum(one.reserved_bytes for one in others)
        wanted_bytes = upload.size_bytes + more_bytes
        most_bytes = self._settings.max_parallel_uploads_mb * MEGABYTE
        # One alone is always taken, or a large file would never be.
        if others_bytes and others_bytes + wanted_bytes > most_bytes:
            raise BusyError("many files are on their way already; come again", retry_after_s=RETRY_S)
        held_bytes = sum(one.reserved_bytes for one in others if one.who.name == upload.who.name)
        if not is_fair(upload.who, held=held_bytes, more=wanted_bytes, free=most_bytes - others_bytes):
            raise TooManyError(_TOO_MANY_FILES, retry_after_s=RETRY_S)

    def check_queue(self, store: Store, who: Principal) -> None:
        """Raise ``BusyError`` where as many requests wait as may, ``TooManyError`` where too many of this caller do."""
        waiting = {key.rpartition("/")[2] for key in store.list_keys(OPEN)}
        free_n = self._settings.max_open_requests - len(waiting)
        if free_n <= 0:
            raise BusyError(f"{len(waiting)} requests are waiting already; come again", retry_after_s=RETRY_S)
        if free_n > len(waiting):
            # Nobody can have more than is free, so the caller's own need not be counted.
            return
        own_n = sum(key.rpartition("/")[2] in waiting for key in store.list_keys(owner_folder(who.name)))
        if not is_fair(who, held=own_n, more=1, free=free_n):
            raise TooManyError(f"{own_n} of your requests are waiting already; come again", retry_after_s=RETRY_S)

    def check_space(self, announced_bytes: int = 0) -> None:
        """Raise ``StoreFullError`` where the store's disk is full, or less is free than what is coming."""
        space = self.space()
        if space is None:
            return
        with self._lock:
            coming_bytes = announced_bytes + sum(one.reserved_bytes - one.size_bytes for one in self._uploads)
        if space.state == "full" or space.free_bytes < coming_bytes:
            raise StoreFullError("the disk of the store has no room for more images; results can still be read")

    def space(self) -> Space | None:
        """Look at the disk of the store; None where it is in a bucket, which has no end of its own."""
        if "://" in self._settings.store:
            return None
        folder = Path(self._settings.store).absolute()
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        total, used, free = self._disk_usage(folder)
        fraction = used / max(used + free, 1)
        if fraction >= self._settings.space_limit_fraction:
            state: Literal["ok", "warning", "full"] = "full"
        else:
            state = "warning" if fraction >= self._settings.space_warning_fraction else "ok"
        return Space(total_bytes=total, free_bytes=free, used_fraction=fraction, state=state)

    def _forget_idle(self, now_s: float, rate: float, most: float) -> None:
        """Make room: who would be full again by now may be a stranger again."""
        kept = {who: (calls, s) for who, (calls, s) in self._calls.items() if calls + (now_s - s) * rate < most}
        self._calls = kept if len(kept) < _MOST_CALLERS else {}
