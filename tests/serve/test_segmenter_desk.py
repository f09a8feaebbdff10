"""Tiles of many callers at one desk: batches, errors that stay with their callers, networks by recent use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from colour_network import write_colour_network
from numpy.typing import NDArray

from isletnet.errors import NetworkError
from isletnet.networks.model import Network, load_network
from serve.work.desk import MOST_TILES, Desk
from serve.work.networks import BUFFERS_MB, Shelf, memory_mb

WAIT_S = 20.0


class Engine:
    """Adds one to the first grey level, in batches; a tile of 13 breaks it. It waits at its gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[int] = []

    def __call__(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        return self.batch(rgb[None], log_background[None])[0]

    def batch(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        assert self.gate.wait(WAIT_S)
        self.batches.append(len(rgb))
        if (rgb == 13).any():
            raise ValueError("it is 13")
        return rgb + np.uint8(1)


class SingleEngine:
    """Gains nothing from batches."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        return self._engine(rgb, log_background)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return load_network(str(write_colour_network(tmp_path_factory.mktemp("networks") / "colour")), engine="openvino")


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture(params=[1, 3])
def open_desk(network: Network, engine: Engine, request: pytest.FixtureRequest) -> Iterator[Callable[..., Desk]]:
    """Open desks of one thread and of three: to engines without lanes it must not matter."""
    desks: list[Desk] = []

    def opened(*, is_single: bool = False) -> Desk:
        def load(name: str) -> Network:
            if name == "unknown":
                raise NetworkError("there is no such network", subject=name)
            return replace(network, run=SingleEngine(engine) if is_single else engine)

        desks.append(Desk(Shelf(load, budget_mb=1e6), lanes=request.param))
        return desks[-1]

    yield opened
    engine.gate.set()
    for desk in desks:
        desk.close()


def tile(level: int, side: int = 32) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    return np.full((side, side, 3), level, np.uint8), np.zeros((side // 16, side // 16, 3), np.float32)


def test_every_caller_gets_the_answer_to_its_own_tile(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()

    def ask(level: int) -> int:
        answer = desk.predict("a", *tile(level, 16 * (1 + level % 3))).result(WAIT_S)
        assert answer.shape[0] == 16 * (1 + level % 3)
        return int(answer[0, 0, 0])

    with ThreadPoolExecutor(16) as pool:
        levels = [level for level in range(200) if level != 13]
        assert list(pool.map(ask, levels)) == [level + 1 for level in levels]
    report = desk.report()
    assert report.tiles_n == len(levels)
    assert 0 < report.busy_s <= report.open_s <= report.since_s


def waiting(desk: Desk, engine: Engine, requests: list[tuple[str, int, int]]) -> list[object]:
    """Let tiles wait behind a first one, then let them all go; gives levels or errors."""
    engine.gate.clear()
    first = desk.predict("a", *tile(0))
    others = [desk.predict(network, *tile(level, side)) for network, level, side in requests]
    engine.gate.set()
    first.result(WAIT_S)
    return [other.exception(WAIT_S) or int(other.result()[0, 0, 0]) for other in others]


def test_waiting_tiles_of_one_network_and_shape_go_together(open_desk: Callable[..., Desk], engine: Engine) -> None:
    requests = [("a", 1, 32), ("b", 2, 32), ("a", 3, 32), ("a", 4, 64), ("a", 5, 32), ("b", 6, 32)]
    assert waiting(open_desk(), engine, requests) == [2, 3, 4, 5, 6, 7]
    # The first alone, or with those that came in time; then at most one batch of each kind.
    assert sum(engine.batches) == 7
    assert len(engine.batches) <= 4


def test_a_batch_has_an_end(open_desk: Callable[..., Desk], engine: Engine) -> None:
    assert waiting(open_desk(), engine, [("a", 1, 16)] * 20) == [2] * 20
    assert max(engine.batches) == MOST_TILES


def test_engines_without_batches_get_tiles_one_by_one(open_desk: Callable[..., Desk], engine: Engine) -> None:
    assert waiting(open_desk(is_single=True), engine, [("a", 1, 32)] * 3) == [2] * 3
    assert engine.batches == [1] * 4


def test_one_bad_tile_is_its_own_callers_alone(open_desk: Callable[..., Desk], engine: Engine) -> None:
    good, bad, other = waiting(open_desk(), engine, [("a", 1, 32), ("a", 13, 32), ("a", 3, 32)])
    assert (good, other) == (2, 4)
    assert isinstance(bad, ValueError)


def test_an_unknown_network_stops_nobody_else(open_desk: Callable[..., Desk], engine: Engine) -> None:
    desk = open_desk()
    unknown, good = waiting(desk, engine, [("unknown", 1, 32), ("a", 3, 32)])
    assert isinstance(unknown, NetworkError)
    assert good == 4
    assert isinstance(desk.identity("unknown").exception(WAIT_S), NetworkError)


def test_who_goes_away_takes_the_question_along(open_desk: Callable[..., Desk], engine: Engine) -> None:
    desk = open_desk()
    engine.gate.clear()
    first, gone, last = (desk.predict("a", *tile(level, side)) for level, side in ((1, 32), (2, 64), (3, 64)))
    assert gone.cancel()
    engine.gate.set()
    assert [int(answer.result(WAIT_S)[0, 0, 0]) for answer in (first, last)] == [2, 4]
    assert engine.batches == [1, 1]


def test_a_tile_that_is_none_hurts_nobody_else(open_desk: Callable[..., Desk], engine: Engine) -> None:
    desk = open_desk()
    empty = np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0, 3), np.float32)
    assert isinstance(desk.predict("a", *empty).exception(WAIT_S), ZeroDivisionError)
    assert int(desk.predict("a", *tile(1)).result(WAIT_S)[0, 0, 0]) == 2
    assert desk.is_working


def test_a_closed_desk_finishes_what_waits_and_takes_no_more(open_desk: Callable[..., Desk], engine: Engine) -> None:
    desk = open_desk()
    engine.gate.clear()
    answers = [desk.predict("a", *tile(level)) for level in (1, 2)]
    closing = threading.Thread(target=desk.close)
    closing.start()
    engine.gate.set()
    closing.join(WAIT_S)
    assert [int(answer.result(0)[0, 0, 0]) for answer in answers] == [2, 3]
    with pytest.raises(RuntimeError, match="closed"):
        desk.predict("a", *tile(1))


def test_the_least_recently_used_network_leaves_beyond_the_budget(network: Network) -> None:
    loaded: list[str] = []

    def load(name: str) -> Network:
        loaded.append(name)
        return network

    assert memory_mb(network) == pytest.approx(BUFFERS_MB["f32"], abs=1)
    shelf = Shelf(load, budget_mb=2.5 * BUFFERS_MB["f32"])
    for name in ("a", "b", "a", "c"):
        shelf.get(name)
    assert shelf.names == ("a", "c")
    shelf.get("b")
    assert loaded == ["a", "b", "c", "b"]
    # One that is larger than the budget still works.
    tight = Shelf(load, budget_mb=1.0)
    tight.get("a")
    tight.get("b")
    assert tight.names == ("b",)


def test_the_desk_answers_what_the_network_says(network: Network, tmp_path: Path) -> None:
    desk = Desk(Shelf(lambda _: network, budget_mb=1e6))
    rgb = np.random.default_rng(1).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    rgb.flags.writeable = False
    log_background = np.full((3, 4, 3), 5.0, np.float32)
    log_background.flags.writeable = False
    try:
        assert (desk.predict("colour", rgb, log_background).result(WAIT_S) == network.run(rgb, log_background)).all()
        assert desk.identity("colour").result(WAIT_S) == network.identity
    finally:
        desk.close()


def test_tensorflow_answers_a_batch_as_it_answers_each() -> None:
    network = load_network("islet-unet-small", engine="tensorflow")
    rgb = np.random.default_rng(2).integers(0, 256, (3, 64, 80, 3)).astype(np.uint8)
    log_background = np.full((3, 4, 5, 3), 5.0, np.float32)
    together = network.run.batch(rgb, log_background)  # type: ignore[attr-defined]
    one_by_one = np.stack([network.run(*pair) for pair in zip(rgb, log_background, strict=True)])
    # A level of rounding at most: the engine may add in another order.
    assert np.abs(together.astype(int) - one_by_one).max() <= 1
    assert together.std() > 1
