"""Accuracy of the networks against the classic pipeline and the random forest, on real and synthetic micrographs.

``python -m tests.benchmarks.compare --seeds 8`` prints two markdown tables: means, and every picture by itself. The
random forest judges a real micrograph after training on the others and on synthetic ones. A bundled network has seen
all real micrographs: name the folders of networks that left some out with ``--held-out``, and these judge them.
"""

import argparse
import csv
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isletnet.analysis.pipeline import analyse, keep_loaded
from isletnet.evaluation.segmentation import confusion_matrix, islet_parts, object_scores, pixel_scores
from isletnet.schemas import EXOCRINE, ISLET, AnalysisParameters
from isletnet.synthetic.scene import Scene, make_scene
from tests.benchmarks.baselines import Forest, classic, train_forest

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"
NETWORKS = ("islet-unet", "islet-unet-small")
# Seeds that no training uses; those of the forest's own pictures lie below them.
FIRST_SEED = 900_000
FOREST_SEEDS = range(890_000, 890_030)
COUNTED_FROM = ">=50 um"
FOREST = "random forest at"
NUMBERS = (
    "islet_dice",
    "islet_precision",
    "islet_recall",
    "exocrine_dice",
    "exocrine_precision",
    "exocrine_recall",
    "relative_count",
    "relative_area",
    "purity_error",
    "seconds",
)

