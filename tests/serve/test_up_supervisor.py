"""The supervisor with small programs in place of Ray."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from serve.platform.run_folder import kill_members, members
from serve.platform.supervisor import Patience
from tests.conftest import ROOT

LONGEST_S = 20.0


def _hear_hangups() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Double:
    """A supervised platform in a process of its own."""

    def __init__(self, tmp_path: Path) -> None:
        self.run_folder, self.folder = tmp_path / "run", tmp_path / "told"
        self.folder.mkdir()
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.serve.platform_double", str(self.run_folder), str(self.folder)]
        with self._errors.open("ab") as errors:
            # Whoever runs the tests by nohup has its children pass over the end of a terminal.
            return subprocess.Popen(command, cwd=ROOT, stderr=errors, preexec_fn=_hear_hangups)

    @property
    def _errors(self) -> Path:
        return self.folder / "errors"

    def said(self, words: str) -> int:
        """How often the supervisor complained of something."""
        return self._errors.read_text().count(words)

    def pid(self, name: str) -> int:
        wait_for((self.folder / name).exists)
        return int((self.folder / name).read_text())

    def ups_n(self) -> int:
        path = self.folder / "ups"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def wait_up(self, times: int = 1) -> None:
        wait_for(lambda: self.ups_n() >= times)

    def log(self) -> str:
        return (self.run_folder / "logs" / "deploy.log").read_text()


def wait_for(is_so: Callable[[], object]) -> None:
    until_s = time.monotonic() + LONGEST_S
    while not is_so():
        assert time.monotonic() < until_s, "it did not come to pass in time"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    double = Double(tmp_path)
    yield double
    double.process.kill()
    double.process.wait()
    kill_members(double.run_folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_clean(double: Double, number: signal.Signals):
    double.wait_up()
    head, pages = double.pid("head"), double.pid("pages")
    double.process.send_signal(number)
    assert double.process.wait(LONGEST_S) == 0
    assert (double.folder / "undeployed").exists()
    assert is_gone(head)
    assert is_gone(pages)


def test_a_second_interrupt_stops_at_once(double: Double):
    (double.folder / "hangs").touch()
    double.wait_up()
    head = double.pid("head")
    double.process.send_signal(signal.SIGINT)
    wait_for((double.folder / "undeployed").exists)
    begun_s = time.monotonic()
    double.process.send_signal(signal.SIGINT)
    assert double.process.wait(LONGEST_S) == 0
    assert time.monotonic() - begun_s < 1.5
    assert is_gone(head)


def test_an_application_that_hangs_at_the_end_does_not_hold_up_the_stop(double: Double):
    (double.folder / "hangs").touch()
    double.wait_up()
    double.process.send_signal(signal.SIGTERM)
    assert double.process.wait(LONGEST_S) == 0
    assert members(double.run_folder) == []


def test_a_killed_head_comes_back(double: Double):
    double.wait_up()
    first = double.pid("head")
    (double.folder / "head").unlink()
    os.kill(first, signal.SIGKILL)
    double.wait_up(2)
    assert double.pid("head") != first


def test_a_service_that_falls_silent_is_started_again(double: Double):
    double.wait_up()
    first = double.pid("head")
    (double.folder / "answers").unlink()
    double.wait_up(2)
    assert double.pid("head") != first
    assert is_gone(first)


def test_pages_come_back_alone(double: Double):
    double.wait_up()
    head, first = double.pid("head"), double.pid("pages")
    (double.folder / "pages").unlink()
    os.kill(first, signal.SIGKILL)
    wait_for((double.folder / "pages").exists)
    assert not is_gone(head)
    assert double.ups_n() == 1


@contextmanager
def no_log(double: Double, name: str) -> Iterator[None]:
    """Nothing of this name can be started meanwhile, as with a full disk."""
    log = double.run_folder / "logs" / f"{name}.log"
    log.unlink()
    log.mkdir()
    yield
    log.rmdir()


def test_what_cannot_be_started_now_is_started_later(double: Double):
    double.wait_up()
    first = double.pid("head")
    (double.folder / "head").unlink()
    with no_log(double, "head"):
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: double.said("Is a directory") >= 2)
    double.wait_up(2)
    assert double.pid("head") != first


def test_pages_that_cannot_be_started_now_disturb_nobody(double: Double):
    double.wait_up()
    head, first = double.pid("head"), double.pid("pages")
    (double.folder / "pages").unlink()
    with no_log(double, "pages"):
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: double.said("pages cannot be started") >= 2)
    wait_for((double.folder / "pages").exists)
    assert not is_gone(head)
    assert double.ups_n() == 1


def test_a_stop_that_cannot_be_told_is_a_stop(double: Double):
    double.wait_up()
    with no_log(double, "deploy"):
        double.process.send_signal(signal.SIGTERM)
        assert double.process.wait(LONGEST_S) == 0
    assert members(double.run_folder) == []


def test_pauses_grow_up_to_the_longest_however_often_it_failed():
    patience = Patience(first_pause_s=1.0, longest_pause_s=30.0)
    assert [patience.pause_s(failures_n) for failures_n in (0, 1, 2, 3, 5, 6, 5000)] == [1, 1, 2, 4, 16, 30, 30]


def test_what_never_comes_up_is_given_up(tmp_path: Path):
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "broken").touch()
    command = [sys.executable, "-m", "tests.serve.platform_double", str(tmp_path / "run"), str(tmp_path / "told")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert done.returncode == 1
    assert "the application did not start: no such network" in done.stderr
    assert members(tmp_path / "run") == []


def test_one_platform_for_a_store_and_the_lock_of_a_dead_one_is_no_lock(double: Double):
    double.wait_up()
    second = double.start()
    assert second.wait(LONGEST_S) == 1
    assert double.said(f"runs already (process {double.process.pid})")
    left = double.pid("head")
    double.process.kill()
    double.process.wait()
    assert not is_gone(left)
    double.process = double.start()
    double.wait_up(2)
    assert is_gone(left)
