"""A stop under load, and a store that moves house: nothing is lost, and everything answers as before."""

import random
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from isletnet.storage.retention import RetentionPolicy, prune
from isletnet.storage.store import open_store
from tests.faults.calls import Sender, picture
from tests.faults.conftest import Platforms, Sizes
from tests.faults.live_platform import USUAL, Platform
from tests.faults.table import Table

pytestmark = pytest.mark.slow

REQUESTS_N = 6
# Links hold the address of the platform that gave them.
_ELSEWHERE = {"links"}


def test_a_stop_under_load_loses_nothing(platform: Platform, table: Table):
    with Sender(platform.url) as sender:
        waiting = [
            sender.submit([picture(3, 720, 960), picture(4, 720, 960)], key=f"stop {time.time_ns()}")
            for _ in range(REQUESTS_N)
        ]
        states = {sender.status(request_id)["state"] for request_id in waiting}
        assert "running" in states or "queued" in states
    stopped_s = platform.stop()
    started_s = platform.start()
    begun_s = time.monotonic()
    with Sender(platform.url) as sender:
        told = [sender.wait(request_id) for request_id in waiting]
    done_s = time.monotonic() - begun_s
    states_after = [one["state"] for one in told]
    table.add(
        f"SIGTERM with {REQUESTS_N} requests",
        "<= 30 s, 0 lost",
        f"stopped in {stopped_s:.1f} s, up again in {started_s:.1f} s, {states_after.count('done')} done "
        f"{done_s:.1f} s later, attempts {[one['attempt'] for one in told]}",
    )
    assert states_after == ["done"] * REQUESTS_N
    assert stopped_s <= 30


def test_a_copied_store_gives_the_same_answers(
    platform: Platform, platforms: Platforms, tmp_path: Path, sizes: Sizes, table: Table
):
    with Sender(platform.url) as sender:
        sender.wait(sender.submit([picture(6), picture(7)], key="backup"))
        before = _answers(sender, sizes)
    platform.stop()
    copy = tmp_path / "restored"
    shutil.copytree(platform.store, copy)
    # After all deaths and overloads of the tests before.
    _check_whole(platform)
    platforms.close()
    restored = platforms.get(store=str(copy), variables=USUAL)
    try:
        with Sender(restored.url) as sender:
            after = _answers(sender, sizes)
        restored.stop()
        report = restored.verify()
    finally:
        platforms.close()
    same_n = sum(after.get(name) == answer for name, answer in before.items())
    table.add("copied store, fresh platform", "identical answers", f"{same_n} of {len(before)} identical")
    assert after == before
    assert report.problems == ()


def _check_whole(platform: Platform) -> None:
    """Check that nothing is lost or left over in a store that nobody uses."""
    report = platform.verify()
    assert report.problems == ()
    # An ingress that died in the middle of a submission has promised nothing; retention takes what it left.
    assert set(report.requests_by_state) <= {"done", "draft"}
    kept = {state: n for state, n in report.requests_by_state.items() if state != "draft"}
    prune(open_store(platform.store), RetentionPolicy(drafts_days=0), actor="test", now=datetime.now(UTC))
    report = platform.verify()
    assert report.problems == ()
    assert report.requests_by_state == kept


def _answers(sender: Sender, sizes: Sizes) -> dict[str, object]:
    """What the API tells of everything that is there, with the results and files of some of it."""
    listed: dict[str, dict[str, object]] = {}
    query: dict[str, object] = {"limit": 50}
    while query.get("before", True):
        page = sender.get("requests", **query).json()
        listed |= {one["request_id"]: _plain(one) for one in page["requests"]}
        query["before"] = page.get("next")
    answers: dict[str, object] = dict(listed)
    for request_id in random.Random(sizes.seed).sample(sorted(listed), min(sizes.restored_n, len(listed))):
        answers[f"{request_id} status"] = _plain(sender.get(f"requests/{request_id}").json())
        if listed[request_id]["state"] == "done":
            answers[f"{request_id} results"] = sender.get(f"requests/{request_id}/results").json()
            answers[f"{request_id} files"] = sender.fingerprint(request_id)
    return answers


def _plain(status: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in status.items() if name not in _ELSEWHERE}