Answer = tuple[NDArray[np.uint8], NDArray[np.int32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A micrograph with its truth."""

    name: str
    is_real: bool
    pixels: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    islets: NDArray[np.int32]
    um_per_px: float


def real_cases() -> Iterator[Case]:
    """Give the annotated micrographs; the connected parts are the experts' islets."""
    with (REAL / "calibration.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        classes = np.asarray(Image.open(REAL / "labels" / f"{row['name']}.png"))
        yield Case(
            name=row["name"],
            is_real=True,
            pixels=np.asarray(Image.open(REAL / "images" / f"{row['name']}.png").convert("RGB")),
            classes=classes,
            islets=islet_parts(classes),
            um_per_px=float(row["um_per_px"]),
        )


def synthetic_case(seed: int, shape: tuple[int, int]) -> Case:
    """Make a synthetic micrograph with exact truth."""
    scene = make_scene(seed, shape)
    return Case(
        name=f"{scene.light}-{seed}",
        is_real=False,
        pixels=scene.pixels,
        classes=scene.classes,
        islets=scene.islets,
        um_per_px=scene.um_per_px,
    )


@cache
def forest_scenes() -> tuple[Scene, ...]:
    """Make the synthetic micrographs that every forest learns from."""
    return tuple(make_scene(seed, shape=(600, 800)) for seed in FOREST_SEEDS)


@cache
def forest(left_out: str, working_um_per_px: float) -> Forest:
    """Train on the real micrographs but one, and on synthetic ones, at the pixel size of a network."""
    cases = [case for case in real_cases() if case.name != left_out] if REAL.is_dir() else []
    scenes = forest_scenes()
    return train_forest(
        [case.pixels for case in cases] + [scene.pixels for scene in scenes],
        [case.classes for case in cases] + [scene.classes for scene in scenes],
        [case.um_per_px for case in cases] + [scene.um_per_px for scene in scenes],
        working_um_per_px=working_um_per_px,
    )


def by_forest(working_um_per_px: float, case: Case) -> Answer:
    """Classify with the forest; islets are its connected parts."""
    classes = forest(case.name if case.is_real else "", working_um_per_px).predict(case.pixels, case.um_per_px)
    return classes, islet_parts(classes)


def by_network(network: str, case: Case) -> Answer:
    """Analyse with a network, by name or folder."""
    parameters = AnalysisParameters(network=network, uncertainty="none")
    result = analyse(case.pixels, um_per_px=case.um_per_px, parameters=parameters)
    return result.labelled.classes, result.labelled.islets


def score(answer: Answer, case: Case, seconds: float) -> dict[str, float]:
    """Give the numbers of one answer."""
    classes, islets = answer
    _, islet, exocrine = pixel_scores(confusion_matrix(classes, case.classes))
    counted = {scores.stratum: scores for scores in object_scores(islets, case.islets, um_per_px=case.um_per_px)}
    return {
        "islet_dice": islet.dice,
        "islet_precision": islet.precision,
        "islet_recall": islet.recall,
        "exocrine_dice": exocrine.dice,
        "exocrine_precision": exocrine.precision,
        "exocrine_recall": exocrine.recall,
        "relative_count": counted[COUNTED_FROM].relative_count,
        "relative_area": islet.found_px / islet.truth_px if islet.truth_px else math.nan,
        "purity_error": _purity(classes) - _purity(case.classes),
        "seconds": seconds,
    }


def _purity(classes: NDArray[np.uint8]) -> float:
    """Share of islet in all tissue by area, NaN without tissue."""
    islet_px, exocrine_px = np.count_nonzero(classes == ISLET), np.count_nonzero(classes == EXOCRINE)
    return islet_px / (islet_px + exocrine_px) if islet_px + exocrine_px else math.nan


def methods(
    networks: tuple[str, ...], with_forest: bool, held_out: dict[tuple[str, str], str]
) -> dict[str, Callable[[Case], Answer]]:
    """Name every method; a network's real pictures go to the copy that left them out, where there is one."""
    found: dict[str, Callable[[Case], Answer]] = {"classic": lambda case: classic(case.pixels, case.um_per_px)}
    if with_forest:
        for scale in dict.fromkeys(keep_loaded(network).working_um_per_px for network in networks):
            found[f"{FOREST} {scale:g} um/px"] = partial(by_forest, scale)
    for network in networks:
        found[network] = lambda case, own=network: by_network(held_out.get((own, case.name), own), case)
    return found


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def markdown(rows: list[tuple[str, dict[str, float]]]) -> str:
    """Lay rows out as a table."""
    header = "| |" + "|".join(name.replace("_", " ") for name in NUMBERS) + "|"
    lines = [header, "|-|" + "-|" * len(NUMBERS)]
    lines += [f"|{title}|" + "|".join(_number(numbers[name]) for name in NUMBERS) + "|" for title, numbers in rows]
    return "\n".join(lines) + "\n"


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Average each number over the pictures that define it."""
    columns = {name: np.array([row[name] for row in rows]) for name in NUMBERS}
    return {
        name: float(np.nanmean(column)) if not np.isnan(column).all() else math.nan for name, column in columns.items()
    }


def run(cases: list[Case], judges: dict[str, Callable[[Case], Answer]]) -> str:
    """Score every method on every picture."""
    results: dict[tuple[str, str], dict[str, float]] = {}
    for name, judge in judges.items():
        for case in cases:
            if name.startswith(FOREST):
                # Its training is not a part of its time.
                judge(case)
            started = time.perf_counter()
            answer = judge(case)
            results[name, case.name] = score(answer, case, time.perf_counter() - started)
    means = [
        (f"{name}, {kind} (n={len(members)})", mean([results[name, case.name] for case in members]))
        for kind, members in (
            ("real", [case for case in cases if case.is_real]),
            ("synthetic", [case for case in cases if not case.is_real]),
        )
        if members
        for name in judges
    ]
    single = [(f"{case.name}, {name}", results[name, case.name]) for case in cases for name in judges]
    return f"Means over pictures\n\n{markdown(means)}\nEvery picture\n\n{markdown(single)}"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4, help="number of synthetic micrographs")
    parser.add_argument("--shape", type=int, nargs=2, default=(1200, 1600), help="height and width of these, in px")
    parser.add_argument("--no-real", action="store_true", help="leave the real micrographs out")
    parser.add_argument("--no-forest", action="store_true", help="leave the random forest out; its training is slow")
    parser.add_argument("--networks", nargs="*", default=NETWORKS, help="names or folders")
    parser.add_argument(
        "--held-out",
        nargs=3,
        action="append",
        default=[],
        metavar=("NETWORK", "IMAGE,IMAGE", "FOLDER"),
        help="judge these real micrographs by the copy of the network in FOLDER, which never saw them",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Compare, and print."""
    chosen = parse(arguments)
    held_out = {(network, image): folder for network, images, folder in chosen.held_out for image in images.split(",")}
    for network in {*chosen.networks, *held_out.values()}:
        keep_loaded(network)
    cases = list(real_cases()) if REAL.is_dir() and not chosen.no_real else []
    cases += [synthetic_case(FIRST_SEED + index, tuple(chosen.shape)) for index in range(chosen.seeds)]
    judges = methods(tuple(chosen.networks), not chosen.no_forest, held_out)
    sys.stdout.write(run(cases, judges))


if __name__ == "__main__":
    main()
