"""The service's work against the library in one process, on the same pictures and the same machine.

``python -m tests.benchmarks.serve_work`` starts a Ray of its own and prints one markdown table. Runs of both kinds
take turns, so that what else the machine does falls on both.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from isletnet.analysis.pipeline import analyse
from isletnet.networks.model import load_network
from serve.work.parameters import RequestParameters
from serve.work.tasks import NowDone, NowTask
from serve.worker import do_here, loader
from tests.benchmarks.taken import pictures, seconds_of
from tests.serve.ray_house import RayHouse, ray_house

NETWORKS = ("islet-unet", "islet-unet-small")
UM_PER_PX = 2.0

Row = tuple[str, str, str]


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


def throughput(house: RayHouse, contents: list[bytes], repeats: int) -> list[Row]:
    """Analyse all pictures here, then as one request, then as requests of a few pictures."""
    load = loader(house.settings)

    def here() -> None:
        for content in contents:
            analyse(content, um_per_px=UM_PER_PX, load=load)

    def served(images_n: int) -> Callable[[], None]:
        def run() -> None:
            starts = range(0, len(contents), images_n)
            ids = [house.submit(*contents[start : start + images_n], um_per_px=UM_PER_PX) for start in starts]
            outcomes = [house.wait(request_id) for request_id in ids]
            assert all(outcome.state == "done" for outcome in outcomes)

        return run

    times: dict[str, list[float]] = {}
    busy: dict[str, list[float]] = {}
    for _ in range(repeats + 1):
        times.setdefault("here", []).append(seconds_of(here))
        for title, images_n in (("one request", len(contents)), ("requests of 4", 4)):
            before = house.desk()
            took = seconds_of(served(images_n))
            times.setdefault(title, []).append(took)
            busy.setdefault(title, []).append((house.desk().busy_s - before.busy_s) / took)
    plain = statistics.median(times["here"][1:])
    rows = [(f"{len(contents)} pictures in one process", f"{plain:.1f} s", "`analyse` alone, no files written")]
    for title, shares in busy.items():
        took = statistics.median(times[title][1:])
        note = f"{100 * plain / took:.0f} % of its throughput (goal 85 %), with all that is stored; device busy "
        rows.append((f"the same as {title}", f"{took:.1f} s", note + f"{100 * statistics.median(shares[1:]):.0f} %"))
    return rows


def latency(house: RayHouse, contents: list[bytes], repeats: int) -> list[Row]:
    """Time an answer at once through the service and here."""
    parameters, load = RequestParameters(um_per_px=UM_PER_PX), loader(house.settings)

    def through_the_service(task: NowTask) -> None:
        assert isinstance(house.shepherd.ask.remote(task).result(), NowDone)

    def in_one_process(task: NowTask) -> None:
        assert isinstance(do_here(house.store, house.settings, task, now=now, load=load), NowDone)

    there, here = [], []
    for turn in range(repeats * 4 + 2):
        task = NowTask(content=contents[turn % len(contents)], name="x", parameters=parameters)
        there.append(seconds_of(partial(through_the_service, task)))
        here.append(seconds_of(partial(in_one_process, task)))
    added = statistics.median(a - b for a, b in zip(there[2:], here[2:], strict=True))
    return [
        ("answer at once, in one process", f"{statistics.median(here[2:]):.3f} s", "1600x1200"),
        ("answer at once, through the service", f"{statistics.median(there[2:]):.3f} s", ""),
        ("added by the service", f"{1e3 * added:.0f} ms", "median of pairs, goal 60 ms"),
    ]


def switching(house: RayHouse) -> list[Row]:
    """Time tiles of one network against tiles of two in turn, and a first load."""
    rgb = np.full((256, 256, 3), 180, np.uint8)
    log_background = np.full((16, 16, 3), 5.0, np.float32)

    def tile(name: str) -> float:
        return seconds_of(lambda: house.segmenter.predict.remote(name, rgb, log_background).result())

    for name in NETWORKS:
        tile(name)
    alone = statistics.median(tile(NETWORKS[turn >= 20]) for turn in range(40))
    in_turn = statistics.median(tile(NETWORKS[turn % 2]) for turn in range(40))
    cold = statistics.median(seconds_of(lambda: load_network(NETWORKS[0])) for _ in range(5))
    return [
        ("switch between loaded networks", f"{1e3 * max(in_turn - alone, 0):.1f} ms", "goal 20 ms"),
        ("load a network", f"{cold:.2f} s", "goal 2 s; files in the cache"),
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args(arguments)
    contents = pictures(chosen.pictures)
    with (
        tempfile.TemporaryDirectory() as folder,
        ray_house(Path(folder), workers_n=chosen.workers, worker_cpus=0.25) as house,
    ):
        house.wait(house.submit(*contents[:4], um_per_px=UM_PER_PX))
        rows = [
            *throughput(house, contents, chosen.repeats),
            *latency(house, contents, chosen.repeats),
            *switching(house),
        ]
    lines = ["| what | median | compared |", "|-|-|-|", *(f"| {' | '.join(row)} |" for row in rows)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
