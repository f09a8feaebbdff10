"""The whole platform for real: from the start to results, through the deaths of a worker and of a replica."""

import json
from typing import Any

import httpx

from serve.doors.types import AnalysisAnswer
from tests.faults.calls import PARAMETERS, Sender, picture
from tests.faults.live_platform import Platform, wait_for
from tests.faults.table import Table

# Both have islets.
PICTURES = picture(3), picture(5)


def test_results_survive_the_deaths_of_a_worker_and_a_replica(platform: Platform, sender: Sender, table: Table):
    table.add("start", "<= 90 s", f"{platform.starts_s[0]:.1f} s until ready")
    status = sender.get("status").json()
    assert status["parts"].keys() >= {"shepherd", "segmenter", "keeper"}
    assert status["state"] == "ok", status
    undisturbed = sender.submit(PICTURES, key="undisturbed")
    assert sender.wait(undisturbed)["state"] == "done"
    expected = sender.fingerprint(undisturbed, (0, 1))
    _check_answer_at_once(platform, sender.get(f"requests/{undisturbed}/results").json()["images"][0])
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


def _check_answer_at_once(platform: Platform, stored: dict[str, Any]) -> None:
    """Check that one image, answered at once, has the numbers that were stored of it."""
    answer = httpx.post(
        f"{platform.url}/analyse",
        files={"image": (stored["name"], PICTURES[0], "image/tiff")},
        data={"parameters": json.dumps(dict(PARAMETERS))},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    told = AnalysisAnswer.model_validate_json(answer.content)
    assert told.record == stored["record"]
    assert len(told.islets) == stored["record"]["summary"]["count"]["value"] > 0
