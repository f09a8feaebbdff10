"""Train the detector of pictures that are no islet micrographs, and measure it.

``python -m tests.benchmarks.not_islets`` cross-validates over sources (no picture is judged by a detector that saw
another picture of its source), trains on everything, and writes ``isletnet/analysis/checks/kind.json``.
``--dry-run`` measures only. It takes about three minutes on one core.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from isletnet.analysis.checks.features import log_colours, thumbnail
from isletnet.analysis.checks.kind import KIND_FEATURES, KIND_PX, KindModel, islet_micrograph_probability, kind_features
from isletnet.analysis.checks.picture import NOT_ISLETS_BELOW
from tests.benchmarks import kind_pictures

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "real"
TARGET = ROOT / "isletnet" / "analysis" / "checks" / "kind.json"
SEED = 20
FOLDS_N = 5
CLIP = 4.0


def examples() -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]:
    """Give features, whether each is an islet micrograph, and sources."""
    features, is_islets, sources = [], [], []
    for series in (
        kind_pictures.real_micrographs(REAL, 60, SEED),
        kind_pictures.synthetic_micrographs(500, SEED),
        kind_pictures.packaged_pictures(18, SEED),
        kind_pictures.drawn_pictures(60, SEED),
    ):
        for example in series:
            small, _ = thumbnail(example.pixels, longest_px=KIND_PX)
            features.append(kind_features(small, log_colours(small)))
            is_islets.append(example.is_islets)
            sources.append(example.source)
    return np.array(features), np.array(is_islets), sources


def fit(features: NDArray[np.float64], is_islets: NDArray[np.bool_]) -> KindModel:
    """Fit a logistic regression on standardised, clipped features and their squares; both kinds weigh the same."""
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
    standard = np.clip((features - mean) / scale, -CLIP, CLIP)
    regression = LogisticRegression(C=0.3, max_iter=5000, class_weight="balanced")
    regression.fit(np.hstack([standard, standard**2]), is_islets)
    linear, square = np.split(regression.coef_[0], 2)
    intercept = float(regression.intercept_[0])
    return KindModel(mean=mean, scale=scale, linear=linear, square=square, intercept=intercept, clip=CLIP)


def as_json(model: KindModel) -> str:
    """Write the coefficients with the names of their features."""
    vectors = {name: getattr(model, name).tolist() for name in ("mean", "scale", "linear", "square")}
    numbers = {"features": KIND_FEATURES, **vectors, "intercept": model.intercept, "clip": model.clip}
    return json.dumps(numbers, indent=1) + "\n"


def cross_validated(
    features: NDArray[np.float64], is_islets: NDArray[np.bool_], sources: list[str]
) -> NDArray[np.float64]:
    """Judge every picture by a detector that saw no picture of its source."""
    names = sorted(set(sources))
    order = np.random.default_rng(SEED).permutation(len(names))
    fold_of = {names[source]: place % FOLDS_N for place, source in enumerate(order)}
    folds = np.array([fold_of[source] for source in sources])
    judged = np.zeros(len(sources))
    for fold in range(FOLDS_N):
        train = folds != fold
        model = fit(features[train], is_islets[train])
        judged[~train] = islet_micrograph_probability(features[~train], model)
    return judged


def report(judged: NDArray[np.float64], is_islets: NDArray[np.bool_], sources: list[str]) -> str:
    """Give detection and false-alarm rates, in all and for every kind that is not judged without an error."""
    alarm = judged < NOT_ISLETS_BELOW
    lines = [
        "| pictures | number | called no islet micrograph |",
        "|-|-|-|",
        f"| islet micrographs (false alarms) | {is_islets.sum()} | {alarm[is_islets].mean():.2%} |",
        f"| others (detected) | {(~is_islets).sum()} | {alarm[~is_islets].mean():.2%} |",
    ]
    kinds = np.array([source.partition("#")[0] for source in sources])
    for kind in sorted(set(kinds)):
        member = kinds == kind
        if (alarm[member] == is_islets[member]).any():
            lines.append(f"| {kind} | {member.sum()} | {alarm[member].mean():.1%} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the detector."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="measure only")
    arguments = parser.parse_args()
    features, is_islets, sources = examples()
    sys.stdout.write(report(cross_validated(features, is_islets, sources), is_islets, sources))
    if not arguments.dry_run:
        TARGET.write_text(as_json(fit(features, is_islets)))


if __name__ == "__main__":
    main()
