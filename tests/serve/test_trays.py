"""Tiles in memory that two processes share."""

import gc
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.exceptions import RayActorError

from serve.segmenter import MOST_DEATHS, remote_loader
from serve.work.direct import LineLostError, Switchboard
from serve.work.trays import LentTile, Trays, borrow

# Reads where a tile lies, says that it has it, waits for a line, and answers with the tile turned upside down.
BORROWER = """
import pickle, sys
from serve.work.trays import borrow
tile = borrow(pickle.load(sys.stdin.buffer))
print("held" if tile is not None else "out of reach", flush=True)
sys.stdin.buffer.readline()
if tile is not None:
    tile.answer[...] = tile.rgb[::-1]
    print(float(tile.log_background.sum()), flush=True)
"""
LENDER = """
import pickle, sys
import numpy as np
from serve.work.trays import Trays
with Trays().lend(np.full((32, 48, 3), 7, np.uint8), np.ones((2, 3, 3), np.float32)) as (lent, answer):
    sys.stdout.buffer.write(pickle.dumps(lent))
    sys.stdout.buffer.flush()
    sys.stdin.read()
"""
NAME = "islet-unet"


def tile(height_px: int = 64, width_px: int = 48, seed: int = 0) -> tuple[Any, Any]:
    """A tile of noise and its background."""
    noise = np.random.default_rng(seed)
    return (
        noise.integers(0, 256, (height_px, width_px, 3), np.uint8),
        noise.random((height_px // 16, width_px // 16, 3), np.float32),
    )


def started(program: str) -> subprocess.Popen[bytes]:
    """A process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )


def open_trays() -> list[str]:
    """The trays that this process holds open."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    return [link for link in links if "isletnet-" in link and "memfd" in link]


def test_another_process_reads_the_tile_and_answers_in_place() -> None:
    rgb, log_background = tile()
    with started(BORROWER) as process, Trays().lend(rgb, log_background) as (lent, answer):
        assert process.stdin
        assert process.stdout
        process.stdin.write(pickle.dumps(lent))
        process.stdin.flush()
        assert process.stdout.readline() == b"held\n"
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert float(process.stdout.readline()) == pytest.approx(float(log_background.sum()), rel=1e-6)
        assert np.array_equal(answer, rgb[::-1])


def test_a_tile_outlives_its_lender_for_the_borrower_and_goes_with_both() -> None:
    with started(LENDER) as process:
        assert process.stdout
        lent: LentTile = pickle.load(process.stdout)
        held = borrow(lent)
        process.kill()
    assert held is not None
    assert held.rgb.shape == (32, 48, 3)
    assert np.all(held.rgb == 7)
    assert np.all(held.log_background == 1)
    held.answer[...] = 3
    assert borrow(lent) is None


def test_what_the_numbers_mean_elsewhere_is_not_opened(tmp_path: Path) -> None:
    with Trays().lend(*tile()) as (lent, _), (tmp_path / "other").open("w+b") as other:
        assert borrow(lent) is not None
        assert borrow(replace(lent, seal="isletnet-" + "0" * 32)) is None
        assert borrow(replace(lent, descriptor=other.fileno())) is None
        assert borrow(replace(lent, descriptor=10_000)) is None
        assert borrow(replace(lent, pid=2**22 + 1)) is None


def test_trays_are_used_again_unless_they_are_too_small_or_an_error_left_them() -> None:
    trays = Trays()
    with trays.lend(*tile(64, 64)) as (first, _):
        pass
    with trays.lend(*tile(32, 32)) as (smaller, _), trays.lend(*tile(32, 32)) as (beside, _):
        assert smaller.seal == first.seal != beside.seal
    with trays.lend(*tile(128, 128)) as (larger, _):
        assert larger.seal not in (first.seal, beside.seal)
    borrowed = trays.lend(*tile(128, 128))
    again, _ = borrowed.__enter__()
    assert again.seal == larger.seal
    borrowed.__exit__(OSError, OSError("gone"), None)
    with trays.lend(*tile(128, 128)) as (fresh, _):
        assert fresh.seal != larger.seal


def test_trays_go_with_their_owner() -> None:
    before = open_trays()
    trays = Trays()
    with trays.lend(*tile()):
        assert len(open_trays()) > len(before)
    del trays
    gc.collect()
    assert open_trays() == before


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_arrays_of_a_tile_do_not_overlap(rows: int, columns: int, seed: int) -> None:
    rgb, log_background = tile(16 * rows, 16 * columns, seed)
    with Trays().lend(rgb, log_background) as (lent, answer):
        there = borrow(lent)
        assert there is not None
        there.answer[...] = 255 - there.rgb
        assert np.array_equal(there.rgb, rgb)
        assert np.array_equal(there.log_background, log_background)
        assert np.array_equal(answer, 255 - rgb)


class _Answer:
    def __init__(self, value: Any) -> None:
        self._value = value

    def result(self) -> Any:
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


class _Method:
    def __init__(self, work: Any) -> None:
        self._work = work

    def remote(self, *arguments: Any) -> _Answer:
        return _Answer(self._work(*arguments))


class Handle:
    """A segmenter that answers with the tile itself; what it does with lent tiles is said in advance.

    ``addresses`` are those of direct lines, one for each time that somebody asks; with the last one it stays.
    """

    def __init__(self, *lent_answers: Any, addresses: tuple[str | None, ...] = (None,)) -> None:
        self.lent: list[LentTile] = []
        self.sent_n = self.called_up_n = 0
        self._lent_answers, self._addresses = list(lent_answers), list(addresses)
        self.identity, self.address = _Method(lambda name: name), _Method(self._called_up)
        self.predict, self.predict_lent = _Method(self._sent), _Method(self._lent)

    def _called_up(self) -> str | None:
        self.called_up_n += 1
        return self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]

    def _sent(self, name: str, rgb: Any, log_background: Any) -> Any:
        self.sent_n += 1
        return rgb

    def _lent(self, name: str, lent: LentTile) -> Any:
        self.lent.append(lent)
        answer = self._lent_answers.pop(0)
        if answer is True:
            there = borrow(lent)
            assert there is not None
            there.answer[...] = there.rgb
        return answer


def test_a_segmenter_out_of_reach_is_sent_its_tiles_from_then_on() -> None:
    handle: Any = Handle(True, False)
    run = remote_loader(handle)(NAME).run
    for seed in range(4):
        rgb, log_background = tile(seed=seed)
        assert np.array_equal(run(rgb, log_background), rgb)
    assert len(handle.lent) == 2
    assert handle.sent_n == 3


def test_after_a_death_the_tile_lies_in_a_tray_that_no_late_answer_reaches() -> None:
    handle: Any = Handle(RayActorError(), True, True)
    run = remote_loader(handle)(NAME).run
    first, second = run(*tile(seed=1)), run(*tile(seed=2))
    dead, alive, later = (lent.seal for lent in handle.lent)
    assert dead != alive == later
    assert np.array_equal(first, tile(seed=1)[0])
    assert np.array_equal(second, tile(seed=2)[0])


def test_a_tile_that_always_kills_the_segmenter_is_given_up() -> None:
    handle: Any = Handle(*[RayActorError()] * (MOST_DEATHS + 1))
    with pytest.raises(RayActorError):
        remote_loader(handle)(NAME).run(*tile())
    assert len(handle.lent) == MOST_DEATHS + 1


class Listening:
    """The same at the end of a direct line, where an exception among the answers is the death of that end."""

    def __init__(self, *answers: Any) -> None:
        self.questions: list[tuple[str, LentTile]] = []
        self._answers = list(answers)
        self.address = Switchboard(self._answer).address

    def _answer(self, question: tuple[str, LentTile]) -> Any:
        self.questions.append(question)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            # To the asker it is as if this process had gone.
            raise SystemExit
        if answer is True:
            there = borrow(question[1])
            assert there is not None
            there.answer[...] = there.rgb
        return answer


def test_the_only_segmenter_of_the_machine_is_asked_over_a_direct_line() -> None:
    listening = Listening(True, True, True)
    handle: Any = Handle(addresses=(listening.address,))
    run = remote_loader(handle)(NAME).run
    for seed in range(3):
        rgb, log_background = tile(seed=seed)
        assert np.array_equal(run(rgb, log_background), rgb)
    assert [name for name, _ in listening.questions] == [NAME] * 3
    assert (handle.called_up_n, len(handle.lent), handle.sent_n) == (1, 0, 0)


def test_a_segmenter_that_is_not_alone_any_more_says_so_and_ray_chooses() -> None:
    listening = Listening(True, None)
    handle: Any = Handle(True, True, addresses=(listening.address,))
    run = remote_loader(handle)(NAME).run
    for seed in range(3):
        assert np.array_equal(run(*tile(seed=seed)), tile(seed=seed)[0])
    assert (len(listening.questions), handle.called_up_n, len(handle.lent)) == (2, 1, 2)


def test_a_segmenter_whose_line_does_not_reach_here_is_asked_by_ray_and_looked_for_again() -> None:
    near = Listening(True)
    handle: Any = Handle(True, addresses=("\0isletnet-nobody", near.address))
    run = remote_loader(handle)(NAME).run
    for seed in range(2):
        assert np.array_equal(run(*tile(seed=seed)), tile(seed=seed)[0])
    assert (len(handle.lent), len(near.questions)) == (1, 1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_tile_whose_segmenter_dies_goes_to_the_next_one_in_another_tray() -> None:
    dies, next_one = Listening(OSError()), Listening(True, True)
    handle: Any = Handle(addresses=(dies.address, next_one.address))
    run = remote_loader(handle)(NAME).run
    for seed in range(2):
        assert np.array_equal(run(*tile(seed=seed)), tile(seed=seed)[0])
    (_, lost), (_, again), (_, later) = dies.questions + next_one.questions
    assert lost.seal != again.seal == later.seal


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_tile_that_always_kills_the_segmenter_is_given_up_on_a_line_too() -> None:
    ends = [Listening(OSError()) for _ in range(MOST_DEATHS + 1)]
    handle: Any = Handle(addresses=tuple(end.address for end in ends))
    with pytest.raises(LineLostError):
        remote_loader(handle)(NAME).run(*tile())
    assert [len(end.questions) for end in ends] == [1] * (MOST_DEATHS + 1)
