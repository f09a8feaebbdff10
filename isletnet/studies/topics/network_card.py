"""The validation report of a network: its card, and scores of whole analyses of pictures with known outlines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from isletnet.analysis.pipeline import analyse
from isletnet.errors import ParameterError
from isletnet.evaluation.segmentation import (
    ObjectScores,
    confusion_matrix,
    detection_scores,
    islet_parts,
    object_scores,
    pixel_scores,
)
from isletnet.schemas import BACKGROUND, CLASS_NAMES, EXOCRINE, IEQ_UM3, ISLET, SMALLEST_ISLET_UM, AnalysisParameters
from isletnet.studies.inputs.measurements import read_csv
from isletnet.synthetic.scene import make_scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isletnet.networks.card import Card

# Scenes of these seeds are in no training.
FIRST_SEED = 900_000
SYNTHETIC, REAL = "synthetic", "real"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TruePicture:
    """A picture with known outlines; ``islets`` holds the separate islets."""

    name: str
    source: str
    um_per_px: float
    pixels: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    islets: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """Scores of many pictures: ``pictures`` one row each, ``classes`` and ``objects`` pooled by source."""

    pictures: pd.DataFrame
    classes: pd.DataFrame
    objects: pd.DataFrame


@dataclass(slots=True)
class _Pool:
    """Counts that add up over pictures; islets and exocrine apart, as exocrine tissue is not drawn everywhere."""

    islet: NDArray[np.int64] = field(default_factory=lambda: np.zeros((3, 3), np.int64))
    exocrine: NDArray[np.int64] = field(default_factory=lambda: np.zeros((3, 3), np.int64))
    objects: list[tuple[ObjectScores, ...]] = field(default_factory=list)


def synthetic_pictures(scenes_n: int, shape: tuple[int, int]) -> Iterator[TruePicture]:
    """Make scenes of the fixed evaluation seeds, which no training uses."""
    for seed in range(FIRST_SEED, FIRST_SEED + scenes_n):
        scene = make_scene(seed, shape)
        # Outlines as an expert sees them, numbered by the true islets.
        islets = np.where(scene.classes == ISLET, scene.islets, 0).astype(np.int32)
        yield TruePicture(
            name=f"synthetic-{seed:06d}",
            source=SYNTHETIC,
            um_per_px=scene.um_per_px,
            pixels=scene.pixels,
            classes=scene.classes,
            islets=islets,
        )


def real_pictures(folder: Path) -> Iterator[TruePicture]:
    """Read annotated micrographs: ``images/``, ``labels/`` (0, 1, 2) and ``calibration.csv`` (name, um_per_px).

    Raises
    ------
    ParameterError
        A label picture is absent or of another size.
    """
    from PIL import Image

    sizes = read_csv(folder / "calibration.csv")
    for row in sizes.sort_values("image").itertuples():
        found = sorted((folder / "images").glob(f"{row.image}.*"))
        drawn = sorted((folder / "labels").glob(f"{row.image}.*"))
        if not found or not drawn:
            raise ParameterError(f"images/{row.image}.* and labels/{row.image}.* were expected", subject=str(folder))
        pixels = np.asarray(Image.open(found[0]).convert("RGB"))
        classes = np.asarray(Image.open(drawn[0]), dtype=np.uint8)
        if classes.shape != pixels.shape[:2]:
            raise ParameterError(f"the labels of {row.image} have another size than its picture", subject=str(folder))
        yield TruePicture(
            name=str(row.image),
            source=REAL,
            um_per_px=float(row.um_per_px),
            pixels=pixels,
            classes=classes,
            islets=islet_parts(classes),
        )


def score(pictures: Iterator[TruePicture], *, network: str) -> Scores:
    """Analyse pictures as anybody's and score what is found.

    Parameters
    ----------
    pictures
        Taken one by one.
    network
        Name of the network, or its folder.

    Returns
    -------
    Scores
        Exocrine tissue is scored where some is drawn: elsewhere nobody looked for it. IEQ by the spheres of the
        outlines on both sides, so these scores are of outlines and say nothing of heights.
    """
    rows, pools = [], {SYNTHETIC: _Pool(), REAL: _Pool()}
    for picture in pictures:
        result = analyse(
            picture.pixels,
            name=picture.name,
            um_per_px=picture.um_per_px,
            parameters=AnalysisParameters(network=network, uncertainty="none"),
        )
        found = result.labelled
        pool = pools[picture.source]
        drawn = bool((picture.classes == EXOCRINE).any())
        islet_confusion = confusion_matrix(_only_islets(found.classes), _only_islets(picture.classes))
        pool.islet += islet_confusion
        exocrine_confusion = confusion_matrix(found.classes, picture.classes)
        if drawn:
            pool.exocrine += exocrine_confusion
        pool.objects.append(object_scores(found.islets, picture.islets, um_per_px=picture.um_per_px))
        detection = detection_scores(found.islets, picture.islets)
        truth_n, truth_ieq = _sphere_ieq(picture.islets, picture.um_per_px)
        found_n, found_ieq = _sphere_ieq(found.islets, picture.um_per_px)
        rows.append(
            {
                "picture": picture.name,
                "source": picture.source,
                "islet_dice": pixel_scores(islet_confusion)[ISLET].dice,
                "exocrine_dice": pixel_scores(exocrine_confusion)[EXOCRINE].dice if drawn else np.nan,
                "islets_true_n": truth_n,
                "islets_found_n": found_n,
                "detection_f1": detection.f1,
                "ieq_true": truth_ieq,
                "ieq_found": found_ieq,
                "ieq_ratio": found_ieq / truth_ieq if truth_ieq else np.nan,
            }
        )
    used = {source: pool for source, pool in pools.items() if pool.objects}
    return Scores(pictures=pd.DataFrame(rows), classes=_class_table(used), objects=_object_table(used))


def card_table(card: Card) -> pd.DataFrame:
    """Give the card as rows ``entry``, ``value``; lists as JSON, hashes and figures of single pictures left out."""
    skipped = ("files", "per_picture", "training_colours")
    return pd.DataFrame(
        [(key, value) for key, value in _leaves(card.content) if not set(key.split(".")) & set(skipped)],
        columns=["entry", "value"],
    )


def seen_in_training(card: Card, names: Sequence[str]) -> list[bool]:
    """Say of pictures whether the network was trained on them."""
    known = set(card.content.get("training", {}).get("real_names", []))
    return [name in known for name in names]


def _leaves(content: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(content, list) and content and isinstance(content[0], dict):
        for number, value in enumerate(content, start=1):
            yield from _leaves(value, f"{prefix}.{number}")
    else:
        yield prefix, content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _only_islets(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(classes == ISLET, ISLET, BACKGROUND).astype(np.uint8)


def _sphere_ieq(islets: NDArray[np.int32], um_per_px: float) -> tuple[int, float]:
    areas_um2 = np.bincount(islets.ravel())[1:] * um_per_px**2
    diameters_um = 2 * np.sqrt(areas_um2 / np.pi)
    large = diameters_um[diameters_um >= SMALLEST_ISLET_UM]
    return int(large.size), float((np.pi * large**3 / 6).sum() / IEQ_UM3)


def _class_table(pools: dict[str, _Pool]) -> pd.DataFrame:
    rows = []
    for source, pool in pools.items():
        for code, confusion in ((ISLET, pool.islet), (EXOCRINE, pool.exocrine)):
            scores = pixel_scores(confusion)[code]
            rows.append(
                {
                    "source": source,
                    "class": CLASS_NAMES[code],
                    "dice": scores.dice,
                    "iou": scores.iou,
                    "precision": scores.precision,
                    "recall": scores.recall,
                    "truth_px": scores.truth_px,
                }
            )
    return pd.DataFrame(rows)


def _object_table(pools: dict[str, _Pool]) -> pd.DataFrame:
    rows = []
    names = ("truth_n", "found_n", "matched_n", "missed_n", "incorrectly_separated_n", "false_n")
    for source, pool in pools.items():
        for place, first in enumerate(pool.objects[0]):
            sums = {name: sum(getattr(scores[place], name) for scores in pool.objects) for name in names}
            truth_n = sums["truth_n"]
            rows.append(
                {
                    "source": source,
                    "stratum": first.stratum,
                    **sums,
                    "matched_fraction": sums["matched_n"] / truth_n if truth_n else np.nan,
                    "relative_count": sums["found_n"] / truth_n if truth_n else np.nan,
                }
            )
    return pd.DataFrame(rows)
