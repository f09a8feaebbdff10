"""A store on S3 that is slow, fails or is away: what was accepted is done, and nothing is done twice."""

import random
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import httpx
import pytest

from tests.faults.calls import Sender, picture
from tests.faults.conftest import IS_LONG, Platforms, Sizes
from tests.faults.live_platform import wait_for
from tests.faults.table import Table, percentiles
from tests.storage.conftest import ACCESS_KEY, BUCKET, SECRET_KEY, make_s3_store, s3_address
from tests.storage.s3_between import Between, Fate, serving

pytestmark = pytest.mark.slow
__all__ = ["s3_address"]

SLOW_S, REFUSED_FRACTION, RESET_FRACTION = 2.0 if IS_LONG else 0.5, 0.2, 0.05
SENDERS_N = 4

Mood = Literal["well", "slow", "shaky", "away"]


class Moody(Between):
    """Stands before S3 and behaves as it is told to."""

    def __init__(self, target: str, seed: int) -> None:
        self.mood: Mood = "well"
        self.faults_n = 0
        self._generator, self._guard = random.Random(seed), threading.Lock()
        super().__init__(target, refusal_status=500)

    def fate(self) -> Fate:
        if self.mood == "slow":
            time.sleep(SLOW_S)
        with self._guard:
            drawn = self._generator.random()
            if self.mood == "slow" or self.mood == "well":
                return "passed"
            self.faults_n += self.mood == "away" or drawn < REFUSED_FRACTION + RESET_FRACTION
            if self.mood == "away" or drawn < RESET_FRACTION:
                return "reset"
            return "refused" if drawn < REFUSED_FRACTION + RESET_FRACTION else "passed"


@pytest.fixture(scope="module")
def moody(s3_address: str, sizes: Sizes) -> Iterator[Moody]:
    with serving(Moody(s3_address, sizes.seed)) as server:
        yield server


def test_nothing_is_lost_while_s3_fails_is_slow_and_goes_away(
    platforms: Platforms, moody: Moody, s3_address: str, sizes: Sizes, table: Table
):
    prefix = f"faults/{secrets.token_hex(8)}"
    variables = {
        "AWS_ENDPOINT": f"http://127.0.0.1:{moody.server_port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    platform = platforms.get(store=f"s3://{BUCKET}/{prefix}", variables=variables)

    def send(key: str) -> tuple[str, float]:
        with Sender(platform.url, patience_s=600) as sender:
            begun_s = time.monotonic()
            told = sender.wait(sender.submit([picture(1)], key=key))
            return told["state"], time.monotonic() - begun_s

    def many(mood: Mood, requests_n: int) -> tuple[list[str], list[float]]:
        with ThreadPoolExecutor(SENDERS_N) as pool:
            ended = list(pool.map(send, [f"{mood} {number}" for number in range(requests_n)]))
        return [state for state, _ in ended], [seconds for _, seconds in ended]

    submitted_n = 0
    try:
        for mood, requests_n in (("well", 4), ("shaky", sizes.requests_n // 3), ("slow", 2)):
            moody.mood = mood
            states, seconds = many(mood, requests_n)
            submitted_n += requests_n
            table.add(f"S3 {mood}", "all done", f"{states.count('done')}/{requests_n} done, {percentiles(seconds)}")
            assert states == ["done"] * requests_n
        with Sender(platform.url, patience_s=600) as sender:
            moody.mood = "well"
            waiting = [sender.submit([picture(2), picture(3)], key=f"away {number}") for number in range(4)]
            submitted_n += 4
            moody.mood = "away"
            silent_s = []
            until_s = time.monotonic() + sizes.outage_s
            while time.monotonic() < until_s:
                begun_s = time.monotonic()
                answer = httpx.get(f"{platform.url}/requests/{waiting[0]}", timeout=30)
                silent_s.append(time.monotonic() - begun_s)
                assert answer.status_code == 503
                assert answer.json()["error"]["code"] == "storage_unavailable"
                assert "retry-after" in answer.headers
            assert platform.is_live()
            moody.mood = "well"
            states = [sender.wait(request_id)["state"] for request_id in waiting]
        table.add(
            f"S3 away for {sizes.outage_s:g} s",
            "503 within 5 s, then all done",
            f"503 {percentiles(silent_s)}; {states.count('done')}/4 done; {moody.faults_n} faults in all",
        )
        assert states == ["done"] * 4
        assert max(silent_s) <= 5.0
        wait_for(platform.is_ready, longest_s=60, what="it is ready")
        platform.stop()
    finally:
        platforms.close()
    from datetime import UTC, datetime

    from isletnet.storage.sweep import sweep
    from isletnet.storage.verify import verify

    store = make_s3_store(s3_address, prefix=prefix)
    sweep(store, now=datetime.now(UTC))
    report = verify(store)
    assert report.problems == ()
    assert report.requests_by_state == {"done": submitted_n}
