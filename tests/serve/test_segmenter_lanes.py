"""Tiles that run at once at one desk: their order, their errors, their time, and the memory that they take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest
from colour_network import write_colour_network
from numpy.typing import NDArray

from isletnet.networks.model import LaneRunner, Network, load_network
from isletnet.settings import Settings
from serve.work.desk import Desk
from serve.work.networks import MOST_LANES, Shelf, lanes_for, memory_mb

WAIT_S = 20.0
# Long enough for a thread that has nothing to wait for.
MOMENT_S = 0.2


class Lanes:
    """Adds one to the first grey level; a tile of 13 breaks it. Each level waits until it is let go."""

    lanes_n, lane_px = 2, 10_000

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.changed = threading.Condition()
        self.is_let_go = {level: threading.Event() for level in range(20)}
        self.rested = threading.Semaphore(0)

    def __call__(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        level = int(rgb[0, 0, 0])
        with self.changed:
            self.begun.append(level)
            self.changed.notify_all()
        assert self.is_let_go[level].wait(WAIT_S)
        if level == 13:
            raise ValueError("it is 13")
        return rgb + np.uint8(1)

    def rest(self) -> None:
        self.rested.release()

    def let_go(self, *levels: int) -> None:
        for level in levels:
            self.is_let_go[level].set()

    def have_begun(self, *levels: int, within_s: float = WAIT_S) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: set(levels) <= set(self.begun), within_s)


class Clock:
    """Stands until it is set."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return load_network(str(write_colour_network(tmp_path_factory.mktemp("networks") / "colour")), engine="openvino")


@pytest.fixture
def engine() -> Lanes:
    return Lanes()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf(network: Network, engine: Lanes) -> Shelf:
    # There is room for one network.
    return Shelf(lambda name: replace(network, run=engine), budget_mb=1.0)


@pytest.fixture
def desk(shelf: Shelf, engine: Lanes, clock: Clock) -> Iterator[Desk]:
    desk = Desk(shelf, lanes=2, monotonic=clock)
    yield desk
    engine.let_go(*engine.is_let_go)
    desk.close()


Ask = Callable[..., Future[NDArray[np.uint8]]]


