"""Whether a process that held a lease has ended."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from isletnet.storage.processes import has_ended, process_mark

TELL = """
import sys
from isletnet.storage.processes import process_mark

print(process_mark(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Give a process that waits to be ended, and its mark."""
    process = subprocess.Popen([sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_this_process_goes_on():
    mark = process_mark()
    assert mark is not None
    assert f"/{os.getpid()}/" in mark
    assert not has_ended(mark)
    assert process_mark() == mark


def test_a_killed_process_has_ended_even_before_its_parent_has_noticed(other: tuple[subprocess.Popen[str], str]):
    process, mark = other
    assert not has_ended(mark)
    process.kill()
    # It stays in the list of processes until the parent asks for its end.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(mark)
    process.wait()
    assert has_ended(mark)


def test_another_process_with_the_same_number_is_another(other: tuple[subprocess.Popen[str], str]):
    _, mark = other
    rest, _, begun = mark.rpartition("/")
    assert has_ended(f"{rest}/{int(begun) - 1}")


@pytest.mark.parametrize("at", [0, 1, 2])
def test_of_another_machine_container_or_user_nothing_is_known(other: tuple[subprocess.Popen[str], str], at: int):
    process, mark = other
    process.kill()
    process.wait()
    parts = mark.split("/")
    parts[at] = "another"
    assert not has_ended("/".join(parts))


@pytest.mark.parametrize("mark", ["", "node-4711", "a/b/c/d/e"])
def test_what_is_no_mark_has_not_ended(mark: str):
    assert not has_ended(mark)
