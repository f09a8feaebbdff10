"""A full disk: new images are refused in plain words, nothing is there in part, and with space all goes on."""

import time
from pathlib import Path

import httpx
import pytest

from tests.faults.calls import PARAMETERS, Sender, picture
from tests.faults.conftest import DISK_MB, Platforms
from tests.faults.live_platform import Platform, wait_for
from tests.faults.table import Table

pytestmark = pytest.mark.slow

PIECE_MB = 8


def fill(platform: Platform, disk: Path, guard: str, table: Table) -> None:
    """Upload more than a disk holds, make room again, and stop the platform."""
    with Sender(platform.url) as sender:
        done = sender.submit([picture(1)], key="before")
        assert sender.wait(done)["state"] == "done"
        before = sender.fingerprint(done)
        draft = httpx.post(f"{platform.url}/requests", json=dict(PARAMETERS), timeout=60).json()["request_id"]
        answers = []
        for number in range(DISK_MB // PIECE_MB + 2):
            # What it is not turns out when it is analysed, which it never is.
            answers.append(
                httpx.put(
                    f"{platform.url}/requests/{draft}/images/{number}?name=x.tif",
                    content=b"II*\0" + bytes([number]) * (PIECE_MB << 20),
                    timeout=60,
                )
            )
        refused = [answer for answer in answers if answer.status_code != 201]
        codes = {(answer.status_code, answer.json()["error"]["code"]) for answer in refused}
        parts = [path.name for path in (disk / "store" / ".unfinished").glob("*")]
        whole = sender.fingerprint(done) == before
        free_at_last = httpx.delete(f"{platform.url}/requests/{draft}", timeout=60)
        begun_s = time.monotonic()
        after = sender.submit([picture(1)], key="after")
        state = sender.wait(after)["state"]
        back_s = time.monotonic() - begun_s
        same = sender.fingerprint(after) == before
    table.add(
        f"disk of {DISK_MB} MB full, guard at {guard}",
        "507, no parts, reads work, recovers",
        f"{len(refused)} of {len(answers)} refused {codes}, {len(parts)} parts, "
        f"reads {'work' if whole else 'fail'}, "
        f"done again after {back_s:.1f} s",
    )
    assert refused
    assert codes == {(507, "storage_full")}
    assert parts == []
    assert whole
    assert free_at_last.status_code == 202
    assert (state, same) == ("done", True)
    wait_for(platform.is_ready, longest_s=30, what="it is ready")
    platform.stop()
    assert platform.verify().problems == ()


def test_the_guard_refuses_before_the_disk_is_full(watched: Platform, watched_disk: Path, table: Table):
    fill(watched, watched_disk, "0.95", table)


def test_without_the_guard_s_margin_the_disk_refuses_itself(platforms: Platforms, small_disk: Path, table: Table):
    variables = {"ISLETNET_SPACE_LIMIT_FRACTION": "1.0"}
    platform = platforms.get(store=str(small_disk / "store"), variables=variables)
    try:
        fill(platform, small_disk, "1.0", table)
    finally:
        platforms.close()
