"""The desk where tiles wait for the device: they run in batches or in lanes, as the engine likes it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from isletnet.networks.model import BatchRunner, LaneRunner
from isletnet.schemas import NetworkIdentity

if TYPE_CHECKING:
    from serve.work.networks import Shelf

MOST_TILES = 8
MOST_BATCH_PX = 8_000_000
# After that long without work, memory of lanes is given back.
QUIET_S = 10.0

Answer = TypeVar("Answer")

_LOG = logging.getLogger("isletnet.serve.segmenter")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskReport:
    """What a desk has done: ``busy_s`` is the time that the device computed, of ``open_s`` in which tiles were there.

    The time of several lanes at once counts once. ``networks`` are loaded, the last used one last.
    """

    tiles_n: int
    batches_n: int
    busy_s: float
    open_s: float
    since_s: float
    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tile:
    network: str
    rgb: NDArray[np.uint8]
    log_background: NDArray[np.float32]
    answer: Future[NDArray[np.uint8]]

    @property
    def kind(self) -> tuple[str, tuple[int, ...]]:
        return self.network, self.rgb.shape

    @property
    def area_px(self) -> int:
        return self.rgb.size // 3


class _Meter:
    """Adds up the time in which anybody is inside."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._inside_n = 0
        self._total_s = self._counted_to_s = 0.0

    def __enter__(self) -> None:
        self._count(1)

    def __exit__(self, *_: object) -> None:
        self._count(-1)

    @property
    def total_s(self) -> float:
        """Up to now."""
        return self._count(0)

    def _count(self, change_n: int) -> float:
        with self._lock:
            now_s = self._monotonic()
            if self._inside_n:
                self._total_s += now_s - self._counted_to_s
            self._counted_to_s = now_s
            self._inside_n += change_n
            return self._total_s


class Desk:
    """Takes tiles from many callers and works them off in their order; an error goes to its own caller alone.

    Engines that can, compute a tile in each lane. Others have one batch at a time.

    Parameters
    ----------
    shelf
        The networks; used by one of the desk's threads at a time.
    lanes
        Most tiles that run at once.
    quiet_s
        After that long without work, memory of lanes is given back.
    monotonic
        A clock in seconds.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        lanes: int = 1,
        quiet_s: float = QUIET_S,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._shelf, self._quiet_s, self._monotonic = shelf, quiet_s, monotonic
        self._waiting: deque[_Tile | tuple[str, Future[NetworkIdentity]]] = deque()
        self._changed = threading.Condition()
        # Whoever has the turn takes the next entry, and alone uses the shelf.
        self._turn = threading.Lock()
        self._is_open = True
        self._begun_s = monotonic()
        self._tiles_n = self._batches_n = 0
        self._busy, self._open = _Meter(monotonic), _Meter(monotonic)
        self._threads = [
            threading.Thread(target=self._work, name=f"segmenter-{lane}", daemon=True) for lane in range(lanes)
        ]
        for thread in self._threads:
            thread.start()

    def predict(
        self, network: str, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]
    ) -> Future[NDArray[np.uint8]]:
        """Have a tile segmented.

        Parameters
        ----------
        network
            Name.
        rgb
            uint8 ``(h, w, 3)``, sides multiples of 16.
        log_background
            float32 ``(h / 16, w / 16, 3)``.

        Returns
        -------
        Future
            Of the class probabilities, uint8 ``(h, w, 3)``.
        """
        tile = _Tile(network=network, rgb=rgb, log_background=log_background, answer=Future())
        self._add(tile)
        return tile.answer

    def identity(self, network: str) -> Future[NetworkIdentity]:
        """Load a network if need be, and tell which it is and how it is run."""
        answer: Future[NetworkIdentity] = Future()
        self._add((network, answer))
        return answer

    def report(self) -> DeskReport:
        """Tell what was done since the start."""
        return DeskReport(
            tiles_n=self._tiles_n,
            batches_n=self._batches_n,
            busy_s=self._busy.total_s,
            open_s=self._open.total_s,
            since_s=self._monotonic() - self._begun_s,
            networks=self._shelf.names,
        )

    @property
    def is_working(self) -> bool:
        """Whether all its threads are there."""
        return all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Finish what waits, and take no more."""
        with self._changed:
            self._is_open = False
            self._changed.notify()
        for thread in self._threads:
            thread.join()

    def _add(self, entry: _Tile | tuple[str, Future[NetworkIdentity]]) -> None:
        with self._changed:
            if not self._is_open:
                raise RuntimeError("the desk is closed")
            self._waiting.append(entry)
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with ExitStack() as turn:
                turn.enter_context(self._turn)
                first = self._next()
                if first is None:
                    return
                with self._open:
                    if isinstance(first, _Tile):
                        self._segment(first, let_others=turn.close)
                    elif first[1].set_running_or_notify_cancel():
                        _answer(first[1], partial(self._identity, first[0]))

    def _next(self) -> _Tile | tuple[str, Future[NetworkIdentity]] | None:
        """Wait for an entry; None when the desk is closed and nothing waits."""

        def has_news() -> bool:
            return bool(self._waiting) or not self._is_open

        with self._changed:
            is_quiet = not self._changed.wait_for(has_news, self._quiet_s)
        if is_quiet:
            self._shelf.rest()
        with self._changed:
            self._changed.wait_for(has_news)
            return self._waiting.popleft() if self._waiting else None

    def _identity(self, network: str) -> NetworkIdentity:
        return self._shelf.get(network).identity

    def _segment(self, first: _Tile, *, let_others: Callable[[], None]) -> None:
        # From here on a caller that goes away cannot take its question back.
        if not first.answer.set_running_or_notify_cancel():
            return
        try:
            run = self._shelf.get(first.network).run
            tiles = [first, *self._like(first)] if isinstance(run, BatchRunner) else [first]
        except Exception as error:
            first.answer.set_exception(error)
            return
        self._tiles_n += len(tiles)
        self._batches_n += 1
        # Two tiles of more than a lane's size at once would take gigabytes.
        if isinstance(run, LaneRunner) and first.area_px <= run.lane_px:
            let_others()
        with self._busy:
            if len(tiles) == 1 or not isinstance(run, BatchRunner) or not _batch(run, tiles):
                for tile in tiles:
                    _answer(tile.answer, partial(run, tile.rgb, tile.log_background))

    def _like(self, first: _Tile) -> list[_Tile]:
        """Take the waiting tiles of the same network and shape, as many as one batch holds."""
        room = min(MOST_TILES, MOST_BATCH_PX // first.area_px) - 1
        with self._changed:
            like = [tile for tile in self._waiting if isinstance(tile, _Tile) and tile.kind == first.kind]
            taken = like[: max(room, 0)]
            for tile in taken:
                self._waiting.remove(tile)
        return [tile for tile in taken if tile.answer.set_running_or_notify_cancel()]


def _batch(run: BatchRunner, tiles: Sequence[_Tile]) -> bool:
    """Answer tiles together; whether it went well. If not, each is tried by itself."""
    try:
        rgb, log_background = (
            np.stack(arrays) for arrays in zip(*((t.rgb, t.log_background) for t in tiles), strict=True)
        )
        answers = list(run.batch(rgb, log_background))
    except Exception:
        _LOG.exception("a batch of %d tiles broke off", len(tiles))
        return False
    for tile, answer in zip(tiles, answers, strict=True):
        tile.answer.set_result(answer)
    return True


def _answer(future: Future[Answer], work: Callable[[], Answer]) -> None:
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