@pytest.fixture
def ask(desk: Desk) -> Ask:
    def ask(level: int, *, network: str = "a", side: int = 16) -> Future[NDArray[np.uint8]]:
        rgb = np.full((side, side, 3), level, np.uint8)
        return desk.predict(network, rgb, np.zeros((side // 16, side // 16, 3), np.float32))

    return ask


def level_of(answer: Future[NDArray[np.uint8]]) -> int:
    return int(answer.result(WAIT_S)[0, 0, 0])


def test_two_tiles_run_at_once_and_a_third_waits(ask: Ask, engine: Lanes, desk: Desk) -> None:
    answers = [ask(level) for level in (1, 2, 3)]
    assert engine.have_begun(1, 2)
    assert not engine.have_begun(3, within_s=MOMENT_S)
    engine.let_go(2)
    assert engine.have_begun(3)
    engine.let_go(1, 3)
    assert [level_of(answer) for answer in answers] == [2, 3, 4]
    assert (desk.report().tiles_n, desk.report().batches_n) == (3, 3)


def test_an_engine_without_lanes_has_one_tile_at_a_time(network: Network, engine: Lanes) -> None:
    desk = Desk(Shelf(lambda name: replace(network, run=lambda *tile: engine(*tile)), budget_mb=1.0), lanes=2)
    cells = np.zeros((1, 1, 3), np.float32)
    try:
        answers = [desk.predict("a", np.full((16, 16, 3), level, np.uint8), cells) for level in (1, 2)]
        assert engine.have_begun(1)
        assert not engine.have_begun(2, within_s=MOMENT_S)
        engine.let_go(1, 2)
        assert [level_of(answer) for answer in answers] == [2, 3]
    finally:
        engine.let_go(1, 2)
        desk.close()


def test_lanes_take_tiles_in_the_order_in_which_they_came(ask: Ask, engine: Lanes) -> None:
    first, second = ask(1), ask(2)
    assert engine.have_begun(1, 2)
    others = [ask(level, network=network) for level, network in ((5, "a"), (3, "b"), (4, "a"))]
    engine.let_go(2, 3, 4, 5)
    assert [level_of(answer) for answer in (second, *others)] == [3, 6, 4, 5]
    assert engine.begun[2:] == [5, 3, 4]
    assert not first.done()


def test_an_error_in_one_lane_leaves_the_other_alone(ask: Ask, engine: Lanes, desk: Desk) -> None:
    good, bad = ask(1), ask(13)
    assert engine.have_begun(1, 13)
    engine.let_go(13)
    assert isinstance(bad.exception(WAIT_S), ValueError)
    engine.let_go(1, 2)
    assert [level_of(answer) for answer in (good, ask(2))] == [2, 3]
    assert desk.is_working


def test_a_tile_is_finished_though_its_network_leaves_the_shelf(ask: Ask, engine: Lanes, desk: Desk) -> None:
    slow = ask(1, network="a")
    assert engine.have_begun(1)
    engine.let_go(2)
    assert level_of(ask(2, network="b")) == 3
    assert desk.report().networks == ("b",)
    assert not slow.done()
    engine.let_go(1)
    assert level_of(slow) == 2


def test_networks_are_loaded_beside_a_tile_that_runs(ask: Ask, engine: Lanes, desk: Desk, network: Network) -> None:
    slow = ask(1)
    assert engine.have_begun(1)
    assert desk.identity("b").result(WAIT_S) == network.identity
    assert not slow.done()


def test_while_a_large_tile_runs_no_other_begins(ask: Ask, engine: Lanes) -> None:
    side = 16 * (int(engine.lane_px**0.5) // 16 + 1)
    large, small = ask(1, side=side), ask(2)
    assert engine.have_begun(1)
    assert not engine.have_begun(2, within_s=MOMENT_S)
    engine.let_go(1, 2)
    assert [level_of(answer) for answer in (large, small)] == [2, 3]


def test_the_time_of_tiles_at_once_counts_once(ask: Ask, engine: Lanes, desk: Desk, clock: Clock) -> None:
    first, second = ask(1), ask(2)
    assert engine.have_begun(1, 2)
    clock.now_s += 2
    engine.let_go(1)
    assert level_of(first) == 2
    clock.now_s += 3
    # What still runs is counted, too.
    assert (desk.report().busy_s, desk.report().open_s) == (5, 5)
    engine.let_go(2)
    assert level_of(second) == 3
    desk.close()
    clock.now_s += 10
    report = desk.report()
    assert (report.busy_s, report.open_s, report.since_s) == (5, 5, 15)


def test_lanes_rest_once_after_each_time_of_work(shelf: Shelf, engine: Lanes) -> None:
    engine.let_go(1)
    desk = Desk(shelf, lanes=2, quiet_s=0.01)
    try:
        for _ in range(2):
            desk.predict("a", np.ones((16, 16, 3), np.uint8), np.zeros((1, 1, 3), np.float32)).result(WAIT_S)
            assert engine.rested.acquire(timeout=WAIT_S)
            assert not engine.rested.acquire(timeout=MOMENT_S)
    finally:
        desk.close()


def test_a_closed_desk_has_finished_all_lanes(ask: Ask, engine: Lanes, desk: Desk) -> None:
    answers = [ask(level) for level in (1, 2, 3)]
    closing = threading.Thread(target=desk.close)
    closing.start()
    engine.let_go(1, 2, 3)
    closing.join(WAIT_S)
    assert [int(answer.result(0)[0, 0, 0]) for answer in answers] == [2, 3, 4]
    assert not desk.is_working


@pytest.mark.parametrize(
    ("cpus_n", "budget_mb", "lanes"),
    [(1, 1e6, 1), (2, 2000, 2), (3, 1e6, 3), (64, 2000, 2), (64, 1e6, MOST_LANES), (64, 100, 1)],
)
def test_there_are_as_many_lanes_as_cores_and_memory_allow(cpus_n: int, budget_mb: float, lanes: int) -> None:
    assert lanes_for(cpus_n, budget_mb=budget_mb) == lanes


def test_both_networks_stay_loaded_with_all_their_lanes() -> None:
    budget_mb = Settings().network_memory_mb
    lanes = lanes_for(64, budget_mb=budget_mb)
    names = ("islet-unet", "islet-unet-small")
    loaded = [load_network(name, engine="openvino", precision="f32", lanes=lanes) for name in names]
    assert all(isinstance(network.run, LaneRunner) and network.run.lanes_n == lanes > 1 for network in loaded)
    shelf = Shelf({network.card.name: network for network in loaded}.__getitem__, budget_mb=budget_mb)
    for network in loaded:
        shelf.get(network.card.name)
    assert shelf.names == names
    assert sum(map(memory_mb, loaded)) <= budget_mb
