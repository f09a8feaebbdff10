"""Speed and memory, as medians over repeats and as ratios within one run.

``python -m tests.benchmarks.speed`` prints one markdown table. Big pictures and cold starts run in processes of their
own, so that each has its own peak of memory.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isletnet.analysis.pipeline import analyse, keep_loaded
from isletnet.errors import NetworkError
from isletnet.networks.model import Network, load_network
from isletnet.schemas import AnalysisParameters
from isletnet.synthetic.scene import make_scene
from tests.benchmarks.compare import forest

NETWORKS = ("islet-unet", "islet-unet-small")
SEED = 910_000
UM_PER_PX = 2.0
SIZES_MPX = (2, 10, 40, 100)
ENGINES = (("openvino", "f32"), ("openvino", "bf16"), ("tensorflow", "f32"))
MEMORY_LIMIT_GB = 2.5

Row = tuple[str, str, str]


class Stopwatch:
    """Adds up the time within a network's own forward passes."""

    def __init__(self, network: Network) -> None:
        self.seconds = 0.0
        self.network = replace(network, run=self._run)
        self._inner = network.run

    def _run(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        started = time.perf_counter()
        answer = self._inner(rgb, log_background)
        self.seconds += time.perf_counter() - started
        return answer


def median_seconds(action: Callable[[], object], repeats: int) -> float:
    """Time an action after one warm-up."""
    action()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def analysis_rows(pixels: NDArray[np.uint8], name: str, repeats: int) -> tuple[list[Row], float]:
    """Compare the whole warm analysis with the forward passes inside it."""
    rows, plain = [], 0.0
    for uncertainty, note in (("none", "one look"), ("networks", "with the interval from a second look")):
        parameters = AnalysisParameters(network=name, uncertainty=uncertainty)
        totals, forwards = [], []
        for _ in range(repeats + 1):
            watches = {}

            def load(wanted: str, watches: dict[str, Stopwatch] = watches) -> Network:
                return watches.setdefault(wanted, Stopwatch(keep_loaded(wanted))).network

            started = time.perf_counter()
            analyse(pixels, um_per_px=UM_PER_PX, parameters=parameters, load=load)
            totals.append(time.perf_counter() - started)
            forwards.append(sum(watch.seconds for watch in watches.values()))
        total, forward = statistics.median(totals[1:]), statistics.median(forwards[1:])
        plain = plain or total
        rows.append(
            (
                f"{name}, warm, 1600x1200, {note}",
                f"{total:.3f} s",
                f"{total / forward:.2f} x its forward time {forward:.3f} s",
            )
        )
    return rows, plain


def forest_row(pixels: NDArray[np.uint8], name: str, network_seconds: float) -> Row:
    """Time the random forest of the accuracy table, at the network's own pixel size, on the same picture."""
    scale = keep_loaded(name).working_um_per_px
    trained = forest("", scale)
    seconds = median_seconds(lambda: trained.predict(pixels, UM_PER_PX), 3)
    return (
        f"random forest at {scale:g} um/px, 1600x1200",
        f"{seconds:.2f} s",
        f"{seconds / network_seconds:.1f} x the analysis with {name}",
    )


def engine_rows(pixels: NDArray[np.uint8], name: str, repeats: int) -> list[Row]:
    """Time the analysis by engine and precision, side by side."""
    rows = []
    for engine, precision in ENGINES:
        title = f"{name}, {engine} {precision}, forward, 1600x1200"
        try:
            network = load_network(name, engine=engine, precision=precision)
        except NetworkError as error:
            rows.append((title, "not here", error.message))
            continue
        times = []
        for _ in range(repeats + 1):
            watch = Stopwatch(network)
            analyse(
                pixels,
                um_per_px=UM_PER_PX,
                parameters=AnalysisParameters(network=name, uncertainty="none"),
                load=lambda _, watch=watch: watch.network,
            )
            times.append(watch.seconds)
        rows.append((title, f"{statistics.median(times[1:]):.3f} s", ""))
    return rows


def big_picture(mpx: float, network: str) -> dict[str, float]:
    """Analyse a picture of about that many megapixels, in this process, and tell time and peak memory."""
    scene = make_scene(SEED, shape=(1000, 1000))
    tiles = max(1, round((mpx * 1e6) ** 0.5 / 1000))
    across = max(1, round(mpx / tiles))
    mirrored = np.concatenate([scene.pixels, scene.pixels[:, ::-1]], axis=1)
    pixels = np.tile(mirrored, (tiles, -(-across // 2), 1))[:, : across * 1000]
    parameters = AnalysisParameters(network=network, uncertainty="none")
    analyse(scene.pixels, um_per_px=UM_PER_PX, parameters=parameters)
    started = time.perf_counter()
    result = analyse(pixels, um_per_px=UM_PER_PX, parameters=parameters)
    seconds = time.perf_counter() - started
    return {
        "mpx": pixels.shape[0] * pixels.shape[1] / 1e6,
        "seconds": seconds,
        "islets": float(len(result.table)),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def size_rows(network: str) -> list[Row]:
    """Time per megapixel and peak memory at each size, each in its own process."""
    rows: list[Row] = []
    first = 0.0
    for mpx in SIZES_MPX:
        command = [sys.executable, "-m", "tests.benchmarks.speed", "--big", str(mpx), "--network", network]
        found = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        each = found["seconds"] / found["mpx"]
        first = first or each
        rows.append(
            (
                f"{network}, {found['mpx']:.0f} Mpx, {found['islets']:.0f} particles",
                f"{each:.3f} s/Mpx, peak {found['peak_gb']:.2f} GB",
                f"{each / first:.2f} x the smallest picture's time per Mpx",
            )
        )
    return rows


def cold_rows(pixels: NDArray[np.uint8], network: str, repeats: int) -> list[Row]:
    """Time fresh processes."""
    program = str(Path(sys.executable).with_name("isletnet"))
    with tempfile.TemporaryDirectory() as scratch:
        picture = Path(scratch, "micrograph.png")
        Image.fromarray(pixels).save(picture)
        number = iter(range(1000))

        def cold_analyse() -> None:
            out = str(Path(scratch, f"out{next(number)}"))
            command = [
                program,
                "analyse",
                str(picture),
                "--um-per-px",
                str(UM_PER_PX),
                "--network",
                network,
                "--out",
                out,
            ]
            subprocess.run(command, check=True, capture_output=True)

        commands: list[tuple[str, Callable[[], object], str]] = [
            (f"cold `isletnet analyse` of one picture, {network}", cold_analyse, "limit 3 s"),
            (
                "`isletnet --help`",
                lambda: subprocess.run([program, "--help"], check=True, capture_output=True),
                "limit 1 s",
            ),
            (
                "`import isletnet`",
                lambda: subprocess.run([sys.executable, "-c", "import isletnet"], check=True),
                "limit 0.5 s, the interpreter's own start included",
            ),
        ]
        return [(title, f"{median_seconds(action, repeats):.2f} s", note) for title, action, note in commands]


def table(repeats: int) -> str:
    """Measure everything."""
    pixels = make_scene(SEED).pixels
    # First: a process begins with the peak of memory of the one that starts it, and the forest takes gigabytes.
    rows = size_rows(NETWORKS[0])
    seconds = {}
    for name in NETWORKS:
        found, seconds[name] = analysis_rows(pixels, name, repeats)
        rows += found
    ratio = seconds[NETWORKS[0]] / seconds[NETWORKS[1]]
    rows.append((f"{NETWORKS[1]} against {NETWORKS[0]}, one look", f"{ratio:.1f} x faster", "of the whole analysis"))
    rows += [forest_row(pixels, name, seconds[name]) for name in NETWORKS]
    for name in NETWORKS:
        rows += engine_rows(pixels, name, repeats)
    rows += cold_rows(pixels, NETWORKS[0], min(repeats, 3))
    lines = ["| what | median | compared |", "|-|-|-|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--big", type=float, help="only analyse one picture of that many megapixels, and print JSON")
    parser.add_argument("--network", default=NETWORKS[0])
    chosen = parser.parse_args(arguments)
    sys.stdout.write(json.dumps(big_picture(chosen.big, chosen.network)) if chosen.big else table(chosen.repeats))


if __name__ == "__main__":
    main()
