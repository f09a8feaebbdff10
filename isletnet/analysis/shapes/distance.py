"""How far: exact distances and inscribed balls of many small masks at once.

Distances run from pixel centre to the nearest centre outside the mask; beyond the crop all is outside. Masks
of similar size are stacked and handled together: every pass is then a few shifted additions on 16-bit
integers, with no loop over pixels or masks. The number of shifts is the largest radius, which is bounded
(`RADIUS_LIMIT_PX`; larger masks are thinned out first), so the cost is linear in the number of pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isletnet.analysis.shapes.shape import framed

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The sum of two squares of this still fits 16 bits.
RADIUS_LIMIT_PX = 127
# Three such stacks of 16-bit integers fit the second-level cache.
_STACK_PX = 65_536


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HalfHeights:
    """Height above the picture plane of the union of balls inscribed in an outline.

    ``values_px`` is float32 ``(samples,)``, and each sample stands for ``sample_area_px`` pixels of the mask.
    """

    values_px: NDArray[np.float32]
    sample_area_px: float


def squared_distances(masks: Sequence[NDArray[np.bool_]]) -> list[NDArray[np.int16]]:
    """Squared Euclidean distance to the nearest pixel outside each mask.

    Parameters
    ----------
    masks
        Boolean ``(height, width)`` each, of any size. Distances beyond `RADIUS_LIMIT_PX` are cut to it: see
        `thinning_step`.

    Returns
    -------
    list of NDArray
        int16 arrays of the masks' shapes, px², 0 outside the mask.
    """
    return _by_stack(masks, lambda stack, reach: _squared_distance_columns(stack, reach).transpose(2, 1, 0))


def half_heights(masks: Sequence[NDArray[np.bool_]]) -> list[HalfHeights]:
    """Half heights of the union of all balls that lie in the plane and inside the outline.

    ``h(x)² = max over y of (d(y)² - |x - y|²)`` with ``d`` the distance to the outside: the separable dilation
    of ``d²`` with a parabola. Masks that may hold a ball larger than `RADIUS_LIMIT_PX` are thinned out to every
    n-th pixel, and the heights scaled so that the area stays exact.

    Parameters
    ----------
    masks
        Boolean ``(height, width)`` each.

    Returns
    -------
    list of HalfHeights
        One for each mask.
    """
    steps = [thinning_step(mask) for mask in masks]
    thinned = [thinned_out(mask, step) for mask, step in zip(masks, steps, strict=True)]
    heights = []
    for mask, small, squared in zip(masks, thinned, _by_stack(thinned, _squared_height_rows), strict=True):
        sample_area_px = float(np.count_nonzero(mask) / max(int(np.count_nonzero(small)), 1))
        values = np.sqrt(squared[small].astype(np.float32)) * np.float32(np.sqrt(sample_area_px))
        heights.append(HalfHeights(values_px=values, sample_area_px=sample_area_px))
    return heights


def thinning_step(mask: NDArray[np.bool_]) -> int:
    """Tell which n-th pixel to keep, so that no inscribed ball is larger than `RADIUS_LIMIT_PX`."""
    # A ball of radius r covers about pi r² pixels, and its centre is at least r from the outside along both axes.
    bound_px = np.sqrt(np.count_nonzero(mask) / np.pi) + 2
    step = 1
    while bound_px / step >= RADIUS_LIMIT_PX and _reaches_limit(thinned_out(mask, step)):
        step *= 2
    return step


def thinned_out(mask: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    """Every ``step``-th pixel of a mask in both directions, or of a smaller step where that hits nothing."""
    for smaller in range(step, 1, -1):
        small = mask[smaller // 2 :: smaller, smaller // 2 :: smaller]
        if small.any():
            return small
    return mask


def dilated(mask: NDArray[np.bool_], radius_px: float) -> NDArray[np.bool_]:
    """Pixels whose centre lies within ``radius_px`` of a pixel of the mask (a discrete disc).

    Parameters
    ----------
    mask
        Boolean ``(height, width)``.
    radius_px
        Radius of the disc; below 1 nothing grows.

    Returns
    -------
    NDArray
        Boolean ``(height, width)``.
    """
    reach = min(int(radius_px), len(mask) - 1)
    out = mask.copy()
    row, half = mask.copy(), 0
    # From the tips of the disc to its middle, the rows only widen.
    for dy in range(reach, -1, -1):
        width = int(np.sqrt(radius_px**2 - dy**2))
        for dx in range(half + 1, width + 1):
            row[:, dx:] |= mask[:, :-dx]
            row[:, :-dx] |= mask[:, dx:]
        half = width
        out[dy:] |= row[: len(row) - dy]
        out[: len(out) - dy] |= row[dy:]
    return out


def _reaches_limit(mask: NDArray[np.bool_]) -> bool:
    """Whether some pixel is `RADIUS_LIMIT_PX` or more from the outside along both axes."""
    along = _axis_distance(framed(mask))
    return bool(along.max() >= RADIUS_LIMIT_PX and _axis_distance(framed(mask.T)).max() >= RADIUS_LIMIT_PX)


def _axis_distance(stack: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Distance along axis 0 to the nearest False, cut at `RADIUS_LIMIT_PX`; the stack has False at both ends."""
    out = stack * np.uint8(RADIUS_LIMIT_PX)
    shifted = np.empty_like(out)
    # Every whole distance is a sum of distinct powers of two.
    step = 1
    while step < min(RADIUS_LIMIT_PX, len(stack)):
        np.add(out, np.uint8(step), out=shifted)
        np.minimum(out[step:], shifted[:-step], out=out[step:])
        np.minimum(out[:-step], shifted[step:], out=out[:-step])
        step *= 2
    return out


