"""Keeps a platform alive from outside: starts its processes, looks after them, starts all again, stops them clean."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from serve.platform.run_folder import kill_members, open_log, work_folder

_LOG = logging.getLogger("isletnet.serve.up")
_LOOK_S = 0.2
_BEGIN = b"---- started\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """What one life of the platform consists of.

    Parameters
    ----------
    head
        Runs as long as the platform.
    deploy
        Puts the application onto the head, and ends well when that answers.
    undeploy
        Asks the application to hand back its work and to end.
    pages
        Runs beside the head; None where there are no pages.
    """

    head: Sequence[str]
    deploy: Sequence[str]
    undeploy: Sequence[str]
    pages: Sequence[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the supervisor waits for what, in seconds, and how often it tries to come up at all."""

    start_s: float = 300.0
    silence_s: float = 40.0
    probe_every_s: float = 2.0
    undeploy_s: float = 20.0
    end_s: float = 5.0
    first_pause_s: float = 1.0
    # With the time of a start it stays below the 90 s in which the API has to be back.
    longest_pause_s: float = 30.0
    settled_s: float = 600.0
    # Ray gives up on a machine that is very busy just then.
    first_tries_n: int = 3

    def pause_s(self, failures_n: int) -> float:
        """Tell how long to wait after so many failures in a row: twice as long each time, up to the longest pause."""
        # It may fail for days; there are no numbers for so many doublings.
        return min(self.first_pause_s * 2.0 ** min(max(failures_n - 1, 0), 100), self.longest_pause_s)


class StoppedError(Exception):
    """Raised inside the supervisor when it is told to stop."""


class BrokenError(Exception):
    """Raised inside the supervisor when the platform has to be started again."""


class HopelessError(BrokenError):
    """Raised inside the supervisor when it would be no better the next time, unless it was up before."""


class Supervisor:
    """Runs a platform until it is told to stop.

    Parameters
    ----------
    make_commands
        Gives the commands of the next life.
    is_alive
        Whether the application answers; takes a few seconds at most.
    folder
        Where logs go, and by which the processes are known; see `serve.platform.run_folder`.
    environment
        Of all processes.
    tell_up
        Called each time when the platform is up, with the seconds that took.
    """

    def __init__(
        self,
        make_commands: Callable[[], Commands],
        is_alive: Callable[[], bool],
        *,
        folder: Path,
        environment: Mapping[str, str],
        tell_up: Callable[[float], None],
        patience: Patience | None = None,
    ) -> None:
        self._make_commands = make_commands
        self._is_alive = is_alive
        self._folder = folder
        self._environment = dict(environment)
        self._tell_up = tell_up
        self._patience = patience or Patience()
        self._stops_n = 0
        self._came_up = False
        self._pages: subprocess.Popen[bytes] | None = None
        self._pages_failures = 0
        self._pages_due_s = 0.0

    def ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the first one stops clean, the second one at once."""
        self._stops_n += 1
        if self._stops_n > 1:
            kill_members(self._folder)

    def run(self) -> int:
        """Run until told to stop; returns the exit code, 1 if the platform never came up."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.ask_to_stop)
        # The terminal is closed. Under nohup, that changes nothing.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self.ask_to_stop)
        was_up, failures = False, 0
        while True:
            left = kill_members(self._folder)
            if left:
                _LOG.warning("processes of an earlier life were still there", extra={"processes_n": left})
            begun_s = time.monotonic()
            try:
                commands = self._make_commands()
                self._live(commands, begun_s)
            except StoppedError:
                self._stop(commands)
                return 0
            # A full disk, or no memory for one more process, is over some time.
            except (BrokenError, OSError) as error:
                _LOG.error("the platform broke down: %s", error)
                lived_s = time.monotonic() - begun_s
                was_up = was_up or self._came_up
                self._kill()
                failures = 0 if lived_s > self._patience.settled_s else failures + 1
                if not was_up and (isinstance(error, HopelessError) or failures >= self._patience.first_tries_n):
                    return 1
                try:
                    self._wait(self._patience.pause_s(failures))
                except StoppedError:
                    return 0

    def _live(self, commands: Commands, begun_s: float) -> None:
        self._came_up = False
        head = self._start("head", commands.head)
        deploy = self._start("deploy", commands.deploy)
        while (code := deploy.poll()) is None:
            self._look(head)
            if time.monotonic() - begun_s > self._patience.start_s:
                raise HopelessError(f"it was not up within {self._patience.start_s:g} s; see {self._folder}/logs")
        if code:
            raise HopelessError(f"the application did not start: {self._last_line('deploy')}")
        heard_s = time.monotonic()
        while True:
            if self._is_alive():
                heard_s = time.monotonic()
                if not self._came_up:
                    self._came_up = True
                    _LOG.info("up", extra={"seconds": round(heard_s - begun_s, 1)})
                    # Nobody may be there any more to hear it.
                    with suppress(OSError):
                        self._tell_up(heard_s - begun_s)
            elif time.monotonic() - heard_s > self._patience.silence_s:
                raise BrokenError(f"the service did not answer for {self._patience.silence_s:g} s")
            self._keep_pages(commands.pages)
            until_s = time.monotonic() + self._patience.probe_every_s
            while time.monotonic() < until_s:
                self._look(head)

    def _look(self, head: subprocess.Popen[bytes]) -> None:
        self._wait(_LOOK_S)
        if head.poll() is not None:
            raise BrokenError(f"Ray ended: {self._last_line('head')}")

    def _wait(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while True:
            if self._stops_n:
                raise StoppedError
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(min(left_s, _LOOK_S))

    def _keep_pages(self, command: Sequence[str] | None) -> None:
        if command is None or time.monotonic() < self._pages_due_s:
            return
        if self._pages is not None and self._pages.poll() is None:
            return
        if self._pages is not None:
            self._pages_failures += 1
            _LOG.error("the pages ended: %s", self._last_line("pages"))
        self._pages_due_s = time.monotonic() + self._patience.pause_s(self._pages_failures + 1)
        self._pages = None
        try:
            self._pages = self._start("pages", command)
        except OSError as error:
            self._pages_failures += 1
            _LOG.error("the pages cannot be started: %s", error)

    def _start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        log = open_log(self._folder, name)
        os.write(log, _BEGIN)
        try:
            # A session of its own: Ctrl-C in a terminal is for the supervisor alone.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=work_folder(self._folder),
                start_new_session=True,
            )
        finally:
            os.close(log)
        _LOG.info("started", extra={"what": name, "pid": process.pid})
        return process

    def _stop(self, commands: Commands) -> None:
        _LOG.info("stopping")
        if self._came_up:
            with suppress(OSError):
                undeploy = self._start("deploy", commands.undeploy)
                until_s = time.monotonic() + self._patience.undeploy_s
                while undeploy.poll() is None and time.monotonic() < until_s and self._stops_n < 2:
                    time.sleep(_LOOK_S)
        self._kill()
        _LOG.info("stopped")

    def _kill(self) -> None:
        kill_members(self._folder)
        self._pages, self._pages_due_s = None, 0.0

    def _last_line(self, name: str) -> str:
        with suppress(OSError):
            said = (self._folder / "logs" / f"{name}.log").read_bytes().rpartition(_BEGIN)[2]
            lines = said.decode(errors="replace").strip().splitlines()
            if lines:
                return lines[-1][:300]
        return "it said nothing"
