"""What a person does to an outline, on one map of the picture: each is a function from a map to a patch of it.

A map is uint16 ``(height, width)``: 0 background, 1 exocrine tissue, 2 and up one number for each islet. Points are
float ``(n, 2)`` in x, y; pixel ``(row, column)`` covers ``[column, column + 1) x [row, row + 1)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isletnet.errors import ParameterError
from isletnet.schemas import EXOCRINE
from isletnet.ui.editing.strokes import around, filled, swept, within
from isletnet.ui.i18n import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Map = NDArray[np.uint16]
    Box = tuple[slice, slice]

NOTHING, TISSUE, FIRST_ISLET = 0, 1, 2
LARGEST_NUMBER = int(np.iinfo(np.uint16).max)
# What is smaller was hardly meant: a slip of the finger, or a crumb that a cut left.
LEAST_AREA_PX = 4
# Islets farther apart than this share of the smaller one's diameter are two.
LARGEST_GAP_SHARE = 0.5
_LEAST_GAP_PX = 6.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patch:
    """A part of a map, before and after; both uint16 of the size of ``box`` (rows, columns)."""

    box: Box
    before: Map
    after: Map

    @property
    def changes(self) -> bool:
        """Whether anything is other than before."""
        return bool((self.before != self.after).any())

    @property
    def numbers(self) -> frozenset[int]:
        """The islets that gained or lost a pixel."""
        other = self.before != self.after
        both = np.unique(np.concatenate([self.before[other], self.after[other]]))
        return frozenset(int(one) for one in both if one >= FIRST_ISLET)

    @property
    def changes_tissue(self) -> bool:
        """Whether exocrine tissue gained or lost a pixel."""
        return bool(((self.before == TISSUE) != (self.after == TISSUE)).any())


def as_map(classes: NDArray[Any], islets: NDArray[Any]) -> Map:
    """Join a class mask and islet numbers, both ``(height, width)``, to one map.

    Raises
    ------
    ParameterError
        Another size, or more islets than a map can number.
    """
    if classes.shape != islets.shape:
        raise ParameterError(f"expected labels of one size, came {classes.shape} and {islets.shape}", subject="labels")
    if int(islets.max(initial=0)) > LARGEST_NUMBER - FIRST_ISLET:
        raise ParameterError(f"at most {LARGEST_NUMBER - FIRST_ISLET} islets can be edited", subject="labels")
    joined = np.where(classes == EXOCRINE, np.uint16(TISSUE), np.uint16(NOTHING))
    inside = islets > 0
    joined[inside] = islets[inside].astype(np.uint16) + np.uint16(FIRST_ISLET - 1)
    return joined


def number_at(codes: Map, point: tuple[float, float]) -> int:
    """What a map holds at a point x, y; 0 outside of it."""
    column, row = int(np.floor(point[0])), int(np.floor(point[1]))
    inside = 0 <= row < codes.shape[0] and 0 <= column < codes.shape[1]
    return int(codes[row, column]) if inside else NOTHING


def unused_number(codes: Map) -> int:
    """A number that no islet has."""
    top = int(codes.max(initial=0)) + 1
    if top <= LARGEST_NUMBER:
        return max(top, FIRST_ISLET)
    used = np.zeros(LARGEST_NUMBER + 1, dtype=bool)
    used[codes] = True
    used[:FIRST_ISLET] = True
    if used.all():
        raise ParameterError(_("There are too many islets. Save, and open the picture again."))
    return int(used.argmin())


def deleted(codes: Map, numbers: Sequence[int]) -> Patch:
    """Take islets away."""
    return _put(codes, numbers, NOTHING)


def as_tissue(codes: Map, numbers: Sequence[int]) -> Patch:
    """Make islets exocrine tissue."""
    return _put(codes, numbers, TISSUE)


def part_of_tissue(codes: Map, point: tuple[float, float]) -> tuple[Box, NDArray[np.bool_]] | None:
    """The connected exocrine tissue around a point, as a box and the mask in it; None where there is none."""
    from scipy import ndimage

    if number_at(codes, point) != TISSUE:
        return None
    parts = ndimage.label(codes == TISSUE)[0]
    box, mask = _found(parts, [int(parts[int(point[1]), int(point[0])])])
    return box, mask


def tissue_deleted(codes: Map, point: tuple[float, float]) -> Patch:
    """Take the connected exocrine tissue around a point away."""
    return _tissue_put(codes, point, NOTHING)


def tissue_as_islet(codes: Map, point: tuple[float, float]) -> Patch:
    """Make the connected exocrine tissue around a point one islet."""
    return _tissue_put(codes, point, unused_number(codes))


def added(codes: Map, outline: NDArray[np.float64], *, tissue: bool = False) -> Patch:
    """Fill an outline with a new islet, or with tissue; islets that are there already keep their pixels."""
    box, mask = filled(outline, (codes.shape[0], codes.shape[1]))
    before = codes[box]
    free = mask & (before < FIRST_ISLET)
    if int(free.sum()) < LEAST_AREA_PX:
        return Patch(box=box, before=before.copy(), after=before.copy())
    code = np.uint16(TISSUE if tissue else unused_number(codes))
    return Patch(box=box, before=before.copy(), after=np.where(free, code, before))


def redrawn(codes: Map, number: int, outline: NDArray[np.float64]) -> Patch:
    """Give an islet another outline; other islets keep their pixels."""
    new_box, new_mask = filled(outline, (codes.shape[0], codes.shape[1]))
    old_box = _found(codes, [number])[0]
    box = around(new_box, old_box)
    before = codes[box]
    after = before.copy()
    after[before == number] = NOTHING
    inside = np.zeros(after.shape, dtype=bool)
    inside[within(new_box, box)] = new_mask
    free = inside & (after < FIRST_ISLET)
    if int(free.sum()) < LEAST_AREA_PX:
        return Patch(box=box, before=before.copy(), after=before.copy())
    after[free] = number
    return Patch(box=box, before=before.copy(), after=after)


def erased(codes: Map, stroke: NDArray[np.float64], *, radius_px: float) -> Patch:
    """Wipe along a stroke; an islet that falls apart becomes several."""
    box, mask = swept(stroke, radius_px, codes.shape)
    touched = [int(one) for one in np.unique(codes[box][mask]) if one >= FIRST_ISLET]
    whole = around(box, *(_found(codes, [number])[0] for number in touched))
    before = codes[whole]
    after = before.copy()
    after[within(box, whole)][mask] = NOTHING
    return Patch(box=whole, before=before.copy(), after=_apart(codes, after, touched))


def split(codes: Map, line: NDArray[np.float64]) -> Patch:
    """Cut every islet that a line crosses; each pixel on the line goes to the nearer part."""
    from scipy import ndimage

    box, mask = swept(line, 1.0, codes.shape)
    crossed = [int(one) for one in np.unique(codes[box][mask]) if one >= FIRST_ISLET]
    whole = around(box, *(_found(codes, [number])[0] for number in crossed))
    before = codes[whole]
    after, cut = before.copy(), np.zeros(before.shape, dtype=bool)
    cut[within(box, whole)] = mask
    next_number = unused_number(codes)
    for number in crossed:
        at, islet = _found(before, [number])
        parts, parts_n = ndimage.label(islet & ~cut[at])
        sizes_px = np.bincount(parts.ravel(), minlength=parts_n + 1)[1:]
        kept = np.flatnonzero(sizes_px >= LEAST_AREA_PX) + 1
        if len(kept) < 2:
            continue
        near = ndimage.distance_transform_edt(~np.isin(parts, kept), return_distances=False, return_indices=True)
        nearest = parts[tuple(near)]
        for part in sorted(kept, key=lambda one: -sizes_px[one - 1])[1:]:
            after[at][islet & (nearest == part)] = next_number
            next_number += 1
    return Patch(box=whole, before=before.copy(), after=after)


def merged(codes: Map, numbers: Sequence[int]) -> Patch:
    """Make one islet of several; a small gap between two of them is bridged.

    Raises
    ------
    ParameterError
        They lie too far apart for one islet.
    """
    from isletnet.ui.editing.bridges import bridged

    box, mask = _found(codes, numbers)
    before = codes[box]
    joined = bridged(np.where(mask, before, 0), largest_gap_share=LARGEST_GAP_SHARE, least_gap_px=_LEAST_GAP_PX)
    free = joined & ((before < FIRST_ISLET) | mask)
    return Patch(box=box, before=before.copy(), after=np.where(free, np.uint16(min(numbers)), before))


def _put(codes: Map, numbers: Sequence[int], code: int) -> Patch:
    box, mask = _found(codes, numbers)
    before = codes[box]
    return Patch(box=box, before=before.copy(), after=np.where(mask, np.uint16(code), before))


def _tissue_put(codes: Map, point: tuple[float, float], code: int) -> Patch:
    part = part_of_tissue(codes, point)
    if part is None:
        raise ParameterError(_("There is no exocrine tissue here."))
    box, mask = part
    return Patch(box=box, before=codes[box].copy(), after=np.where(mask, np.uint16(code), codes[box]))


def _apart(codes: Map, after: Map, numbers: Sequence[int]) -> Map:
    """Number the parts of islets that fell apart: the largest keeps its number, crumbs are dropped."""
    from scipy import ndimage

    next_number = unused_number(codes)
    for number in numbers:
        if not (after == number).any():
            continue
        at, islet = _found(after, [number])
        parts, parts_n = ndimage.label(islet)
        sizes_px = np.bincount(parts.ravel(), minlength=parts_n + 1)[1:]
        for rank, part in enumerate(np.argsort(-sizes_px, kind="stable") + 1):
            if sizes_px[part - 1] < LEAST_AREA_PX:
                after[at][parts == part] = NOTHING
            elif rank:
                after[at][parts == part] = next_number
                next_number += 1
    return after


def _found(codes: NDArray[Any], numbers: Sequence[int]) -> tuple[Box, NDArray[np.bool_]]:
    """The smallest box around islets, and their pixels in it."""
    mask = codes == numbers[0] if len(numbers) == 1 else np.isin(codes, numbers)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ParameterError(_("This islet is not there any more."))
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return box, mask[box]
