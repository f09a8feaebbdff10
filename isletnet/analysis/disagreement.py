"""How far several looks at one picture differ, as relative standard errors of what is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from isletnet.schemas import EXOCRINE, ISLET, Disagreement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from isletnet.schemas import LabelledIslets

# Areas are compared on every second pixel of every second row: a quarter of the work for the same ratio.
STEP = 2
QUANTITIES = ("ieq", "count", "islet_area", "exocrine_area")
# What lies within this many compared pixels of an islet belongs to it.
REACH_PX = 4


def disagreement(
    labelled: LabelledIslets,
    table: pd.DataFrame,
    others: Sequence[tuple[str, NDArray[np.uint8]]],
    *,
    name: str,
    known_relative_error: Mapping[str, float],
) -> Disagreement:
    """Compare a result with other class masks of the same picture.

    Each islet's area in another mask is taken within its own neighbourhood; its volume follows as the area to
    the power 3/2. Tissue that only the other mask has is added as spheres. The standard deviation of the
    logarithms over all members is joined in quadrature with the error that the network is known to have.

    Parameters
    ----------
    labelled
        The result's islets.
    table
        Its rows, from `measure`; uses ``area_px`` and ``is_islet``.
    others
        Name and class mask uint8 ``(height, width)`` of each other member.
    name
        Name of the member that made the result.
    known_relative_error
        By the names `QUANTITIES`; absent ones count 0.

    Returns
    -------
    Disagreement
    """
    islets = labelled.islets[::STEP, ::STEP]
    classes = labelled.classes[::STEP, ::STEP]
    weights = np.r_[0.0, table["area_px"].to_numpy(dtype=np.float64) ** 1.5]
    large = np.r_[False, table["is_islet"].to_numpy(dtype=bool)]
    near = ndi.maximum_filter(islets, 2 * REACH_PX + 1)
    near = np.where(islets > 0, islets, near)
    own_px = np.bincount(near[classes == ISLET], minlength=len(weights)).astype(np.float64)
    smallest_px = float(own_px[large].min()) if large.any() else np.inf
    exocrine_px = float(np.count_nonzero(classes == EXOCRINE))
    members = [(float(weights[large].sum()), float(large.sum()), float(own_px[1:].sum()), exocrine_px)]
    for _, mask in others:
        members.append(_totals(mask[::STEP, ::STEP], near, own_px, weights, large, smallest_px))
    # The additions keep one small object more or less from looking like a large relative change.
    logs = np.log(np.maximum(np.array(members), 1e-9) + np.array([0.0, 0.5, 1.0, 50.0]))
    spread = logs.std(axis=0, ddof=1) if len(members) > 1 else np.zeros(4)
    spread = np.where(np.isfinite(spread), np.minimum(spread, 1.0), 1.0)
    known = [known_relative_error.get(key, 0.0) for key in QUANTITIES]
    ieq, count, islet_area, exocrine_area = np.hypot(spread, known).tolist()
    return Disagreement(
        members=(name, *(other for other, _ in others)),
        ieq_relative=ieq,
        count_relative=count,
        islet_area_relative=islet_area,
        exocrine_area_relative=exocrine_area,
        between_members=dict(zip(QUANTITIES, spread.tolist(), strict=True)),
    )


def _totals(
    mask: NDArray[np.uint8],
    near: NDArray[np.int32],
    own_px: NDArray[np.float64],
    weights: NDArray[np.float64],
    large: NDArray[np.bool_],
    smallest_px: float,
) -> tuple[float, float, float, float]:
    """Volume (in the units of ``weights``), count, islet area and exocrine area of another member."""
    islet = mask == ISLET
    area_px = np.bincount(near[islet], minlength=len(weights)).astype(np.float64)
    ratio = np.divide(area_px, own_px, out=np.zeros_like(own_px), where=own_px > 0)
    ratio[0] = 0.0
    volume = float((weights * ratio**1.5)[large].sum())
    count = float((large & (ratio > 0.5)).sum())
    labels, parts_n = ndi.label(islet & (near == 0))
    if parts_n:
        extra_px = np.bincount(labels.ravel())[1:].astype(np.float64)
        extra_px = extra_px[extra_px >= smallest_px]
        volume += float(((extra_px * STEP**2) ** 1.5).sum())
        count += len(extra_px)
    return volume, count, float(islet.sum()), float(np.count_nonzero(mask == EXOCRINE))
