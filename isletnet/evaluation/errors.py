"""Where a segmentation goes wrong: what became of each islet, and which cases cost most.

Islets of the reference and found islets that overlap belong together, as do their other partners; such a group is a
case. To overlap, two islets share at least `LEAST_OVERLAP_FRACTION` of the smaller one: where islets touch, two lines
between them never run alike, and a pixel in common says nothing.

A case is ``matched`` (one and one), ``missed`` (a reference islet alone), ``false`` (a found islet alone), ``merged``
(several became one), ``split`` (one became several) or ``mixed``. `isletnet.evaluation.segmentation.object_scores`
counts every shared pixel instead, and calls the last three incorrectly separated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from isletnet.evaluation.outlines import outline_distances
from isletnet.evaluation.segmentation import overlap_pairs
from isletnet.schemas import IEQ_UM3

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

FATES = ("matched", "split", "merged", "mixed", "missed", "false")
LEAST_OVERLAP_FRACTION = 0.1
SIZE_BOUNDS_UM = (0.0, 50.0, 100.0, 150.0, 200.0, 300.0, math.inf)


def islet_fates(
    found: NDArray[np.int32],
    truth: NDArray[np.int32],
    *,
    um_per_px: float,
    least_overlap: float = LEAST_OVERLAP_FRACTION,
) -> pd.DataFrame:
    """Say of each islet what became of it.

    Parameters
    ----------
    found, truth
        Instance labels of equal shape, 0 for none.
    um_per_px
        Pixel size.
    least_overlap
        Share of the smaller islet from which two overlap; 0 counts every shared pixel.

    Returns
    -------
    pandas.DataFrame
        One row an islet of the reference, and one a false islet: ``case`` (number of its group), ``side``
        ("reference" or "found"), ``number`` (its label), ``fate`` (see `FATES`), ``diameter_um`` (of the circle of
        equal area), ``ieq`` (sphere), ``centroid_y_px``, ``centroid_x_px``, ``touches_border``, and for matched islets
        ``iou``, ``found_number``, ``area_ratio`` (found over reference), ``outline_shift_um`` (mean signed distance of
        the found outline, above 0 outside) and ``outline_distance_um`` (mean of the distances without sign).
    """
    import pandas as pd

    pairs = _overlaps(found, truth, least_overlap)
    truth_boxes, found_boxes = ndimage.find_objects(truth), ndimage.find_objects(found)
    case_of_truth, case_of_found, fate_of_case = _cases(pairs, truth_boxes, found_boxes)
    rows = []
    partner = {int(a): (int(b), int(common)) for a, b, common in pairs}
    for number, box in enumerate(truth_boxes, start=1):
        if box is None:
            continue
        mask = truth[box] == number
        fate = fate_of_case[case_of_truth[number]]
        row = _row("reference", number, int(case_of_truth[number]), fate, mask, box, truth.shape, um_per_px)
        if fate == "matched":
            other, common = partner[number]
            row |= _match(found, truth, number, other, common, (box, found_boxes[other - 1]), um_per_px)
        rows.append(row)
    for number, box in enumerate(found_boxes, start=1):
        if box is not None and fate_of_case[case_of_found[number]] == "false":
            mask = found[box] == number
            rows.append(_row("found", number, int(case_of_found[number]), "false", mask, box, truth.shape, um_per_px))
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype({"found_number": "Int64"})


def case_table(
    found: NDArray[np.int32],
    truth: NDArray[np.int32],
    *,
    um_per_px: float,
    least_overlap: float = LEAST_OVERLAP_FRACTION,
) -> pd.DataFrame:
    """Give one row a case, with what it adds to the error of the total.

    Parameters
    ----------
    found, truth, um_per_px, least_overlap
        As for `islet_fates`.

    Returns
    -------
    pandas.DataFrame
        ``case``, ``fate``, ``truth_n``, ``found_n``, ``truth_ieq``, ``found_ieq`` (spheres of equal area),
        ``error_ieq`` (found less reference) and the box of the case ``top_px``, ``left_px``, ``bottom_px``,
        ``right_px`` (half-open), in the order of the cases' numbers.
    """
    import pandas as pd

    pairs = _overlaps(found, truth, least_overlap)
    truth_boxes, found_boxes = ndimage.find_objects(truth), ndimage.find_objects(found)
    case_of_truth, case_of_found, fate_of_case = _cases(pairs, truth_boxes, found_boxes)
    sides = []
    for name, labels, boxes, case_of in (
        ("truth", truth, truth_boxes, case_of_truth),
        ("found", found, found_boxes, case_of_found),
    ):
        areas_px = np.bincount(labels.ravel(), minlength=len(boxes) + 1)
        sides += [
            {
                "case": int(case_of[number]),
                "side": name,
                "ieq": _sphere_ieq(float(areas_px[number]), um_per_px),
                "top_px": box[0].start,
                "left_px": box[1].start,
                "bottom_px": box[0].stop,
                "right_px": box[1].stop,
            }
            for number, box in enumerate(boxes, start=1)
            if box is not None
        ]
    columns = ["case", "fate", "truth_n", "found_n", "truth_ieq", "found_ieq", "error_ieq"]
    box_columns = {"top_px": "min", "left_px": "min", "bottom_px": "max", "right_px": "max"}
    if not sides:
        return pd.DataFrame(columns=[*columns, *box_columns])
    members = pd.DataFrame(sides)
    table = members.groupby("case").agg(box_columns)
    for name in ("truth", "found"):
        own = members[members["side"] == name].groupby("case")["ieq"]
        table[f"{name}_n"] = own.size().reindex(table.index, fill_value=0)
        table[f"{name}_ieq"] = own.sum().reindex(table.index, fill_value=0.0)
    table["error_ieq"] = table["found_ieq"] - table["truth_ieq"]
    table["fate"] = [fate_of_case[case] for case in table.index]
    return table.reset_index()[[*columns, *box_columns]]


def fates_by(fates: pd.DataFrame, by: str) -> pd.DataFrame:
    """Count fates in groups.

    Parameters
    ----------
    fates
        From `islet_fates`, of one or more pictures.
    by
        A column to group by, such as one from `size_class`.

    Returns
    -------
    pandas.DataFrame
        One row a group: ``by``, ``reference_n``, one column ``<fate>_n`` for each of `FATES`, and ``<fate>_fraction``
        of the reference islets (NaN without any; ``false_fraction`` may exceed 1).
    """
    import pandas as pd

    rows = []
    for key, group in fates.groupby(by, sort=True, observed=False):
        reference_n = int((group["side"] == "reference").sum())
        counts = {fate: int((group["fate"] == fate).sum()) for fate in FATES}
        shares = {f"{fate}_fraction": n / reference_n if reference_n else math.nan for fate, n in counts.items()}
        rows.append({by: key, "reference_n": reference_n, **{f"{k}_n": n for k, n in counts.items()}, **shares})
    return pd.DataFrame(rows)


def size_class(diameters_um: ArrayLike) -> pd.Categorical:
    """Put diameters into the classes of `SIZE_BOUNDS_UM`, half-open, named like ``50–100 µm``."""
    import pandas as pd

    names = [
        f"≥ {low:g} µm" if math.isinf(high) else f"{low:g}–{high:g} µm"
        for low, high in zip(SIZE_BOUNDS_UM, SIZE_BOUNDS_UM[1:], strict=False)
    ]
    diameters = np.asarray(diameters_um, dtype=np.float64)
    codes = np.searchsorted(SIZE_BOUNDS_UM, diameters, side="right") - 1
    return pd.Categorical.from_codes(np.where(np.isnan(diameters), -1, codes).astype(np.intp), names, ordered=True)


_COLUMNS = (
    "case",
    "side",
    "number",
    "fate",
    "diameter_um",
    "ieq",
    "centroid_y_px",
    "centroid_x_px",
    "touches_border",
    "iou",
    "found_number",
    "area_ratio",
    "outline_shift_um",
    "outline_distance_um",
)


def _overlaps(found: NDArray[np.int32], truth: NDArray[np.int32], least_overlap: float) -> NDArray[np.int64]:
    pairs = overlap_pairs(found, truth)
    smaller_px = np.minimum(np.bincount(truth.ravel())[pairs[:, 0]], np.bincount(found.ravel())[pairs[:, 1]])
    return pairs[pairs[:, 2] >= least_overlap * smaller_px]


def _cases(
    pairs: NDArray[np.int64], truth_boxes: list[object], found_boxes: list[object]
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[int, str]]:
    """Number of the case by reference label and by found label (-1 for labels that are absent), and fate by case."""
    truths, founds = len(truth_boxes) + 1, len(found_boxes) + 1
    graph = coo_array(
        (np.ones(len(pairs), bool), (pairs[:, 0], truths + pairs[:, 1])), shape=(truths + founds, truths + founds)
    )
    group = connected_components(graph, directed=False)[1].astype(np.int64)
    is_there = np.array(
        [False, *(box is not None for box in truth_boxes), False, *(b is not None for b in found_boxes)]
    )
    group[~is_there] = -1
    # Cases count from 0 in the order of reference labels, then of found ones.
    _, first, cases = np.unique(group[is_there], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    group[is_there] = rank[cases]
    case_of_truth, case_of_found = group[:truths], group[truths:]
    cases_n = len(first)
    truth_n = np.bincount(case_of_truth[case_of_truth >= 0], minlength=cases_n)
    found_n = np.bincount(case_of_found[case_of_found >= 0], minlength=cases_n)
    fates = {case: _fate(int(t), int(f)) for case, (t, f) in enumerate(zip(truth_n, found_n, strict=True))}
    return case_of_truth, case_of_found, fates


def _fate(truth_n: int, found_n: int) -> str:
    if not truth_n:
        return "false"
    if not found_n:
        return "missed"
    if truth_n == found_n == 1:
        return "matched"
    return "merged" if found_n == 1 else "split" if truth_n == 1 else "mixed"


def _row(
    side: str,
    number: int,
    case: int,
    fate: str,
    mask: NDArray[np.bool_],
    box: tuple[slice, slice],
    shape: tuple[int, ...],
    um_per_px: float,
) -> dict[str, object]:
    area_px = float(mask.sum())
    rows, columns = np.nonzero(mask)
    return {
        "case": case,
        "side": side,
        "number": number,
        "fate": fate,
        "diameter_um": 2 * math.sqrt(area_px / math.pi) * um_per_px,
        "ieq": _sphere_ieq(area_px, um_per_px),
        "centroid_y_px": box[0].start + float(rows.mean()),
        "centroid_x_px": box[1].start + float(columns.mean()),
        "touches_border": box[0].start == 0 or box[1].start == 0 or box[0].stop == shape[0] or box[1].stop == shape[1],
    }


def _match(
    found: NDArray[np.int32],
    truth: NDArray[np.int32],
    number: int,
    other: int,
    common_px: int,
    boxes: tuple[tuple[slice, slice], tuple[slice, slice]],
    um_per_px: float,
) -> dict[str, object]:
    both = tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(*boxes, strict=True))
    found_mask, truth_mask = found[both] == other, truth[both] == number
    distances = outline_distances(found_mask, truth_mask)
    distances = distances[~np.isnan(distances)] * um_per_px
    found_px, truth_px = int(found_mask.sum()), int(truth_mask.sum())
    return {
        "iou": common_px / (found_px + truth_px - common_px),
        "found_number": other,
        "area_ratio": found_px / truth_px,
        "outline_shift_um": float(distances.mean()),
        "outline_distance_um": float(np.abs(distances).mean()),
    }


def _sphere_ieq(area_px: float, um_per_px: float) -> float:
    area_um2 = area_px * um_per_px**2
    return 4 / (3 * math.sqrt(math.pi)) * area_um2 * math.sqrt(area_um2) / IEQ_UM3
