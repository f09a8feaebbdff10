"""A segmentation against a reference: pixels by class, and islets one by one.

Undefined scores are NaN, never a flattering 1 or a damning 0. Where neither picture has any pixel of a class there is
nothing to score, so Dice, IoU, precision and recall are all NaN; a mean over pictures leaves such pictures out. Where
only the reference is empty precision is 0 and recall NaN; where only the segmentation is empty it is the other way
round; Dice and IoU are 0 in both cases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from isletnet.errors import ParameterError
from isletnet.schemas import CLASS_NAMES, ISLET

STRATA_UM = (0.0, 50.0, 100.0, 150.0, 200.0)
MATCHING_IOU = 0.5
# One dilation by this square joins islets that touch or nearly do.
ADJACENT_PX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelScores:
    """Scores of one class; ``truth_px``, ``found_px`` and ``common_px`` are the counts behind them."""

    class_name: str
    dice: float
    iou: float
    precision: float
    recall: float
    truth_px: int
    found_px: int
    common_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectScores:
    """Islets of one size stratum, or of one subset, counted by what became of them.

    A reference islet is ``matched`` (it overlaps one found islet, which overlaps no other), ``missed`` (it overlaps
    none) or ``incorrectly_separated`` (merged with a neighbour or split); these three add up to ``truth_n``. A found
    islet that overlaps no reference islet is ``false``. The relative numbers are found over reference, NaN without
    reference. Volumes are of spheres of equal area.
    """

    stratum: str
    truth_n: int
    found_n: int
    matched_n: int
    missed_n: int
    false_n: int
    incorrectly_separated_n: int
    relative_count: float
    relative_area: float
    relative_volume: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionScores:
    """Islets paired one to one by IoU of at least 0.5; ``mean_iou`` is that of the pairs (NaN without any)."""

    truth_n: int
    found_n: int
    paired_n: int
    precision: float
    recall: float
    f1: float
    mean_iou: float


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan


def confusion_matrix(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count pixels by reference class (rows) and found class (columns).

    Parameters
    ----------
    found, truth
        Class masks of equal shape ``(height, width)`` with the classes of `isletnet.schemas`.

    Returns
    -------
    int64 ``(3, 3)``. Matrices of several pictures add up; their sum gives the pooled scores.

    Raises
    ------
    ParameterError
        The shapes differ, or a value is no class.
    """
    _check_equal_shapes(found, truth)
    classes_n = len(CLASS_NAMES)
    highest = max(int(found.max(initial=0)), int(truth.max(initial=0)))
    if highest >= classes_n:
        raise ParameterError(f"a class mask holds 0 to {classes_n - 1}, but {highest} came; decode the mask first")
    codes = truth.astype(np.intp).ravel() * classes_n + found.ravel()
    return np.bincount(codes, minlength=classes_n**2).astype(np.int64).reshape(classes_n, classes_n)


def pixel_scores(confusion: NDArray[np.int64]) -> tuple[PixelScores, ...]:
    """Give the scores of each class, in the order of ``CLASS_NAMES``, from a `confusion_matrix` or a sum of them.

    Dice = 2TP / (2TP + FP + FN), IoU = TP / (TP + FP + FN), precision = TP / (TP + FP), recall = TP / (TP + FN).
    """
    scores = []
    for index, name in enumerate(CLASS_NAMES):
        common = int(confusion[index, index])
        truth = int(confusion[index].sum())
        found = int(confusion[:, index].sum())
        scores.append(
            PixelScores(
                class_name=name,
                dice=_ratio(2 * common, truth + found),
                iou=_ratio(common, truth + found - common),
                precision=_ratio(common, found),
                recall=_ratio(common, truth),
                truth_px=truth,
                found_px=found,
                common_px=common,
            )
        )
    return tuple(scores)


