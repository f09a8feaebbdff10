"""Touching islets: where one outline has a neck, and which side of it a pixel is on.

A lobe is a summit of the distance to the outside that cannot be left, on the way to a higher one, without
passing a neck narrower than `NECK_FRACTION` of the lobe's own inscribed diameter. Experts count a lobulated islet
as one, so the neck must be clearly narrower than both lobes, and both must be of a size that counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from isletnet.analysis.distance import squared_distances, thinned_out, thinning_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

NECK_FRACTION = 0.7
SMALLEST_LOBE_UM = 40.0
# Necks are looked for on a grid no finer than this: the smallest lobe is then still a dozen pixels wide.
_WORKING_UM_PER_PX = 3.0
# The flooding keeps dozens of bytes a pixel.
_WORKING_LIMIT_PX = 4_000_000


def lobes(masks: Sequence[NDArray[np.bool_]], *, um_per_px: float) -> list[NDArray[np.int32]]:
    """Split outlines at their necks.

    Parameters
    ----------
    masks
        Boolean ``(height, width)``, one 4-connected outline each, or empty.
    um_per_px
        Pixel size; it scales the smallest lobe.

    Returns
    -------
    list
        For each mask int32 ``(height, width)``: 0 outside, pieces from 1. Every pixel of the mask belongs to a
        piece, and every piece is 4-connected.
    """
    pieces = [mask.astype(np.int32) for mask in masks]
    smallest_px = 2 * np.pi / 4 * (SMALLEST_LOBE_UM / um_per_px) ** 2
    chosen = [i for i, mask in enumerate(masks) if np.count_nonzero(mask) >= smallest_px]
    steps = [_working_step(masks[i], um_per_px) for i in chosen]
    small = [thinned_out(masks[i], step) for i, step in zip(chosen, steps, strict=True)]
    for i, step, squared in zip(chosen, steps, squared_distances(small), strict=True):
        distance_px = np.sqrt(squared.astype(np.float32))
        summits = _summits(distance_px, SMALLEST_LOBE_UM / 2 / (um_per_px * step))
        if len(summits) > 1:
            pieces[i] = _pieces(masks[i], _flooded(distance_px, summits), step)
    return pieces


def _working_step(mask: NDArray[np.bool_], um_per_px: float) -> int:
    step = max(1, int(_WORKING_UM_PER_PX / um_per_px), thinning_step(mask))
    return max(step, int(np.ceil(np.sqrt(mask.size / _WORKING_LIMIT_PX))))


def _summits(distance_px: NDArray[np.float32], smallest_radius_px: float) -> list[tuple[int, int]]:
    """Find the deepest pixel of every lobe, the deepest lobe first."""
    # A distance counts from pixel centre to pixel centre: half a pixel more than to the edge.
    window = 2 * int(smallest_radius_px / 2) + 1
    is_peak = distance_px >= max(smallest_radius_px + 0.5, 1.0)
    is_peak &= distance_px == ndimage.maximum_filter(distance_px, size=window, mode="constant")
    rows, columns = np.nonzero(is_peak)
    depth = distance_px[rows, columns]
    order = np.lexsort((columns, rows, -depth))
    rows, columns, depth = rows[order], columns[order], depth[order]
    if len(order) < 2:
        return list(zip(rows.tolist(), columns.tolist(), strict=True))
    neck = NECK_FRACTION * (depth - 0.5) + 0.5
    summits = [(int(rows[0]), int(columns[0]))]
    # Most peaks see a summit straight, with no neck between; only the others need the way around looked at.
    for i in range(1, len(order)):
        ends = np.array(summits)[:, :, None]
        steps = np.array([rows[i], columns[i]])[:, None] - ends
        path = np.rint(ends + steps * np.linspace(0, 1, int(np.abs(steps).max()) + 1)).astype(int)
        if (distance_px[path[:, 0], path[:, 1]].min(axis=1) >= neck[i]).any():
            continue
        wide, _ = ndimage.label(distance_px >= neck[i], structure=np.ones((3, 3)))
        own = wide[rows[i], columns[i]]
        if not (wide[rows[:i], columns[:i]] == own).any():
            summits.append((int(rows[i]), int(columns[i])))
    return summits


def _flooded(distance_px: NDArray[np.float32], summits: list[tuple[int, int]]) -> NDArray[np.int32]:
    """Watershed of the distance from the summits down; 0 outside."""
    # Few pictures need it, and it takes as long to import as to analyse one.
    from skimage.segmentation import watershed

    flood: Callable[..., NDArray[np.int32]] = watershed
    markers = np.zeros(distance_px.shape, np.int32)
    for number, (row, column) in enumerate(summits, start=1):
        markers[row, column] = number
    return flood(-distance_px, markers, mask=distance_px > 0)


def _pieces(mask: NDArray[np.bool_], basins: NDArray[np.int32], step: int) -> NDArray[np.int32]:
    """Basins of the working grid brought to the pixels of the mask."""
    pieces = basins
    if step > 1:
        pieces = np.repeat(np.repeat(basins, step, axis=0), step, axis=1)
        short = [(0, max(0, size - have)) for size, have in zip(mask.shape, pieces.shape, strict=True)]
        pieces = np.pad(pieces, short, mode="edge")[: mask.shape[0], : mask.shape[1]]
    pieces = np.where(mask, pieces, 0).astype(np.int32)
    for number in range(1, int(basins.max()) + 1):
        parts, n = ndimage.label(pieces == number)
        if n > 1:
            pieces[(parts > 0) & (parts != np.bincount(parts.ravel())[1:].argmax() + 1)] = 0
    return _grown(pieces, mask)


def _grown(pieces: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Pieces grown over the pixels of the mask that no piece has yet."""
    cross = ndimage.generate_binary_structure(2, 1)
    while (missing := mask & (pieces == 0)).any():
        grown = np.where(missing, ndimage.maximum_filter(pieces, footprint=cross), pieces)
        pieces = grown.astype(np.int32)
    return pieces
