"""Touching islets: where one outline has a neck, and which side of it a pixel is on.

A lobe is a summit of the distance to the outside that cannot be left, on the way to a higher one, without
passing a neck narrower than `NECK_FRACTION` of the lobe's own inscribed diameter. Experts count a lobulated islet
as one, so the neck must be clearly narrower than both lobes, and both must be of a size that counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from isletnet.analysis.shapes.distance import squared_distances, thinned_out, thinning_step
from isletnet.analysis.shapes.shape import framed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

NECK_FRACTION = 0.7
SMALLEST_LOBE_UM = 40.0
# Necks are looked for on a grid no finer than this: the smallest lobe is then still a dozen pixels wide.
_WORKING_UM_PER_PX = 3.0
# The straight ways to these few spare most peaks the look at ways around.
_NEAREST_SUMMITS = 4
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
    peaks = np.argwhere(is_peak)
    depth = distance_px[is_peak]
    # The order is stable, so equal peaks stay in raster order.
    order = np.argsort(-depth, kind="stable")
    peaks, depth = peaks[order], depth[order]
    neck = NECK_FRACTION * (depth - 0.5) + 0.5
    summits: list[int] = []
    for i in range(len(peaks)):
        near = sorted(summits, key=lambda summit: int(((peaks[summit] - peaks[i]) ** 2).sum()))[:_NEAREST_SUMMITS]
        if any(_is_wide_between(distance_px, peaks[i], peaks[summit], neck[i]) for summit in near):
            continue
        if not _reaches_deeper(distance_px, peaks[: i + 1], float(depth[i]), float(neck[i])):
            summits.append(i)
    return [(int(row), int(column)) for row, column in peaks[summits]]


def _is_wide_between(
    distance_px: NDArray[np.float32], start: NDArray[np.intp], stop: NDArray[np.intp], neck_px: float
) -> bool:
    """Whether the straight way between two points passes no neck, which spares the look at ways around."""
    n = int(np.abs(stop - start).max()) + 1
    path = np.rint(np.linspace(start, stop, n)).astype(np.intp)
    return bool(distance_px[path[:, 0], path[:, 1]].min() >= neck_px)


def _reaches_deeper(distance_px: NDArray[np.float32], peaks: NDArray[np.intp], depth_px: float, neck_px: float) -> bool:
    """Whether some way from the last of the peaks to one of the others passes no neck."""
    row, column = peaks[-1]
    margin = int(4 * depth_px)
    while True:
        top, left = max(row - margin, 0), max(column - margin, 0)
        view = distance_px[top : row + margin + 1, left : column + margin + 1]
        parts, _ = ndimage.label(view >= neck_px, structure=np.ones((3, 3)))
        own = parts == parts[row - top, column - left]
        others = peaks[:-1] - (top, left)
        others = others[((others >= 0) & (others < view.shape)).all(axis=1)]
        if own[others[:, 0], others[:, 1]].any():
            return True
        is_cut = own[0].any() or own[-1].any() or own[:, 0].any() or own[:, -1].any()
        if not is_cut or view.size == distance_px.size:
            return False
        margin *= 2


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
    if step == 1:
        return basins
    pieces = np.repeat(np.repeat(basins, step, axis=0), step, axis=1)
    short = [(0, max(0, size - have)) for size, have in zip(mask.shape, pieces.shape, strict=True)]
    pieces = np.pad(pieces, short, mode="edge")[: mask.shape[0], : mask.shape[1]]
    pieces = np.where(mask, pieces, 0).astype(np.int32)
    # A coarse pixel may bridge a gap: what is cut off from the main part goes to the neighbours.
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        parts, n = ndimage.label(pieces[box] == number)
        if n > 1:
            pieces[box][(parts > 0) & (parts != np.bincount(parts[parts > 0]).argmax())] = 0
    return _grown(pieces, mask)


def _grown(pieces: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Pieces grown over the pixels of the connected mask that no piece has yet."""
    wider = np.pad(pieces, 1)
    flat, width = wider.ravel(), wider.shape[1]
    missing = np.flatnonzero(framed(mask) & (wider == 0))
    while missing.size:
        nearest = flat[missing[:, None] + (-width, -1, 1, width)].max(axis=1)
        flat[missing] = nearest
        missing = missing[nearest == 0]
    return wider[1:-1, 1:-1]
