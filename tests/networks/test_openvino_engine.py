"""Lanes of the OpenVINO engine: several tiles at once, the same bytes, and no more lanes than are needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("openvino")

from isletnet.networks import openvino_engine
from isletnet.networks.catalogue import find_network
from isletnet.networks.openvino_engine import OpenvinoRunner, cpu_has_bf16

WAIT_S = 20.0

Tile = tuple[NDArray[np.uint8], NDArray[np.float32]]


def noise(rows: int, columns: int) -> Tile:
    rng = np.random.default_rng(3)
    rgb = rng.integers(0, 256, (rows, columns, 3)).astype(np.uint8)
    return rgb, rng.uniform(4.5, 5.5, (rows // 16, columns // 16, 3)).astype(np.float32)


def check_bytes(name: str, tiles: list[Tile]) -> None:
    """Compare tiles at once in several lanes with tiles one after the other in one."""
    for precision in ("f32", "bf16") if cpu_has_bf16() else ("f32",):
        folder = find_network(name).folder
        alone = OpenvinoRunner(folder, precision=precision)
        wanted = [alone(*tile) for tile in tiles]
        assert min(answer.std() for answer in wanted) > 1
        runner = OpenvinoRunner(folder, precision=precision, lanes=3)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda tile, run=runner: run(*tile), tiles * 2))
        for answer, expected in zip(found, wanted * 2, strict=True):
            np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize("name", ["islet-unet", "islet-unet-small"])
def test_tiles_at_once_give_the_same_bytes(name: str) -> None:
    check_bytes(name, [noise(528, 704), noise(48, 320), noise(16, 16)])


def test_real_tiles_at_once_give_the_same_bytes(real_data: Path) -> None:
    def tile(path: Path) -> Tile:
        rgb = np.asarray(Image.open(path).convert("RGB"))[:528, :704]
        rows, columns = (side // 16 for side in rgb.shape[:2])
        light = np.log(np.percentile(rgb, 90, axis=(0, 1)) + 1)
        return rgb[: rows * 16, : columns * 16], np.broadcast_to(light, (rows, columns, 3)).astype(np.float32)

    check_bytes("islet-unet-small", [tile(path) for path in sorted((real_data / "images").iterdir())])


class Lane:
    """Stands for a lane: a tile of 1 breaks it, a tile of 2 waits until another lane has one, too."""

    opened: list[Lane]
    meeting: threading.Barrier
    waits: threading.Semaphore
    has_room = True

    def __init__(self, folder: Path, *, precision: str, threads: int) -> None:
        if not self.has_room:
            raise MemoryError("no room")
        self.opened.append(self)

    def __call__(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        if rgb.max() == 1:
            raise ValueError("it is one")
        if rgb.max() == 2:
            self.waits.release()
            self.meeting.wait(WAIT_S)
        return np.full(rgb.shape, self.opened.index(self), np.uint8)


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> type[Lane]:
    class Fresh(Lane):
        opened: list[Lane] = []
        meeting = threading.Barrier(2)
        waits = threading.Semaphore(0)

    monkeypatch.setattr(openvino_engine, "_Lane", Fresh)
    return Fresh


@pytest.fixture
def runner(lanes: type[Lane]) -> OpenvinoRunner:
    return OpenvinoRunner(Path("anywhere"), precision="f32", lanes=2)


def run(runner: OpenvinoRunner, level: int) -> int:
    """Tell in which lane, by the order of their opening."""
    return int(runner(np.full((16, 16, 3), level, np.uint8), np.zeros((1, 1, 3), np.float32)).max())


def meet(runner: OpenvinoRunner) -> set[int]:
    with ThreadPoolExecutor(2) as pool:
        return set(pool.map(lambda level: run(runner, level), (2, 2)))


@pytest.fixture
def waiting(runner: OpenvinoRunner, lanes: type[Lane]) -> Iterator[Future[int]]:
    """A tile in the first lane, which runs until another one comes."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(run, runner, 2)
        assert lanes.waits.acquire(timeout=WAIT_S)
        yield answer
        lanes.meeting.abort()


def test_a_lane_is_opened_when_it_is_needed(runner: OpenvinoRunner, lanes: type[Lane]) -> None:
    assert [run(runner, 0) for _ in range(3)] == [0, 0, 0]
    assert len(lanes.opened) == 1
    assert meet(runner) == {0, 1}
    assert meet(runner) == {0, 1}
    assert len(lanes.opened) == 2


def test_lanes_that_rest_are_opened_again(runner: OpenvinoRunner) -> None:
    meet(runner)
    runner.rest()
    kept = run(runner, 0)
    assert kept in (0, 1)
    assert meet(runner) == {kept, 2}


def test_at_rest_what_runs_is_the_lane_that_stays(runner: OpenvinoRunner, waiting: Future[int]) -> None:
    assert run(runner, 0) == 1
    runner.rest()
    assert run(runner, 2) == 2
    assert waiting.result(WAIT_S) == 0


def test_a_lane_is_free_again_after_an_error(runner: OpenvinoRunner) -> None:
    for _ in range(3):
        with pytest.raises(ValueError, match="it is one"):
            run(runner, 1)
    assert meet(runner) == {0, 1}


def test_a_lane_that_does_not_open_is_tried_again(
    runner: OpenvinoRunner, waiting: Future[int], lanes: type[Lane], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crowded:
        crowded.setattr(lanes, "has_room", False)
        with pytest.raises(MemoryError):
            run(runner, 0)
    assert run(runner, 2) == 1
    assert waiting.result(WAIT_S) == 0
