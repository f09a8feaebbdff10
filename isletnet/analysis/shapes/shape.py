"""The shape of one outline: ellipse of equal moments, Crofton perimeter, convex hull and Feret diameters.

A pixel is a unit square, so a single pixel has an ellipse, a hull and diameters too. Masks are crops; beyond them
all is outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_PX = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """The ellipse of equal second moments.

    ``centroid_*`` are pixel-centre coordinates in the crop, axes are full lengths. ``orientation_deg`` is the
    angle of the major axis, counter-clockwise from the x axis as the picture is seen, in (-90, 90].
    """

    centroid_x_px: float
    centroid_y_px: float
    major_axis_px: float
    minor_axis_px: float
    orientation_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hull:
    """Measures of the convex hull of the pixel corners."""

    area_px: float
    feret_max_px: float
    feret_min_px: float


def moments(mask: NDArray[np.bool_]) -> Moments:
    """Second moments of a mask with at least one pixel, boolean ``(height, width)``."""
    height, width = mask.shape
    per_row, per_column = np.count_nonzero(mask, axis=1), np.count_nonzero(mask, axis=0)
    area_px = int(per_row.sum())
    x, y = float(per_column @ np.arange(width) / area_px), float(per_row @ np.arange(height) / area_px)
    # A unit square has the variance 1/12 of its own.
    xx = float(per_column @ (np.arange(width) - x) ** 2) / area_px + 1 / 12
    yy = float(per_row @ (np.arange(height) - y) ** 2) / area_px + 1 / 12
    xy = sum(float(dx @ dy) for dx, dy in offsets(mask, x, y)) / area_px
    middle, half_range = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    # Rows count downwards, angles upwards.
    orientation_deg = float(0 - np.degrees(np.arctan2(2 * xy, xx - yy) / 2))
    return Moments(
        centroid_x_px=x,
        centroid_y_px=y,
        major_axis_px=float(4 * np.sqrt(middle + half_range)),
        minor_axis_px=float(4 * np.sqrt(max(middle - half_range, 1 / 12))),
        orientation_deg=90.0 if orientation_deg <= -90 else orientation_deg,
    )


def framed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Put a margin of one pixel that is outside around a mask."""
    # Much faster than np.pad on the small masks of islets.
    wider = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), bool)
    wider[1:-1, 1:-1] = mask
    return wider


def row_blocks(mask: NDArray[np.bool_]) -> Iterator[slice]:
    """Slices of whole rows, so that work with many bytes a pixel needs little memory however large the mask."""
    rows = max(1, _BLOCK_PX // mask.shape[1])
    for start in range(0, len(mask), rows):
        yield slice(start, start + rows)


def offsets(mask: NDArray[np.bool_], x: float, y: float) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Offsets ``dx, dy`` of the centres of the mask's pixels from a point, px, in blocks of rows."""
    for rows in row_blocks(mask):
        block = mask[rows]
        row = np.repeat(np.arange(len(block)), np.count_nonzero(block, axis=1))
        column = np.flatnonzero(block) - row * block.shape[1]
        yield column - x, row + (rows.start - y)


def crofton_perimeter(mask: NDArray[np.bool_]) -> float:
    """Perimeter by the Cauchy-Crofton formula with lines in four directions, px.

    Parameters
    ----------
    mask
        Boolean ``(height, width)``.

    Returns
    -------
    float
        ``pi/8`` of the sum over 0, 45, 90 and 135 degrees of crossings times the distance of the lines.
    """
    wider = framed(mask)
    straight = np.count_nonzero(wider[:, 1:] != wider[:, :-1]) + np.count_nonzero(wider[1:] != wider[:-1])
    diagonal = np.count_nonzero(wider[1:, 1:] != wider[:-1, :-1])
    diagonal += np.count_nonzero(wider[1:, :-1] != wider[:-1, 1:])
    return float(np.pi / 8 * (straight + diagonal / np.sqrt(2)))


def hulls(masks: Sequence[NDArray[np.bool_]]) -> list[Hull]:
    """Measures of the convex hulls of many masks, each boolean ``(height, width)`` with at least one pixel."""
    if not masks:
        return []
    # Left ends and mirrored right ends of the rows are chains of which the hull keeps the points that jut out.
    chains = [chain for mask in masks for chain in _sides(mask)]
    chain_of = np.repeat(np.arange(len(chains)), [len(chain) for chain in chains])
    points = np.concatenate(chains)
    while True:
        before, after = points[:-2], points[2:]
        step, span = points[1:-1] - before, after - before
        is_dent = step[:, 1] * span[:, 0] >= span[:, 1] * step[:, 0]
        is_dent &= (chain_of[:-2] == chain_of[1:-1]) & (chain_of[2:] == chain_of[1:-1])
        if not is_dent.any():
            break
        keep = np.concatenate([[True], ~is_dent, [True]])
        points, chain_of = points[keep], chain_of[keep]
    bounds = np.searchsorted(chain_of, np.arange(len(chains) + 1))
    return [
        _measured(np.concatenate([points[start:middle], (points[middle:stop] * (1, -1))[::-1]]))
        for start, middle, stop in zip(bounds[:-1:2], bounds[1::2], bounds[2::2], strict=True)
    ]


def _sides(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Leftmost corner, and rightmost corner mirrored, on every grid line that a pixel touches: ``(lines, 2)``, y x."""
    height, width = mask.shape
    is_filled = mask.any(axis=1)
    far = np.int64(2 * width)
    sides = []
    for ends in (mask.argmax(axis=1), mask[:, ::-1].argmax(axis=1) - width):
        lines = np.full(height + 1, far)
        lines[:-1] = np.where(is_filled, ends, far)
        np.minimum(lines[1:], np.where(is_filled, ends, far), out=lines[1:])
        touched = np.flatnonzero(lines < far)
        sides.append(np.stack([touched, lines[touched]], axis=1))
    return sides[0], sides[1]


def _measured(corners: NDArray[np.int64]) -> Hull:
    """Measures of a convex polygon ``(n, 2)``."""
    edges = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    doubled_area = np.abs(np.sum(corners[:, 0] * edges[:, 1] - corners[:, 1] * edges[:, 0]))
    # The least width of a convex polygon lies across one of its edges.
    along = lengths > 0
    normals = np.stack([-edges[along, 1], edges[along, 0]], axis=1) / lengths[along, None]
    across = normals @ corners.T.astype(float)
    apart = corners[:, None] - corners
    return Hull(
        area_px=float(doubled_area / 2),
        feret_max_px=float(np.sqrt((apart**2).sum(axis=2).max())),
        feret_min_px=float((across.max(axis=1) - across.min(axis=1)).min()),
    )
