"""The whole platform for real: from the start to results, through the deaths of a worker and of a replica."""

from tests.faults.calls import Sender, picture
from tests.faults.live_platform import Platform, wait_for
from tests.faults.table import Table

PICTURES = picture(1), picture(2)


def test_results_survive_the_deaths_of_a_worker_and_a_replica(platform: Platform, sender: Sender, table: Table):
    table.add("start", "<= 90 s", f"{platform.starts_s[0]:.1f} s until ready")
    status = sender.get("status").json()
    assert status["parts"].keys() >= {"shepherd", "segmenter", "keeper"}
    assert status["state"] == "ok", status
    undisturbed = sender.submit(PICTURES, key="undisturbed")
    assert sender.wait(undisturbed)["state"] == "done"
    expected = sender.fingerprint(undisturbed, (0, 1))
    for kind in ("worker", "ingress"):
        request_id = sender.submit(PICTURES, key=f"with the death of a {kind}")
        victim = platform.kill(kind)
        told = sender.wait(request_id)
        assert told["state"] == "done", told
        assert sender.fingerprint(request_id, (0, 1)) == expected
        wait_for(
            lambda kind=kind, victim=victim: [p for p in platform.processes(kind) if p.pid != victim],
            longest_s=60,
            what=f"there is a {kind} again",
        )
    table.add("stop when idle", "<= 30 s", f"{platform.stop():.1f} s")
    report = platform.verify()
    assert report.problems == ()
    assert report.requests_by_state == {"done": 3}
