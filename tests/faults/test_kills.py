"""Sudden deaths of processes under load: nothing accepted is lost or doubled, and all comes back in time."""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.calls import PARAMETERS, Sender, picture
from tests.faults.conftest import Sizes
from tests.faults.live_platform import Platform, wait_for
from tests.faults.table import Table, percentiles

pytestmark = pytest.mark.slow

SENDERS_N = 4
PICTURES_N = 5
KINDS = ["worker"] * 5 + ["ingress"] * 4 + ["segmenter", "shepherd"] * 2 + ["API", "controller", "keeper"]
HEADS = ["gcs", "raylet"]
BACK_S = 150.0
# A death that silences the API does so within this time.
NOTICED_S = 6.0


class Load:
    """Senders that go on until enough was done and nobody kills any more."""

    def __init__(self, platform: Platform, label: str, least_n: int) -> None:
        self._platform, self._label, self._least_n = platform, label, least_n
        self._lock = threading.Lock()
        self._next = 0
        self.is_over = threading.Event()
        self.done: list[tuple[int, str, str, str, float]] = []

    def run(self) -> None:
        """Send one request after the other."""
        with Sender(self._platform.url, patience_s=400) as sender:
            while (number := self._take()) is not None:
                seed = 1 + number % PICTURES_N
                begun_s = time.monotonic()
                request_id = sender.submit([picture(seed)], key=f"{self._label} {number}")
                told = sender.wait(request_id)
                seconds = time.monotonic() - begun_s
                print_ = sender.fingerprint(request_id) if told["state"] == "done" else str(told)
                with self._lock:
                    self.done.append((seed, request_id, told["state"], print_, seconds))

    def wait_for_more(self, longest_s: float) -> None:
        """Wait until another request has ended: that the work goes on after each death."""
        before_n = len(self.done)
        wait_for(lambda: len(self.done) > before_n, longest_s=longest_s, what="another request has ended")

    def _take(self) -> int | None:
        with self._lock:
            if self._next >= self._least_n and self.is_over.is_set():
                return None
            self._next += 1
            return self._next


def test_random_deaths_lose_and_double_nothing(platform: Platform, sender: Sender, sizes: Sizes, table: Table):
    generator = random.Random(sizes.seed)
    expected = {}
    for seed in range(1, PICTURES_N + 1):
        request_id = sender.submit([picture(seed)], key=f"expected {seed}")
        assert sender.wait(request_id)["state"] == "done"
        expected[seed] = sender.fingerprint(request_id)
    load = Load(platform, f"deaths {time.time_ns()}", sizes.requests_n)
    killed: Counter[str] = Counter()
    with ThreadPoolExecutor(SENDERS_N) as pool:
        senders = [pool.submit(load.run) for _ in range(SENDERS_N)]
        try:
            for number in range(1, sizes.kills_n + 1):
                for one in (one for one in senders if one.done()):
                    one.result()
                time.sleep(generator.uniform(0.5, 4.0))
                is_head = number % sizes.head_every == 0
                kind = generator.choice(HEADS if is_head else KINDS)
                platform.kill(kind)
                killed[kind] += 1
                if is_head:
                    platform.wait_ready(BACK_S)
                load.wait_for_more(BACK_S)
        finally:
            load.is_over.set()
        for one in senders:
            one.result()
    states = Counter(state for _, _, state, _, _ in load.done)
    wrong = [told for seed, _, _, told, _ in load.done if told != expected[seed]]
    ids = {request_id for _, request_id, _, _, _ in load.done}
    table.add(
        "kill -9 at random times",
        "all end, results as without",
        f"{len(load.done)} requests {dict(states)}, {len(load.done) - len(ids)} doubled, {len(wrong)} other results; "
        f"{sum(killed.values())} deaths {dict(killed)}; " + percentiles([seconds for *_, seconds in load.done]),
    )
    assert wrong == []
    assert states == {"done": len(load.done)}
    assert len(ids) == len(load.done) >= sizes.requests_n


@pytest.mark.parametrize(
    ("kind", "api_s", "done_s"),
    [
        ("worker", 5, 60),
        ("ingress", 5, 60),
        ("shepherd", 5, 60),
        ("segmenter", 5, 60),
        ("API", 10, 60),
        ("controller", 5, 60),
        ("gcs", 90, 150),
        ("raylet", 90, 150),
    ],
)
def test_all_comes_back_in_time(
    platform: Platform, sender: Sender, table: Table, kind: str, api_s: float, done_s: float
):
    request_id = sender.submit([picture(9, 720, 960)], key=f"back {kind} {time.time_ns()}", parameters=PARAMETERS)
    wait_for(lambda: sender.status(request_id)["state"] != "queued", longest_s=60, what="the work has begun")
    platform.kill(kind)
    begun_s, silent_s = time.monotonic(), 0.0
    waiting = ThreadPoolExecutor(1)
    ended = waiting.submit(lambda: (sender.wait(request_id), time.monotonic()))
    while not ended.done() or time.monotonic() - begun_s < NOTICED_S:
        if not platform.is_live():
            silent_s = time.monotonic() - begun_s
        time.sleep(0.1)
    waiting.shutdown()
    told, ended_at_s = ended.result()
    ended_s = ended_at_s - begun_s
    table.add(
        f"death of {kind}", f"API <= {api_s} s, request <= {done_s} s", f"API {silent_s:.1f} s, request {ended_s:.1f} s"
    )
    assert told["state"] == "done", told
    platform.wait_ready(BACK_S)
    assert silent_s <= api_s
    assert ended_s <= done_s
