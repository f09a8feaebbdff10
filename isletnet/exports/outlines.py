"""Exact outlines of labelled pixels: corners on the pixel grid, so that an outline's area is its pixel count.

A pixel in row ``y`` and column ``x`` covers the square from ``(x, y)`` to ``(x + 1, y + 1)``. Contours drawn through
pixel centres lose half a pixel all around, and again on each trip through another program; these lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isletnet.schemas import EXOCRINE, LabelledIslets

Ring = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One connected region: its outer ring and its holes.

    Rings are int32 ``(n, 2)`` arrays of ``x, y`` corners without the closing repeat. No ring touches itself. The
    outer ring has a positive shoelace sum, holes have a negative one.
    """

    exterior: Ring
    holes: tuple[Ring, ...] = ()

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The outer ring, then the holes."""
        return (self.exterior, *self.holes)

    @property
    def area_px(self) -> int:
        """Area in pixels, holes taken off."""
        return sum(signed_area_px(ring) for ring in self.rings)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlines:
    """All regions of a picture: entry ``i`` of ``islets`` has the parts of islet ``i + 1``."""

    islets: list[tuple[Outline, ...]]
    exocrine: tuple[Outline, ...]


def signed_area_px(ring: Ring) -> int:
    """Shoelace area of a ring of pixel corners in px; negative for a hole. Always a whole number."""
    x, y = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return int(x[:-1] @ y[1:] - y[:-1] @ x[1:] + x[-1] * y[0] - y[-1] * x[0]) // 2


def trace(labelled: LabelledIslets) -> Outlines:
    """Trace every islet and every exocrine region."""
    return Outlines(islets=trace_labels(labelled.islets), exocrine=trace_mask(labelled.classes == EXOCRINE))


def trace_labels(labels: NDArray[Any]) -> list[tuple[Outline, ...]]:
    """Trace every label of a picture.

    Parameters
    ----------
    labels
        Integer ``(height, width)``; 0 is background.

    Returns
    -------
    list of tuple of Outline
        Entry ``i`` has the 4-connected regions of label ``i + 1``, none where the label is absent.
    """
    traced: list[tuple[Outline, ...]] = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            traced.append(())
            continue
        rows, columns = box
        traced.append(trace_mask(labels[box] == number, offset_px=(columns.start, rows.start)))
    return traced


def trace_mask(mask: NDArray[np.bool_], *, offset_px: tuple[int, int] = (0, 0)) -> tuple[Outline, ...]:
    """Trace the 4-connected regions of a mask.

    Parameters
    ----------
    mask
        Bool ``(height, width)``.
    offset_px
        ``x, y`` that is added to every corner: where the mask was cut from.

    Returns
    -------
    tuple of Outline
        One for each region, in raster order of its first pixel.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return ()
    # Telling regions apart takes most of the time, and the tissue of many pictures lies in a corner.
    left, top = int(columns[0]), int(rows[0])
    cut = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    left, top = left + offset_px[0], top + offset_px[1]
    regions, regions_n = ndimage.label(cut)
    if regions_n == 1:
        return (_trace_region(cut, (left, top)),)
    return tuple(
        _trace_region(regions[box] == number, (left + box[1].start, top + box[0].start))
        for number, box in enumerate(ndimage.find_objects(regions), start=1)
    )


def fill(parts: Iterable[Outline], shape: tuple[int, int], *, offset_px: tuple[int, int] = (0, 0)) -> NDArray[np.bool_]:
    """Fill outlines again: the inverse of `trace_mask`.

    Parameters
    ----------
    parts
        Outlines that lie within the picture.
    shape
        Height and width of the picture.
    offset_px
        ``x, y`` of the picture's upper left corner in the outlines' coordinates.

    Returns
    -------
    ndarray
        Bool of that shape.
    """
    is_crossed = np.zeros((shape[0], shape[1] + 1), dtype=bool)
    for ring in (ring for part in parts for ring in part.rings):
        corners = (ring - np.array(offset_px, dtype=np.int32)).tolist()
        for (x, y), (next_x, next_y) in zip(corners, corners[1:] + corners[:1], strict=True):
            if x == next_x:
                is_crossed[min(y, next_y) : max(y, next_y), x] ^= True
    filled: NDArray[np.bool_] = np.logical_xor.accumulate(is_crossed, axis=1)[:, :-1]
    return filled


