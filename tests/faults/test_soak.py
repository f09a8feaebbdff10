"""Hours of work, with a fifth of the time to spare: memory and open files stay as they are, and nothing is refused."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import numpy as np
import pytest

from tests.faults.calls import Sender, picture
from tests.faults.conftest import IS_LONG, Sizes
from tests.faults.live_platform import Platform, wait_for
from tests.faults.table import Table, percentiles

pytestmark = pytest.mark.slow

SENDERS_N = 3
# A sender rests for a quarter of the time that its last request took: 80 % of what the machine can do at that moment,
# whatever else it does.
REST = 0.25
LOOKS_N = 24
# Most are deleted as soon as they were read, so that hours fit on a disk.
KEPT_EVERY = 20
SIZES_PX = [(240, 320)] * 9 + [(720, 960)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen after some requests."""

    done_n: int
    memory_mb: dict[str, float]
    open_files_n: int


class Work:
    """Senders that submit and wait until they are told to stop."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.Lock()
        self.is_over = threading.Event()
        self.seconds: list[float] = []
        self.states: dict[str, int] = {}
        self.unfit_n = 0

    def run(self, first: int) -> None:
        """Send one request after the other."""
        number = first
        with Sender(self._platform.url) as sender:
            while not self.is_over.is_set():
                height_px, width_px = SIZES_PX[number % len(SIZES_PX)]
                begun_s = time.monotonic()
                state = self._send(sender, picture(1 + number % 7, height_px, width_px), number)
                took_s = time.monotonic() - begun_s
                with self._lock:
                    self.states[state] = self.states.get(state, 0) + 1
                    self.unfit_n += state == "refused"
                    self.seconds.append(took_s)
                number += SENDERS_N
                self.is_over.wait(REST * took_s)

    def _send(self, sender: Sender, content: bytes, number: int) -> str:
        try:
            answer = sender.try_submit([content])
        except httpx.HTTPError:
            return "refused"
        if answer.request_id is None:
            return "refused"
        state = str(sender.wait(answer.request_id)["state"])
        assert sender.get(f"requests/{answer.request_id}/results").status_code == 200
        if number % KEPT_EVERY:
            deleted = httpx.delete(f"{self._platform.url}/requests/{answer.request_id}", timeout=60)
            assert deleted.status_code == 202, deleted.text
        return state


def test_hours_of_work_leave_memory_and_files_flat(platform: Platform, sizes: Sizes, table: Table):
    work = Work(platform)
    looks: list[Look] = []
    with ThreadPoolExecutor(SENDERS_N) as pool:
        senders = [pool.submit(work.run, first) for first in range(SENDERS_N)]
        try:
            for _ in range(LOOKS_N):
                time.sleep(sizes.soak_s / LOOKS_N)
                looks.append(
                    Look(done_n=len(work.seconds), memory_mb=platform.memory_mb(), open_files_n=_open_files_n(platform))
                )
                if IS_LONG:
                    table.add("soak", "so far", f"{looks[-1]}; {work.states}")
        finally:
            work.is_over.set()
        for one in senders:
            one.result()
    # What is loaded once is loaded by then.
    late = looks[LOOKS_N // 3 :]
    done = np.array([look.done_n for look in late])
    slopes = {
        kind: round(100 * float(np.polyfit(done, [look.memory_mb[kind] for look in late], 1)[0]), 2)
        for kind in late[0].memory_mb
    }
    files = [look.open_files_n for look in late]
    table.add(
        f"soak, {sizes.soak_s:g} s at 80 %",
        "memory <= 1 MB/100 requests, files flat, no 5xx" if IS_LONG else "no 5xx; slopes need the long form",
        f"{work.states}; MB/100 requests {slopes}; open files {files[0]} -> {files[-1]}; {work.unfit_n} refused; "
        + percentiles(work.seconds),
    )
    assert work.states == {"done": len(work.seconds)}
    assert max(files) - min(files) <= 40
    if IS_LONG:
        assert max(slopes.values()) <= 1.0


def _open_files_n(platform: Platform) -> int:
    total = 0
    for kind in ("ingress", "shepherd", "segmenter", "keeper", "worker"):
        for process in platform.processes(kind):
            total += wait_for(lambda process=process: process.num_fds(), longest_s=5, what="a count of files")
    return total
