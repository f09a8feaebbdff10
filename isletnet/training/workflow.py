"""The whole making of a network: scenes, base, tuning, figures, release. Stopped anywhere, it goes on there."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from isletnet.analysis.quality import colour_statistics
from isletnet.errors import ParameterError
from isletnet.networks.card import WEIGHTS_FILE, Card
from isletnet.networks.openvino_engine import OpenvinoRunner, cpu_has_bf16
from isletnet.networks.tensorflow_engine import TensorflowRunner
from isletnet.training.datasets import TrainingPicture, real_pictures, synthetic_bank
from isletnet.training.fit import fit
from isletnet.training.release import convert_to_openvino, release
from isletnet.training.validate import class_scores, largest_dice_shift

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from isletnet.training.recipes import Recipe

# Each stage has scenes of its own.
FIRST_BASE_SEED, FIRST_TUNING_SEED = 10_000, 20_000
# The fixed evaluation set: scenes of seeds that no training uses.
EVALUATION_SEEDS = range(900_000, 900_200)


def tune(
    recipe: Recipe,
    work: Path,
    real_folder: Path | None,
    *,
    leave_out: Sequence[str] = (),
    report: Callable[[str], None],
) -> Path:
    """Fit a recipe and give the path of its weights.

    A run that leaves pictures out ends before the last stage, which fits the hand of the experts who drew the others.

    Parameters
    ----------
    recipe
        What to fit.
    work
        Folder for scenes, checkpoints and logs; shared by all runs, so that a base is fitted once.
    real_folder
        Annotated micrographs; None leaves the second stage to synthetic scenes alone.
    leave_out
        Names of real micrographs that this run must not see.
    report
        Called with lines of progress.

    Returns
    -------
    pathlib.Path
        ``core.weights.h5``.
    """
    base = work / f"{recipe.name}-base"
    if not (base / WEIGHTS_FILE).is_file():
        report(f"{recipe.name}: {recipe.scenes_n} synthetic scenes")
        scenes = _scenes(recipe, work, FIRST_BASE_SEED, recipe.scenes_n)
        fit(recipe.base, base, scenes, report=partial(_tell, report, f"{recipe.name} base"))
    kind = "without-" + "-".join(sorted(leave_out)) if leave_out else "all"
    stages = [("tune", recipe.tune)] if leave_out else [("tune", recipe.tune), ("finish", recipe.finish)]
    weights = base / WEIGHTS_FILE
    for stage, plan in stages:
        folder = work / f"{recipe.name}-{kind}-{stage}"
        if not (folder / WEIGHTS_FILE).is_file():
            real = [] if real_folder is None else list(real_pictures(real_folder, recipe.working_um_per_px))
            fit(
                plan,
                folder,
                _scenes(recipe, work, FIRST_TUNING_SEED, recipe.tuning_scenes_n),
                [picture for picture in real if picture.name not in leave_out],
                start_from=weights,
                report=partial(_tell, report, f"{recipe.name} {kind} {stage}"),
            )
        weights = folder / WEIGHTS_FILE
    return weights


def _tell(report: Callable[[str], None], what: str, line: str) -> None:
    report(f"{what}: {line}")


def _scenes(recipe: Recipe, work: Path, first_seed: int, scenes_n: int) -> list[TrainingPicture]:
    return synthetic_bank(work / "scenes", range(first_seed, first_seed + scenes_n), recipe.working_um_per_px)


def _fingerprint(pictures: Sequence[TrainingPicture]) -> str:
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(picture.pixels.tobytes())
        digest.update(picture.labels.tobytes())
    return digest.hexdigest()


def _colour_ranges(pictures: Sequence[TrainingPicture]) -> dict[str, list[float]]:
    """Range of each colour number over the training pictures, without the outermost percent."""
    rows = [colour_statistics(picture.pixels) for picture in pictures]
    return {
        key: [round(float(v), 4) for v in np.percentile([row[key] for row in rows], [0.5, 99.5])] for key in rows[0]
    }


def known_relative_error(held_out: dict[str, Any]) -> dict[str, float]:
    """Relative errors that the segmentation interval never goes below, from pictures that were left out.

    Area errors are the root mean square of ln(found / true islet area); volumes go with the power 3/2. Exocrine
    areas are taken as uncertain as their Dice says.
    """
    ratios = [row["islet_area_ratio"] for row in held_out["per_picture"] if row["islet_area_ratio"]]
    area = float(np.sqrt(np.mean(np.log(ratios) ** 2))) if ratios else 0.05
    exocrine_dice = held_out["exocrine"]["dice"]
    return {
        "islet_area": round(area, 4),
        "ieq": round(1.5 * area, 4),
        "count": round(area, 4),
        "exocrine_area": round(1.0 - exocrine_dice, 4) if exocrine_dice is not None else 0.3,
    }


def train_network(
    recipe: Recipe,
    work: Path,
    out: Path,
    *,
    real_folder: Path | None,
    folds: Sequence[Sequence[str]],
    version: str,
    report: Callable[[str], None],
) -> Card:
    """Make a network and release it with its figures.

    Parameters
    ----------
    recipe
        What to make.
    work
        Folder for everything in between; a second call goes on from it.
    out
        Folder of networks; gets ``<name>/<version>/``.
    real_folder
        Annotated micrographs, or None.
    folds
        Groups of real micrographs; each is left out of one run that is scored on it. The released network sees all.
    version
        Version to write.
    report
        Called with lines of progress.

    Returns
    -------
    Card
        Of the released network.

    Raises
    ------
    ParameterError
        A fold names a micrograph that is not there.
    """
    real = [] if real_folder is None else list(real_pictures(real_folder, recipe.working_um_per_px))
    _check_folds(folds, [picture.name for picture in real])
    score = partial(class_scores, islet_threshold=recipe.islet_threshold)
    rows = []
    for fold in folds:
        weights = tune(recipe, work, real_folder, leave_out=fold, report=report)
        scores = score(_runner(recipe, weights), [p for p in real if p.name in fold])
        rows.append({"left_out": list(fold), **scores})
    weights = tune(recipe, work, real_folder, report=report)
    report(f"{recipe.name}: scoring on {len(EVALUATION_SEEDS)} scenes of unseen seeds")
    unseen = synthetic_bank(work / "scenes", EVALUATION_SEEDS, recipe.working_um_per_px)
    graph = weights.parent
    convert_to_openvino(weights, recipe.architecture, graph)
    scores, shift = {}, None
    for precision in ("f32", "bf16") if cpu_has_bf16() else ("f32",):
        run = OpenvinoRunner(graph, precision=precision)
        scores[precision] = {"synthetic": score(run, unseen), "real_seen": score(run, real)}
    if "bf16" in scores:
        shift = max(
            largest_dice_shift(scores["f32"][kind], scores["bf16"][kind]) for kind in ("synthetic", "real_seen")
        )
    synthetic = {key: value for key, value in scores["f32"]["synthetic"].items() if key != "per_picture"}
    held_out = _joined(rows)
    scenes = _scenes(recipe, work, FIRST_TUNING_SEED, recipe.tuning_scenes_n)
    facts = {
        "parent": None,
        "second_opinion": recipe.second_opinion,
        "training": {
            "base_seeds": [FIRST_BASE_SEED, FIRST_BASE_SEED + recipe.scenes_n],
            "tuning_seeds": [FIRST_TUNING_SEED, FIRST_TUNING_SEED + recipe.tuning_scenes_n],
            "tuning_scenes_sha256": _fingerprint(scenes),
            "real_names": [picture.name for picture in real],
            "real_sha256": _fingerprint(real),
        },
        "metrics": {
            "synthetic_unseen_seeds": synthetic,
            "real_left_out": rows,
            "real_seen_in_training": scores["f32"]["real_seen"],
        },
        "known_relative_error": known_relative_error(held_out) if rows else {},
        "precision_dice_shift": {} if shift is None else {"bf16": round(shift, 5)},
        "training_colours": _colour_ranges([*scenes, *real]),
    }
    return release(
        weights,
        out / recipe.name / version,
        name=recipe.name,
        version=version,
        working_um_per_px=recipe.working_um_per_px,
        islet_threshold=recipe.islet_threshold,
        architecture=recipe.architecture,
        facts=facts,
    )


def _check_folds(folds: Sequence[Sequence[str]], names: Sequence[str]) -> None:
    for name in (name for fold in folds for name in fold):
        if name not in names:
            raise ParameterError(
                f"expected annotated micrographs to leave out ({', '.join(names) or 'none are given'})", subject=name
            )


def _runner(recipe: Recipe, weights: Path) -> TensorflowRunner:
    plan = recipe.base
    return TensorflowRunner(weights, plan.widths, plan.stem_width, plan.convolutions)


def _joined(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put the folds together: all pictures, and the exocrine score of the fold that has one."""
    exocrine = [row["exocrine"] for row in rows if row["exocrine"]["dice"]]
    return {
        "per_picture": [picture for row in rows for picture in row["per_picture"]],
        "exocrine": exocrine[0] if exocrine else {"dice": None},
    }