def _trace_region(region: NDArray[np.bool_], offset_px: tuple[int, int]) -> Outline:
    offset = np.array(offset_px, dtype=np.int32)
    rings = [ring + offset for ring in _trace_rings(region)]
    areas = [signed_area_px(ring) for ring in rings]
    # A 4-connected region has exactly one ring that runs around tissue: the largest.
    outer = int(np.argmax(areas))
    return Outline(rings[outer], tuple(ring for number, ring in enumerate(rings) if number != outer))


def _trace_rings(region: NDArray[np.bool_]) -> list[Ring]:
    """Trace all rings of a mask with the tissue on the right of the way (seen with y down)."""
    padded = np.zeros((region.shape[0] + 2, region.shape[1] + 2), dtype=np.int8)
    padded[1:-1, 1:-1] = region
    upper_left, upper_right = padded[:-1, :-1], padded[:-1, 1:]
    lower_left, lower_right = padded[1:, :-1], padded[1:, 1:]
    is_odd = (upper_left ^ upper_right ^ lower_left ^ lower_right) == 1
    is_crossing = (upper_left == lower_right) & (upper_right == lower_left) & (upper_left != upper_right)

    y_odd, x_odd = np.nonzero(is_odd)
    goes_right = (upper_right != lower_right)[y_odd, x_odd]
    goes_down = (lower_left != lower_right)[y_odd, x_odd]
    # Where two pixels meet only by their corners, each of the two keeps a corner of its own.
    y_cross, x_cross = np.nonzero(is_crossing)
    falls = upper_left[y_cross, x_cross] == 1
    y = np.concatenate([y_odd, y_cross, y_cross])
    x = np.concatenate([x_odd, x_cross, x_cross])
    right = np.concatenate([goes_right, np.zeros_like(falls), np.ones_like(falls)])
    down = np.concatenate([goes_down, ~falls, falls])

    # Along a grid line the corners come in pairs, and each pair is one straight edge.
    along_x = _mates(np.lexsort((right, x, y)))
    along_y = _mates(np.lexsort((down, y, x)))
    tissue_below = lower_right[y, x] == 1

    corners = np.column_stack([x, y]).astype(np.int32)
    visited = [False] * len(corners)
    rings: list[Ring] = []
    for start in np.lexsort((~right, ~down, x, y)).tolist():
        if visited[start]:
            continue
        # The first corner in raster order opens to the right and down; tissue must lie on the right hand.
        first, second = (along_x, along_y) if tissue_below[start] else (along_y, along_x)
        way: list[int] = []
        here = start
        while not visited[here]:
            there = first[here]
            visited[here] = visited[there] = True
            way += (here, there)
            here = second[there]
        ring = corners[way]
        rings.extend(_split_at_repeats(ring) if len(y_cross) else [ring])
    return rings


def _mates(order: NDArray[np.intp]) -> list[int]:
    mates = np.empty_like(order)
    mates[order[0::2]], mates[order[1::2]] = order[1::2], order[0::2]
    result: list[int] = mates.tolist()
    return result


def _split_at_repeats(ring: Ring) -> list[Ring]:
    """Cut a ring that touches itself at a corner into rings that do not."""
    rings: list[Ring] = []
    path: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    for x, y in ring.tolist():
        point = x, y
        if point in place:
            first = place[point]
            rings.append(np.array(path[first:], dtype=np.int32))
            for dropped in path[first + 1 :]:
                del place[dropped]
            del path[first + 1 :]
        else:
            place[point] = len(path)
            path.append(point)
    rings.append(np.array(path, dtype=np.int32))
    return rings
