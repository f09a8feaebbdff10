"""Memory that a worker and the segmenter of its machine share: tiles and answers lie in it instead of being sent."""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isletnet.schemas import CELL_PX

# Where an array may begin.
_ALIGNED_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LentTile:
    """Where a tile lies: an open file without name in a worker's process.

    ``seal`` is that file's name for `borrow`, which no other process has under the same numbers. The tile is
    ``height_px`` by ``width_px``, multiples of `CELL_PX`.
    """

    pid: int
    descriptor: int
    seal: str
    height_px: int
    width_px: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileArrays:
    """A tile in shared memory, and the place of its answer.

    ``rgb`` and ``answer`` are uint8 ``(h, w, 3)``, ``log_background`` is float32 ``(h / 16, w / 16, 3)``.
    """

    rgb: NDArray[np.uint8]
    log_background: NDArray[np.float32]
    answer: NDArray[np.uint8]


class Trays:
    """The shared memory of one worker: kept once it is made; the machine takes it back when the worker dies."""

    def __init__(self) -> None:
        self._free: list[_Tray] = []

    @contextmanager
    def lend(
        self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]
    ) -> Iterator[tuple[LentTile, NDArray[np.uint8]]]:
        """Put a tile into shared memory.

        Parameters
        ----------
        rgb
            uint8 ``(h, w, 3)``, sides multiples of 16.
        log_background
            float32 ``(h / 16, w / 16, 3)``.

        Yields
        ------
        LentTile
            For `borrow`.
        numpy.ndarray
            uint8 ``(h, w, 3)`` in shared memory, where the answer appears; good inside the block only.
        """
        height_px, width_px = rgb.shape[:2]
        tray = self._take(_places(height_px, width_px)[-1])
        arrays = _arrays(tray.memory, height_px, width_px)
        arrays.rgb[...], arrays.log_background[...] = rgb, log_background
        # After an error somebody may still write into it, so that it is not used again.
        yield tray.lent(height_px, width_px), arrays.answer
        self._free.append(tray)

    def _take(self, size_bytes: int) -> _Tray:
        """Give a free tray of that size or more; those that are too small go."""
        # Another thread may take the last one.
        with suppress(IndexError):
            while len((tray := self._free.pop()).memory) < size_bytes:
                pass
            return tray
        return _Tray(size_bytes)


def borrow(lent: LentTile) -> TileArrays | None:
    """Reach a tile that another process has lent.

    Returns
    -------
    TileArrays or None
        None if that process is not of this machine, or out of reach.
    """
    path = Path("/proc", str(lent.pid), "fd", str(lent.descriptor))
    try:
        # Elsewhere the same numbers may be anything; it is not opened then.
        if lent.seal not in str(path.readlink()):
            return None
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        size_bytes = _places(lent.height_px, lent.width_px)[-1]
        # All pages at once: a fault for each would take longer than the copies that are spared.
        memory = mmap.mmap(descriptor, size_bytes, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
    finally:
        os.close(descriptor)
    return _arrays(memory, lent.height_px, lent.width_px)


class _Tray:
    def __init__(self, size_bytes: int) -> None:
        self._seal = f"isletnet-{secrets.token_hex(16)}"
        # Closes itself when nobody uses the tray any more.
        self._file = os.fdopen(os.memfd_create(self._seal), "r+b", buffering=0)
        self._file.truncate(size_bytes)
        self.memory = mmap.mmap(self._file.fileno(), size_bytes)

    def lent(self, height_px: int, width_px: int) -> LentTile:
        return LentTile(
            pid=os.getpid(),
            descriptor=self._file.fileno(),
            seal=self._seal,
            height_px=height_px,
            width_px=width_px,
        )


def _places(height_px: int, width_px: int) -> tuple[int, int, int]:
    """Tell where the background and the answer of a tile begin, and where the answer ends, bytes."""
    rgb_bytes = height_px * width_px * 3
    background_bytes = 4 * (height_px // CELL_PX) * (width_px // CELL_PX) * 3
    background = _aligned(rgb_bytes)
    answer = _aligned(background + background_bytes)
    return background, answer, answer + rgb_bytes


def _aligned(place: int) -> int:
    return -(-place // _ALIGNED_BYTES) * _ALIGNED_BYTES


def _arrays(memory: mmap.mmap, height_px: int, width_px: int) -> TileArrays:
    background, answer, _ = _places(height_px, width_px)
    cells, pixels = (height_px // CELL_PX, width_px // CELL_PX, 3), (height_px, width_px, 3)
    return TileArrays(
        rgb=np.ndarray(pixels, np.uint8, memory),
        log_background=np.ndarray(cells, np.float32, memory, background),
        answer=np.ndarray(pixels, np.uint8, memory, answer),
    )
