"""The desk where tiles wait for the device: loaded networks by recent use, and tiles of one kind in one batch."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from isletnet.networks.model import BatchRunner
from isletnet.schemas import NetworkIdentity

if TYPE_CHECKING:
    from isletnet.networks.card import Card
    from isletnet.networks.model import Network

MOST_TILES = 8
MOST_BATCH_PX = 8_000_000
# What a loaded network takes beside its weights, which stand in memory about three times: buffers of the tiles.
BUFFERS_MB = 290.0

Answer = TypeVar("Answer")

_LOG = logging.getLogger("isletnet.serve.segmenter")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskReport:
    """What a desk has done: ``busy_s`` is the time that the device computed, of ``open_s`` in which tiles were there.

    ``networks`` are loaded, the last used one last.
    """

    tiles_n: int
    batches_n: int
    busy_s: float
    open_s: float
    since_s: float
    networks: tuple[str, ...]


class Shelf:
    """Networks that stay loaded; beyond a budget of memory the least recently used one leaves.

    Parameters
    ----------
    load
        Gives a network by name.
    budget_mb
        For all of them; the last one stays in any case.
    """

    def __init__(self, load: Callable[[str], Network], *, budget_mb: float) -> None:
        self._load, self._budget_mb = load, budget_mb
        self._loaded: OrderedDict[str, Network] = OrderedDict()

    def get(self, name: str) -> Network:
        """Give a network; raises ``NetworkError`` like `isletnet.networks.model.load_network`."""
        network = self._loaded.get(name)
        if network is None:
            network = self._loaded[name] = self._load(name)
        self._loaded.move_to_end(name)
        while len(self._loaded) > 1 and sum(map(memory_mb, self.cards)) > self._budget_mb:
            self._loaded.popitem(last=False)
        return network

    @property
    def cards(self) -> tuple[Card, ...]:
        """The cards of the loaded networks, the last used one last."""
        return tuple(network.card for network in self._loaded.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the loaded networks, the last used one last."""
        return tuple(self._loaded)


def memory_mb(card: Card) -> float:
    """Estimate what a network takes when it is loaded and has seen large tiles."""
    weights_mb = sum((card.folder / name).stat().st_size for name in card.files) / 1e6
    return BUFFERS_MB + weights_mb


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tile:
    network: str
    rgb: NDArray[np.uint8]
    log_background: NDArray[np.float32]
    answer: Future[NDArray[np.uint8]]

    @property
    def kind(self) -> tuple[str, tuple[int, ...]]:
        return self.network, self.rgb.shape


class Desk:
    """Takes tiles from many callers and has one thread work them off; an error goes to its own caller alone.

    Parameters
    ----------
    shelf
        The networks; used by that thread alone.
    monotonic
        A clock in seconds.
    """

    def __init__(self, shelf: Shelf, *, monotonic: Callable[[], float] = time.perf_counter) -> None:
        self._shelf, self._monotonic = shelf, monotonic
        self._waiting: deque[_Tile | tuple[str, Future[NetworkIdentity]]] = deque()
        self._changed = threading.Condition()
        self._is_open = True
        self._begun_s = monotonic()
        self._tiles_n = self._batches_n = 0
        self._busy_s = self._open_s = 0.0
        self._thread = threading.Thread(target=self._work, name="segmenter", daemon=True)
        self._thread.start()

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
            busy_s=self._busy_s,
            open_s=self._open_s,
            since_s=self._monotonic() - self._begun_s,
            networks=self._shelf.names,
        )

    @property
    def is_working(self) -> bool:
        """Whether its thread is there."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Finish what waits, and take no more."""
        with self._changed:
            self._is_open = False
            self._changed.notify()
        self._thread.join()

    def _add(self, entry: _Tile | tuple[str, Future[NetworkIdentity]]) -> None:
        with self._changed:
            if not self._is_open:
                raise RuntimeError("the desk is closed")
            self._waiting.append(entry)
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and self._is_open:
                    self._changed.wait()
                if not self._waiting:
                    return
                first = self._waiting.popleft()
            begun_s = self._monotonic()
            if isinstance(first, _Tile):
                self._segment(first)
            elif first[1].set_running_or_notify_cancel():
                _answer(first[1], partial(self._identity, first[0]))
            self._open_s += self._monotonic() - begun_s

    def _identity(self, network: str) -> NetworkIdentity:
        return self._shelf.get(network).identity

    def _segment(self, first: _Tile) -> None:
        # From here on a caller that goes away cannot take its question back.
        if not first.answer.set_running_or_notify_cancel():
            return
        try:
            run = self._shelf.get(first.network).run
            tiles = [first, *self._like(first)] if isinstance(run, BatchRunner) else [first]
        except Exception as error:
            first.answer.set_exception(error)
            return
        begun_s = self._monotonic()
        if len(tiles) == 1 or not isinstance(run, BatchRunner) or not _batch(run, tiles):
            for tile in tiles:
                _answer(tile.answer, partial(run, tile.rgb, tile.log_background))
        self._busy_s += self._monotonic() - begun_s
        self._tiles_n += len(tiles)
        self._batches_n += 1

    def _like(self, first: _Tile) -> list[_Tile]:
        """Take the waiting tiles of the same network and shape, as many as one batch holds."""
        room = min(MOST_TILES, MOST_BATCH_PX // (first.rgb.shape[0] * first.rgb.shape[1])) - 1
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
