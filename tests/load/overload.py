"""How much the platform bears, and what it answers when more comes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from tests.conftest import ROOT
from tests.faults.calls import Sender, picture
from tests.faults.live_platform import Platform
from tests.faults.table import Table, percentiles

SENDERS_N = 4
FACTOR = 3.0
MEMORY_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """What came of too many calls."""

    statuses: dict[str, int]
    unfit: dict[str, int]
    states: dict[str, int]
    status_p99_s: float
    peak_mb: dict[str, float]


def capacity_per_s(platform: Platform, requests_n: int, label: str) -> float:
    """Measure how many requests of one small picture are done in a second, with as many senders as keep it busy."""

    def send(number: int) -> None:
        with Sender(platform.url) as sender:
            request_id = sender.submit([picture(1 + number % 5)], key=f"{label} {number}")
            assert sender.wait(request_id)["state"] == "done"

    begun_s = time.monotonic()
    with ThreadPoolExecutor(SENDERS_N) as pool:
        list(pool.map(send, range(requests_n)))
    return requests_n / (time.monotonic() - begun_s)


def overload(platform: Platform, *, seconds: float, seed: int, table: Table) -> Overload:
    """Send three times what it can do for a while, wait for what was accepted, and tell both in the table."""
    # The best of some rounds: a platform that has just started, or a busy neighbour, would make it no overload.
    capacity = max(capacity_per_s(platform, 30, f"capacity {time.time_ns()}") for _ in range(3))
    crowd = ["tests.load.open_loop", platform.url, "--seed", str(seed), "--per-second", str(FACTOR * capacity)]
    with Sender(platform.url) as sender:
        watched = sender.submit([picture(1)], key=f"watched {time.time_ns()}")
    asker = ["tests.load.asker", f"{platform.url}/requests/{watched}"]
    with peak_memory(platform) as peak_mb:
        with ThreadPoolExecutor(2) as pool:
            told, asked = pool.map(lambda command: _told([*command, "--seconds", str(seconds)]), (crowd, asker))
        states: dict[str, int] = {}
        with Sender(platform.url, patience_s=600) as sender:
            for request_id in told["accepted"]:
                state = sender.wait(request_id)["state"]
                states[state] = states.get(state, 0) + 1
    ordered = sorted(asked["took_s"])
    unfit = {
        **told["unfit"],
        **{f"status answered {code}": n for code, n in asked["statuses"].items() if code != "200"},
    }
    table.add("capacity", "-", f"{capacity:.1f} requests/s of one small picture")
    table.add(
        f"overload, {FACTOR:g}x for {seconds:g} s",
        "only 202/429/503 in JSON, every 202 ends",
        f"{told['sent']} sent, answers {told['statuses']}, unfit {unfit}, accepted ended {states}, "
        + percentiles(told["submit_s"]),
    )
    table.add("status while overloaded", "p99 <= 0.5 s", percentiles(ordered))
    table.add("memory while overloaded", "bounded", f"peak MB {peak_mb}")
    return Overload(
        statuses=told["statuses"],
        unfit=unfit,
        states=states,
        status_p99_s=ordered[int(0.99 * len(ordered))],
        peak_mb=peak_mb,
    )


def _told(command: list[str]) -> dict[str, Any]:
    """Run a program of these tests; gives what it prints."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@contextmanager
def peak_memory(platform: Platform) -> Iterator[dict[str, float]]:
    """Watch the memory of the processes; the mapping that is given holds their peaks so far."""
    peak_mb: dict[str, float] = {}
    is_over = Event()

    def watch() -> None:
        while not is_over.wait(MEMORY_EVERY_S):
            for kind, used_mb in platform.memory_mb().items():
                peak_mb[kind] = max(used_mb, peak_mb.get(kind, 0.0))

    thread = Thread(target=watch)
    thread.start()
    try:
        yield peak_mb
    finally:
        is_over.set()
        thread.join()
