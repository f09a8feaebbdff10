"""One key that waits with hundreds of calls at once: all others are answered as if it were not there."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime

import httpx
import pytest

from isletnet.storage.store import open_store
from serve.access.keys import add_key
from serve.access.limits import CALLS_AT_ONCE
from tests.faults.calls import picture
from tests.faults.conftest import Platforms
from tests.faults.live_platform import Platform
from tests.faults.table import Table

pytestmark = pytest.mark.slow

WAITS_N = 500
REPLICAS_N = 2
LONGEST_S = 60
# Of a machine on which much else may be going on.
ANSWER_S = 10.0


def caller(platform: Platform, name: str) -> httpx.AsyncClient:
    """Make somebody with a key."""
    key, _ = add_key(open_store(platform.store), name, ["submit", "read"], actor="test", now=datetime.now(UTC))
    limits = httpx.Limits(max_connections=None)
    headers = {"X-API-Key": key}
    return httpx.AsyncClient(base_url=platform.url, headers=headers, timeout=LONGEST_S + 10, limits=limits)


async def opened_draft(client: httpx.AsyncClient) -> str:
    """Open a request that nobody submits, so that waiting for it does not end."""
    answer = await client.post("/requests", json={})
    return str(answer.json()["request_id"])


async def starve(platform: Platform) -> tuple[Counter[int], list[float]]:
    """Wait as an impatient app does; returns the answers that it got at once, and the seconds of the others' calls."""
    async with caller(platform, "phone") as phone, caller(platform, "clinic") as clinic:
        request_id = await opened_draft(phone)
        waits = []
        for number in range(WAITS_N):
            path = f"/requests/{request_id}/events" if number % 2 else f"/requests/{request_id}?wait={LONGEST_S}"
            waits.append(asyncio.ensure_future(phone.get(path)))
            await asyncio.sleep(0.01)
        await asyncio.sleep(ANSWER_S)
        at_once = Counter(wait.result().status_code for wait in waits if wait.done())
        seconds = []
        for _ in range(10):
            begun_s = time.monotonic()
            assert (await clinic.get("/session")).status_code == 200
            seconds.append(time.monotonic() - begun_s)
        files = {"images": ("a.tif", picture(1))}
        submitted = await clinic.post("/requests", files=files)
        assert submitted.status_code == 202
        told = await clinic.get(f"/requests/{submitted.json()['request_id']}?wait={LONGEST_S}")
        assert told.json()["state"] == "done"
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return at_once, seconds


async def again(platform: Platform) -> float:
    """Call with many calls at once, after a caller has left; returns when they were let in."""
    begun_s = time.monotonic()
    async with caller(platform, "phone") as phone:
        request_id = await opened_draft(phone)
        while True:
            answers = await asyncio.gather(*(phone.get(f"/requests/{request_id}?wait=1") for _ in range(50)))
            if {answer.status_code for answer in answers} == {200}:
                return time.monotonic() - begun_s
            assert time.monotonic() - begun_s < LONGEST_S, [answer.text for answer in answers][0]
            await asyncio.sleep(0.5)


def test_one_who_waits_with_hundreds_of_calls_is_in_nobody_s_way(platforms: Platforms, doubled: Platform, table: Table):
    try:
        at_once, seconds = asyncio.run(starve(doubled))
        free_s = asyncio.run(again(doubled))
        doubled.stop()
        assert doubled.verify().problems == ()
    finally:
        # Once there are keys, others without one do not get in.
        platforms.close()
    table.add(
        f"one key, {WAITS_N} calls that wait",
        f"at most half of {REPLICAS_N * CALLS_AT_ONCE} held, the others in",
        f"{WAITS_N - at_once.total()} held, {at_once[429]} refused with 429; others answered within "
        f"{max(seconds):.1f} s; places free {free_s:.1f} s after it left",
    )
    assert set(at_once) == {429}
    assert WAITS_N - at_once.total() <= REPLICAS_N * CALLS_AT_ONCE / 2
    assert max(seconds) <= ANSWER_S
