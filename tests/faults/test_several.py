"""Two shepherds and two segmenters share the work; one of each dies, and the other goes on."""

from collections import Counter

import pytest

from isletnet.storage.layout import attempt_key, load
from isletnet.storage.leases import Claim
from isletnet.storage.store import open_store
from tests.faults.calls import Sender, picture
from tests.faults.live_platform import Platform, wait_for
from tests.faults.table import Table

pytestmark = pytest.mark.slow

REQUESTS_N, PICTURES_N = 16, 2


def test_two_of_each_share_the_work_and_outlive_each_other(doubled: Platform, table: Table):
    platform = doubled
    for kind in ("shepherd", "segmenter"):
        wait_for(lambda kind=kind: len(platform.processes(kind)) == 2, longest_s=120, what=f"two of {kind}")
    pictures = [picture(seed, 480, 640) for seed in range(1, PICTURES_N + 1)]
    with Sender(platform.url) as sender:

        def submit(label: str) -> list[str]:
            return [sender.submit(pictures, key=f"{label} {number}") for number in range(REQUESTS_N)]

        calm = submit("calm")
        states = [sender.wait(request_id)["state"] for request_id in calm]
        segmenters_s = [sum(process.cpu_times()[:2]) for process in platform.processes("segmenter")]
        stirred = submit("stirred")
        platform.kill("shepherd")
        platform.kill("segmenter")
        states += [sender.wait(request_id)["state"] for request_id in stirred]
        prints = {sender.fingerprint(request_id, range(PICTURES_N)) for request_id in (*calm, *stirred)}
    store = open_store(platform.store, must_exist=True)
    claims = [load(store, attempt_key(request_id, 1, "claim.json"), Claim) for request_id in calm]
    first_by = Counter(claim.worker for claim in claims)
    table.add(
        f"two shepherds, two segmenters, {2 * REQUESTS_N} requests, one of each killed",
        "both work, results as with one, none lost",
        f"{dict(Counter(states))}, {len(prints)} kind of result, requests by shepherd {sorted(first_by.values())}, "
        f"CPU seconds by segmenter {[round(seconds, 1) for seconds in sorted(segmenters_s)]}",
    )
    assert Counter(states) == {"done": 2 * REQUESTS_N}
    assert len(prints) == 1
    assert len(first_by) == 2
    assert platform.verify().problems == ()
