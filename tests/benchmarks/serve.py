"""The service over HTTP against the library in one process: the same pictures, the same machine, taking turns.

``make bench-serve`` starts a platform of its own and prints one table.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import httpx

from isletnet.analysis.pipeline import analyse
from isletnet.networks.model import load_network
from isletnet.schemas import AnalysisParameters
from tests.benchmarks.taken import pictures, seconds_of
from tests.faults.calls import Sender
from tests.faults.live_platform import Platform
from tests.faults.table import Table, percentiles

NETWORKS = ("islet-unet", "islet-unet-small")
UM_PER_PX = 2.0
LATENCY_N, STATUS_N, REQUEST_N = 15, 200, 8
LEAST_SHARE, MOST_ADDED_MS = 0.85, 60.0


def turns(actions: Sequence[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Time actions in turns, after one turn that does not count."""
    for action in actions:
        action()
    times: list[list[float]] = [[] for _ in actions]
    for _ in range(repeats):
        for kept, action in zip(times, actions, strict=True):
            kept.append(seconds_of(action))
    return times


def here(network: str) -> Callable[[bytes], object]:
    """Give what analyses a picture in this process."""
    # Both, as the service has them: the one's answer is compared with the other's.
    loaded = {name: load_network(name) for name in NETWORKS}
    parameters = AnalysisParameters(network=network, um_per_px=UM_PER_PX)
    return partial(analyse, parameters=parameters, load=loaded.__getitem__)


def throughput(platform: Platform, contents: list[bytes], network: str, repeats: int, table: Table) -> float:
    """Compare a request of all pictures with a loop over them; returns the share that the service reaches."""
    analyse_here = here(network)
    parameters = {"network": network, "um_per_px": UM_PER_PX}

    def loop() -> None:
        for content in contents:
            analyse_here(content)

    def requests() -> None:
        with Sender(platform.url, patience_s=900) as sender:
            starts = range(0, len(contents), REQUEST_N)
            sent = [
                sender.submit(contents[start : start + REQUEST_N], key=f"bench {time.time_ns()}", parameters=parameters)
                for start in starts
            ]
            states = [sender.wait(request_id)["state"] for request_id in sent]
            assert set(states) == {"done"}, states

    looped_s, served_s = (statistics.median(times) for times in turns([loop, requests], repeats))
    share = looped_s / served_s
    table.add(
        f"throughput, {network}, {len(contents)} pictures of 1.9 MPx, {REQUEST_N} a request",
        f">= {LEAST_SHARE:.0%} of the library's",
        f"{share:.0%}: {len(contents) / served_s:.2f} against {len(contents) / looped_s:.2f} pictures/s; overlays, "
        "outlines and reports are drawn when somebody asks",
    )
    return share


def drawing(platform: Platform, contents: list[bytes], table: Table) -> None:
    """Time the first archive of a request, for which everything is drawn, and the second."""
    with Sender(platform.url, patience_s=900) as sender, httpx.Client(timeout=300) as client:
        request_id = sender.submit(
            contents[:REQUEST_N], key=f"bench {time.time_ns()}", parameters={"um_per_px": UM_PER_PX}
        )
        assert sender.wait(request_id)["state"] == "done"

        def fetch() -> None:
            assert client.get(f"{platform.url}/requests/{request_id}/archive.zip").status_code == 200

        first_s, second_s = seconds_of(fetch), seconds_of(fetch)
    table.add(
        f"all files of {REQUEST_N} pictures, in an archive",
        "-",
        f"{first_s:.2f} s the first time ({1000 * first_s / REQUEST_N:.0f} ms a picture), {second_s:.2f} s then",
    )


def latency(platform: Platform, content: bytes, network: str, table: Table) -> float:
    """Compare POST /analyse with the library's analyse; returns the milliseconds that it adds."""
    analyse_here = here(network)
    parameters = json.dumps({"network": network, "um_per_px": UM_PER_PX})
    with httpx.Client(timeout=120) as client:

        def ask() -> None:
            answer = client.post(
                f"{platform.url}/analyse",
                files={"image": ("picture.png", content, "image/png")},
                data={"parameters": parameters},
            )
            assert answer.status_code == 200, answer.text

        local_s, asked_s = turns([partial(analyse_here, content), ask], LATENCY_N)
    added_ms = 1000 * (statistics.median(asked_s) - statistics.median(local_s))
    table.add(
        f"POST /analyse, {network}",
        f"adds <= {MOST_ADDED_MS:g} ms",
        f"adds {added_ms:.0f} ms to {1000 * statistics.median(local_s):.0f} ms; " + percentiles(asked_s),
    )
    return added_ms


def main() -> int:
    """Measure, print, and tell by the exit code whether the goals were reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serve")
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    contents, table = pictures(given.pictures), Table(None)
    with tempfile.TemporaryDirectory(prefix="isletnet-bench-") as folder:
        platform = Platform(str(Path(folder) / "store"))
        try:
            table.add("start of the platform", "<= 90 s", f"{platform.start():.1f} s until ready")
            shares = [throughput(platform, contents, network, given.repeats, table) for network in NETWORKS]
            drawing(platform, contents, table)
            added_ms = [latency(platform, contents[0], network, table) for network in NETWORKS]
            with httpx.Client() as client:
                asked_s = [seconds_of(lambda: client.get(f"{platform.url}/health/live")) for _ in range(STATUS_N)]
            table.add("GET /health/live when idle", "-", percentiles(asked_s))
            table.add("memory by kind of process", "-", f"MB {platform.memory_mb()}")
            table.add("stop of the platform", "<= 30 s", f"{platform.stop():.1f} s")
        finally:
            platform.close()
    sys.stdout.write("\n".join(table.lines()) + "\n")
    return 0 if min(shares) >= LEAST_SHARE and max(added_ms) <= MOST_ADDED_MS else 1


if __name__ == "__main__":
    raise SystemExit(main())
