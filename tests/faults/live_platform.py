"""A platform that is really started, in processes of its own, and what can happen to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import httpx
import psutil

from isletnet.storage.store import open_store
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import StoreReport, verify
from serve.platform.run_folder import find_run_folder, kill_members, members, store_location
from tests.conftest import ROOT

# Long enough for a machine on which much else is going on.
START_S, STOP_S = 400.0, 45.0
LOOK_S = 0.1

Value = TypeVar("Value")

# How the processes call themselves, or the file that they run.
KINDS = {
    "ingress": ("ray::ServeReplica:isletnet:Ingress",),
    "shepherd": ("ray::ServeReplica:isletnet:Shepherd",),
    "segmenter": ("ray::ServeReplica:isletnet:Segmenter",),
    "keeper": ("ray::ServeReplica:isletnet:Keeper",),
    "worker": ("ray::RemoteWorker",),
    "controller": ("ray::ServeController",),
    "raylet": ("raylet",),
    "gcs": ("gcs_server",),
}


def wait_for(ask: Callable[[], Value | None], *, longest_s: float, what: str) -> Value:
    """Ask until there is an answer that is true."""
    until_s = time.monotonic() + longest_s
    while True:
        found = ask()
        if found:
            return found
        assert time.monotonic() < until_s, f"not within {longest_s:g} s: {what}"
        time.sleep(LOOK_S)


def free_port() -> int:
    """Find a port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# Nobody is there, unless a test is.
SMTP_PORT = free_port()
# What most tests want: a short queue, so that it can be filled, and mails.
USUAL = {
    "ISLETNET_MAX_OPEN_REQUESTS": "40",
    "ISLETNET_SMTP_HOST": "127.0.0.1",
    "ISLETNET_SMTP_PORT": str(SMTP_PORT),
    "ISLETNET_SMTP_SECURITY": "none",
    "ISLETNET_MAIL_SENDER": "isletnet@clinic.example",
}


class Platform:
    """A platform by `isletnet up`; ``starts_s`` are the seconds that its starts took.

    Parameters
    ----------
    store
        Its folder or address.
    variables
        Settings and other variables of its environment.
    wrapper
        A command that runs it, such as one that changes the time.
    """

    def __init__(self, store: str, *, variables: Mapping[str, str] | None = None, wrapper: Sequence[str] = ()) -> None:
        self.store = store_location(store)
        self.run_folder = find_run_folder(self.store)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.starts_s: list[float] = []
        self._wrapper = tuple(wrapper)
        self._said = self.run_folder.with_suffix(".said")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "ISLETNET_"))},
            "ISLETNET_STORE": self.store,
            "ISLETNET_PORT": str(self.port),
            "ISLETNET_PAGES_PORT": str(free_port()),
            "ISLETNET_MAX_CALLS_PER_MINUTE": "1000000",
            "ISLETNET_NETWORK": "islet-unet-small",
            **(variables or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """Kill everything, and leave nothing behind."""
        self.kill_all()
        self._said.unlink(missing_ok=True)
        shutil.rmtree(self.run_folder, ignore_errors=True)

    def kill_all(self) -> None:
        """Kill everything at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        kill_members(self.run_folder)

    @property
    def supervisor(self) -> psutil.Process:
        """The process that looks after the others."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def start(self) -> float:
        """Start it; returns the seconds until it was ready for requests."""
        begun_s = time.monotonic()
        command = [*self._wrapper, sys.executable, "-m", "isletnet.cli", "up"]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(command, env=self._environment, cwd=ROOT, stdout=said, stderr=said)
        self.wait_ready(START_S)
        self.starts_s.append(time.monotonic() - begun_s)
        return self.starts_s[-1]

    def stop(self) -> float:
        """Stop it by SIGTERM; returns the seconds that took."""
        assert self._process is not None
        begun_s = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(STOP_S)
        assert code == 0
        assert members(self.run_folder) == []
        return time.monotonic() - begun_s

    def is_ready(self) -> bool:
        """Whether it takes requests."""
        return self._answers("health/ready")

    def is_live(self) -> bool:
        """Whether the API answers."""
        return self._answers("health/live")

    def wait_ready(self, longest_s: float) -> None:
        """Wait until it takes requests; fails at once if it has ended."""

        def ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.log()
            return self.is_ready()

        wait_for(ready, longest_s=longest_s, what=f"the platform is ready; {self.log()}")

    def log(self) -> str:
        """What the supervisor has said and written."""
        paths = (self._said, self.run_folder / "logs" / "up.jsonl")
        return "\n".join(path.read_text()[-3000:] for path in paths if path.exists())

    def processes(self, kind: str) -> list[psutil.Process]:
        """Find the processes of a kind, the oldest first."""
        found = [process for process in members(self.run_folder) if _is_kind(process, kind)]
        return sorted(found, key=lambda process: process.create_time())

    def kill(self, kind: str) -> int:
        """Kill a process of a kind without warning, the busiest of them; returns its number.

        The kind "API" stands for all processes that answer calls.
        """
        name = "ingress" if kind == "API" else kind
        found = wait_for(lambda: self.processes(name), longest_s=120, what=f"there is a {name}")
        victims = found if kind == "API" else [busiest(found)]
        for victim in victims:
            victim.kill()
        return victims[0].pid

    def niceness(self, kind: str) -> int:
        """Tell how much the threads of a kind of process step back, those that do so most."""
        tasks = [task for process in self.processes(kind) for task in Path(f"/proc/{process.pid}/task").iterdir()]
        return max(os.getpriority(os.PRIO_PROCESS, int(task.name)) for task in tasks)

    def memory_mb(self) -> dict[str, float]:
        """Sum the resident memory by kind of process; shared pages count for each."""
        # Looked for once, for this is asked again and again while the platform is short of processors.
        found = members(self.run_folder)
        sums: dict[str, float] = {}
        for kind in KINDS:
            with suppress(psutil.Error):
                sums[kind] = round(sum(p.memory_info().rss for p in found if _is_kind(p, kind)) / 1e6, 1)
        return sums

    def verify(self) -> StoreReport:
        """Check the store, when what is left over was swept up."""
        store = open_store(self.store, must_exist=True)
        sweep(store, now=datetime.now(UTC))
        return verify(store)

    def _answers(self, path: str) -> bool:
        try:
            return httpx.get(f"{self.url}/{path}", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


def busiest(processes: Sequence[psutil.Process]) -> psutil.Process:
    """Find the process that uses most of a processor at this moment."""
    if len(processes) == 1:
        return processes[0]
    for process in processes:
        # The first look only begins to count.
        _busy(process)
    time.sleep(LOOK_S)
    shares = [(_busy(process), at) for at, process in enumerate(processes)]
    return processes[max(shares)[1]]


def _busy(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        return float(process.cpu_percent())
    return 0.0


def _is_kind(process: psutil.Process, kind: str) -> bool:
    with suppress(psutil.Error):
        command = process.cmdline()
        first = command[0] if command else ""
        return any(first.startswith(name) or Path(first).name == name for name in KINDS[kind])
    return False