def _squared_distance_columns(stack: NDArray[np.bool_], reach: int) -> NDArray[np.int16]:
    """Squared distances of a stack ``(height, n, width)``, laid out as ``(width, n, height)``."""
    along = _axis_distance(stack).transpose(2, 1, 0).astype(np.int16, order="C")
    squared = along * along
    out, shifted = squared.copy(), np.empty_like(squared)
    for k in range(1, min(reach, len(squared) - 1) + 1):
        np.add(squared, k * k, out=shifted)
        np.minimum(out[k:], shifted[:-k], out=out[k:])
        np.minimum(out[:-k], shifted[k:], out=out[:-k])
    return out


def _squared_height_rows(stack: NDArray[np.bool_], reach: int) -> NDArray[np.int16]:
    """Squared half heights of a stack ``(height, n, width)``."""
    squared = _squared_distance_columns(stack, reach)
    reach = int(np.sqrt(squared.max(initial=0)))
    across = _parabolic_dilation(squared, reach)
    return _parabolic_dilation(np.ascontiguousarray(across.transpose(2, 1, 0)), reach)


def _parabolic_dilation(squared: NDArray[np.int16], reach: int) -> NDArray[np.int16]:
    """``max over k of (squared(x + k) - k²)`` along axis 0."""
    out, shifted = squared.copy(), np.empty_like(squared)
    for k in range(1, min(reach, len(squared) - 1) + 1):
        np.subtract(squared, k * k, out=shifted)
        np.maximum(out[k:], shifted[:-k], out=out[k:])
        np.maximum(out[:-k], shifted[k:], out=out[:-k])
    return out


def _by_stack(
    masks: Sequence[NDArray[np.bool_]], transform: Callable[[NDArray[np.bool_], int], NDArray[np.int16]]
) -> list[NDArray[np.int16]]:
    """Apply a transform of stacks ``(height, n, width)`` to masks, and give the parts back in order."""
    results: list[NDArray[np.int16]] = [np.empty(0, np.int16)] * len(masks)
    for members in _batches(masks):
        height = max(masks[i].shape[0] for i in members)
        width = max(masks[i].shape[1] for i in members)
        # A margin of one pixel is the outside.
        stack = np.zeros((height + 2, len(members), width + 2), bool)
        inner = [(slice(1, masks[i].shape[0] + 1), n, slice(1, masks[i].shape[1] + 1)) for n, i in enumerate(members)]
        for i, place in zip(members, inner, strict=True):
            stack[place] = masks[i]
        area_px = max(np.count_nonzero(masks[i]) for i in members)
        out = transform(stack, min(int(np.sqrt(area_px / np.pi)) + 2, RADIUS_LIMIT_PX))
        for i, place in zip(members, inner, strict=True):
            results[i] = out[place]
    return results


def _batches(masks: Sequence[NDArray[np.bool_]]) -> Iterator[list[int]]:
    """Group the indices of masks of similar size."""
    order = sorted(range(len(masks)), key=lambda i: (-max(masks[i].shape), i))
    members: list[int] = []
    height = width = 0
    for i in order:
        taller, wider = max(height, masks[i].shape[0]), max(width, masks[i].shape[1])
        if members and (len(members) + 1) * taller * wider > _STACK_PX:
            yield members
            members, taller, wider = [], *masks[i].shape
        members.append(i)
        height, width = taller, wider
    if members:
        yield members