def islet_parts(classes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Label the 4-connected parts of the islet class: the islets of a reference that holds classes only."""
    labels, _ = ndimage.label(classes == ISLET)
    return np.asarray(labels, dtype=np.int32)


def overlap_pairs(found: NDArray[np.int32], truth: NDArray[np.int32]) -> NDArray[np.int64]:
    """List every pair of islets that share a pixel.

    Parameters
    ----------
    found, truth
        Instance labels of equal shape, 0 for none.

    Returns
    -------
    int64 ``(pairs, 3)``: reference id, found id, common pixels; sorted by reference id, then found id. This is the
    overlap matrix without its zeros.
    """
    _check_equal_shapes(found, truth)
    both = (found > 0) & (truth > 0)
    width = int(found.max(initial=0)) + 1
    codes, common = np.unique(truth[both].astype(np.int64) * width + found[both], return_counts=True)
    return np.stack([codes // width, codes % width, common], axis=1).astype(np.int64)


def object_scores(found: NDArray[np.int32], truth: NDArray[np.int32], *, um_per_px: float) -> tuple[ObjectScores, ...]:
    """Say what became of the islets, by size.

    Parameters
    ----------
    found, truth
        Instance labels of equal shape, 0 for none.
    um_per_px
        Pixel size. It places islets in the strata by the diameter of the circle of equal area: reference islets by
        their own, found islets by theirs.

    Returns
    -------
    One `ObjectScores` for each lower limit of ``STRATA_UM`` (``">=50 um"`` and so on), then one named ``adjacent``:
    reference islets that touch or nearly do (they fuse under one dilation by 5 x 5 px). Found islets belong to the
    adjacent subset when they overlap one of its islets.
    """
    pairs = overlap_pairs(found, truth)
    truth_px, found_px = _areas_px(truth), _areas_px(found)
    truth_degree = np.bincount(pairs[:, 0], minlength=truth_px.size)
    found_degree = np.bincount(pairs[:, 1], minlength=found_px.size)
    single = (truth_degree[pairs[:, 0]] == 1) & (found_degree[pairs[:, 1]] == 1)
    matched = np.zeros(truth_px.size, dtype=bool)
    matched[pairs[single, 0]] = True

    def scores(stratum: str, of_truth: NDArray[np.bool_], of_found: NDArray[np.bool_]) -> ObjectScores:
        truth_n, found_n = int(of_truth.sum()), int(of_found.sum())
        matched_n = int((matched & of_truth).sum())
        missed_n = int(((truth_degree == 0) & of_truth).sum())
        return ObjectScores(
            stratum=stratum,
            truth_n=truth_n,
            found_n=found_n,
            matched_n=matched_n,
            missed_n=missed_n,
            false_n=int(((found_degree == 0) & of_found).sum()),
            incorrectly_separated_n=truth_n - matched_n - missed_n,
            relative_count=_ratio(found_n, truth_n),
            relative_area=_ratio(found_px[of_found].sum(), truth_px[of_truth].sum()),
            relative_volume=_ratio((found_px[of_found] ** 1.5).sum(), (truth_px[of_truth] ** 1.5).sum()),
        )

    by_size = [
        scores(
            f">={lower_um:g} um",
            (truth_px > 0) & (_diameters_um(truth_px, um_per_px) >= lower_um),
            (found_px > 0) & (_diameters_um(found_px, um_per_px) >= lower_um),
        )
        for lower_um in STRATA_UM
    ]
    adjacent = _adjacent(truth, ids_n=truth_px.size)
    over_adjacent = np.zeros(found_px.size, dtype=bool)
    over_adjacent[pairs[adjacent[pairs[:, 0]], 1]] = True
    return (*by_size, scores("adjacent", adjacent, over_adjacent))


def detection_scores(found: NDArray[np.int32], truth: NDArray[np.int32]) -> DetectionScores:
    """Pair islets one to one by IoU >= 0.5, as many as can be, and give the detection scores.

    Overlap of a single pixel makes a match in `object_scores`; this is the strict counterpart. Two islets may claim
    the same partner only at IoU of exactly 0.5, so a matching of the largest size is the optimal assignment.
    """
    pairs = overlap_pairs(found, truth)
    truth_px, found_px = _areas_px(truth), _areas_px(found)
    iou = pairs[:, 2] / np.maximum(truth_px[pairs[:, 0]] + found_px[pairs[:, 1]] - pairs[:, 2], 1)
    close = iou >= MATCHING_IOU
    shape = (truth_px.size, found_px.size)
    graph = coo_array((iou[close], (pairs[close, 0], pairs[close, 1])), shape=shape).tocsr()
    partner = maximum_bipartite_matching(graph, perm_type="column")
    paired = partner[pairs[close, 0]] == pairs[close, 1]
    paired_n, truth_n, found_n = int(paired.sum()), int((truth_px > 0).sum()), int((found_px > 0).sum())
    return DetectionScores(
        truth_n=truth_n,
        found_n=found_n,
        paired_n=paired_n,
        precision=_ratio(paired_n, found_n),
        recall=_ratio(paired_n, truth_n),
        f1=_ratio(2 * paired_n, truth_n + found_n),
        mean_iou=_ratio(iou[close][paired].sum(), paired_n),
    )


def _areas_px(labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Area by id; index 0, the background, counts as no area."""
    areas = np.bincount(labels.ravel()).astype(np.float64)
    areas[:1] = 0.0
    return areas


def _diameters_um(areas_px: NDArray[np.float64], um_per_px: float) -> NDArray[np.float64]:
    return np.asarray(2.0 * np.sqrt(areas_px / np.pi) * um_per_px, dtype=np.float64)


def _adjacent(truth: NDArray[np.int32], *, ids_n: int) -> NDArray[np.bool_]:
    """Which ids share a part with another id once all are dilated."""
    fused = ndimage.binary_dilation(truth > 0, structure=np.ones((ADJACENT_PX, ADJACENT_PX), dtype=bool))
    parts, parts_n = ndimage.label(fused, structure=np.ones((3, 3), dtype=bool))
    inside = truth > 0
    width = int(parts_n) + 1
    members = np.unique(truth[inside].astype(np.int64) * width + parts[inside])
    ids, homes = members // width, members % width
    crowded = np.bincount(homes, minlength=width) > 1
    adjacent = np.zeros(ids_n, dtype=bool)
    adjacent[ids[crowded[homes]]] = True
    return adjacent


def _check_equal_shapes(found: NDArray[np.generic], truth: NDArray[np.generic]) -> None:
    if found.shape != truth.shape:
        raise ParameterError(
            f"segmentation and reference must have one shape, but {found.shape} and {truth.shape} came; "
            "bring both to the pixel grid of the picture"
        )
