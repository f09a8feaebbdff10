"""A direct line between processes: questions, answers, errors, and ends that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from isletnet.errors import NetworkError
from serve.work import direct
from serve.work.direct import Line, LineLostError, Switchboard

# Answers with its own number, or as it is told; "die" ends it in the middle of a question.
LISTENER = """
import os, signal, sys
from isletnet.errors import NetworkError
from serve.work.direct import Switchboard

def answer(question):
    if question == "who":
        return os.getpid()
    if question == "refuse":
        raise NetworkError("no such network", subject="islet-unet-9")
    if question == "break":
        raise KeyError("gone")
    os.kill(os.getpid(), signal.SIGKILL)

print(Switchboard(answer).address[1:], flush=True)
sys.stdin.read()
"""


@contextmanager
def listening() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process that answers, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    with process:
        assert process.stdout
        yield process, "\0" + process.stdout.readline().decode().strip()
        process.kill()


def test_questions_are_answered_and_errors_come_back() -> None:
    with listening() as (process, address):
        line = Line(address)
        assert line.ask("who") == process.pid
        with pytest.raises(NetworkError, match="no such network") as refused:
            line.ask("refuse")
        assert refused.value.subject == "islet-unet-9"
        with pytest.raises(RuntimeError, match="KeyError: 'gone'"):
            line.ask("break")
        assert line.ask("who") == process.pid


def test_an_end_that_dies_is_noticed_and_nobody_listens_there_any_more() -> None:
    with listening() as (process, address):
        line = Line(address)
        assert line.ask("who") == process.pid
        with pytest.raises(LineLostError):
            line.ask("die")
        assert process.wait(10) == -signal.SIGKILL
        with pytest.raises(LineLostError):
            line.ask("who")
        with pytest.raises(LineLostError):
            Line(address)


def test_many_threads_ask_at_once_and_each_gets_its_own_answer() -> None:
    together = threading.Barrier(8, timeout=10)

    def answer(number: int) -> int:
        # Only calls that are all there at the same time pass.
        together.wait()
        return -number

    line = Line(Switchboard(answer).address)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(line.ask, range(80))) == [-number for number in range(80)]


def test_other_people_are_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    board = Switchboard(heard.append)
    uid = os.getuid()
    monkeypatch.setattr(direct.os, "getuid", lambda: uid + 1)
    with pytest.raises(LineLostError):
        Line(board.address).ask("anybody there")
    assert heard == []


def test_a_line_keeps_no_more_connections_than_were_needed_at_once() -> None:
    line = Line(Switchboard(lambda question: question).address)
    # The other end of this process, too, has its connection then.
    assert line.ask(0) == 0
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(50):
        assert line.ask(number) == number
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
