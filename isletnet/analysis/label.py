"""Class mask to separate islets: rims, debris and holes mended, touching islets told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from isletnet.analysis.shapes.distance import dilated
from isletnet.analysis.shapes.shape import framed
from isletnet.analysis.shapes.touching import lobes
from isletnet.errors import ParameterError
from isletnet.schemas import BACKGROUND, EXOCRINE, ISLET, LabelledIslets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isletnet.schemas import Segmentation

    Box = tuple[slice, slice]

# Drawn antialiased, the edge of an islet falls into the exocrine class; so may a network's unsure pixels.
RIM_UM = 6.0
# A hole larger than this share of the islet around it is no defect of the mask: a ring of islets stays a ring.
LARGEST_HOLE_FRACTION = 0.25


def label(
    segmentation: Segmentation, *, um_per_px: float, smallest_particle_um: float, split_touching: bool = True
) -> LabelledIslets:
    """Clean a class mask and number its islets.

    In this order: exocrine rims thinner than `RIM_UM` along islets become background; particles smaller than a
    circle of ``smallest_particle_um`` go to the class around them (islet specks to exocrine tissue where that is
    most of their surroundings, everything else to background); holes are filled that are no larger than
    `LARGEST_HOLE_FRACTION` of the islet around them, with whatever lies in them; islets that touch at a clear
    neck are split (see `isletnet.analysis.shapes.touching`). A split changes ids only, never classes, so a pixel has an
    id exactly where its class is islet. Islets are 4-connected.

    Parameters
    ----------
    segmentation
        The class mask; it is not modified.
    um_per_px
        Pixel size; a guess will do, as it only scales the cleaning.
    smallest_particle_um
        Diameter of the circle that has the area of the smallest particle kept.
    split_touching
        Whether to split islets at necks.

    Returns
    -------
    LabelledIslets
        Ids run from 1 to n in raster order of each islet's first pixel. No islet at all is a result too.

    Raises
    ------
    ParameterError
        If ``um_per_px`` is not above 0, or ``smallest_particle_um`` is negative.
    """
    if not (np.isfinite(um_per_px) and um_per_px > 0):
        raise ParameterError(f"must be a number above 0, but is {um_per_px}; give the pixel size", subject="um_per_px")
    if not smallest_particle_um >= 0:
        message = f"must be 0 or more, but is {smallest_particle_um}; give a diameter in micrometres"
        raise ParameterError(message, subject="smallest_particle_um")
    smallest_px = np.pi / 4 * (smallest_particle_um / um_per_px) ** 2
    classes = _without_rims(segmentation.classes, um_per_px)
    _drop_exocrine_specks(classes, smallest_px)
    islets = _drop_islet_specks(classes, smallest_px)
    boxes = [(number, box) for number, box in enumerate(ndimage.find_objects(islets), start=1) if box is not None]
    _fill_holes(classes, islets, boxes)
    masks = [islets[box] == number for number, box in boxes]
    pieces = lobes(masks, um_per_px=um_per_px) if split_touching else [mask.astype(np.int32) for mask in masks]
    n = _number(islets, [box for _, box in boxes], pieces)
    return LabelledIslets(classes=classes, islets=islets, islets_n=n)


def _without_rims(classes: NDArray[np.uint8], um_per_px: float) -> NDArray[np.uint8]:
    """Copy of the classes in which thin exocrine rims along islets are background."""
    cleaned = classes.copy()
    exocrine, islet = classes == EXOCRINE, classes == ISLET
    if not (exocrine.any() and islet.any()):
        return cleaned
    # A disc of this radius just fits into a band as wide as the rim; where it does not fit, the band is a rim.
    radius_px = max(1.0, (RIM_UM / um_per_px - 1) / 2)
    rim = exocrine & ~dilated(~dilated(~exocrine, radius_px), radius_px)
    rim &= dilated(islet, max(1.0, RIM_UM / um_per_px))
    cleaned[rim] = BACKGROUND
    return cleaned


def _drop_exocrine_specks(classes: NDArray[np.uint8], smallest_px: float) -> None:
    """Turn exocrine particles that are too small into background, in place."""
    exocrine = classes == EXOCRINE
    if not exocrine.any():
        return
    parts = ndimage.label(exocrine)[0][exocrine]
    is_speck = np.bincount(parts) < smallest_px
    classes[exocrine] = np.where(is_speck[parts], BACKGROUND, EXOCRINE)


def _drop_islet_specks(classes: NDArray[np.uint8], smallest_px: float) -> NDArray[np.int32]:
    """Turn islet particles that are too small into their surroundings, in place; number the others, with gaps."""
    islet = classes == ISLET
    parts: NDArray[np.int32] = ndimage.label(islet, output=np.int32)[0]
    inside = parts[islet]
    is_speck = np.bincount(inside) < smallest_px
    specks = np.flatnonzero(islet)[is_speck[inside]]
    ids = parts.ravel()[specks]
    rows, columns = np.divmod(specks, classes.shape[1])
    surroundings = np.zeros((len(is_speck), 3))
    wider = np.pad(classes, 1)
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        np.add.at(surroundings, (ids, wider[rows + dy, columns + dx]), 1)
    is_embedded = surroundings[:, EXOCRINE] > surroundings[:, BACKGROUND]
    classes[rows, columns] = np.where(is_embedded[ids], EXOCRINE, BACKGROUND)
    parts[rows, columns] = 0
    return parts


def _fill_holes(classes: NDArray[np.uint8], islets: NDArray[np.int32], boxes: list[tuple[int, Box]]) -> None:
    """Give small holes, and whatever lies in them, to the islet around them, in place."""
    for number, box in boxes:
        inside = framed(islets[box] == number)
        # What is not the islet falls into the outside, which holds the corner of the margin, and the holes.
        parts, n = ndimage.label(~inside, structure=np.ones((3, 3)))
        if n < 2:
            continue
        enclosed = ~inside & (parts != parts[0, 0])
        holes = parts[enclosed]
        is_small = np.bincount(holes) <= LARGEST_HOLE_FRACTION * np.count_nonzero(inside)
        enclosed[enclosed] = is_small[holes]
        filled = enclosed[1:-1, 1:-1]
        islets[box][filled] = number
        classes[box][filled] = ISLET


def _number(islets: NDArray[np.int32], boxes: list[Box], pieces: list[NDArray[np.int32]]) -> int:
    """Give pieces the ids 1..n by first pixel, in place; ``pieces`` maps, for each box, an islet's pieces from 1."""
    found: list[tuple[tuple[int, int], Box, NDArray[np.bool_]]] = []
    for (rows, columns), parts in zip(boxes, pieces, strict=True):
        # An islet in a hole of another that was filled is gone: its map is empty.
        for part, (inner_rows, inner_columns) in enumerate(ndimage.find_objects(parts), start=1):
            mask = parts[inner_rows, inner_columns] == part
            top, left = rows.start + inner_rows.start, columns.start + inner_columns.start
            box = slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1])
            found.append(((top, left + int(mask[0].argmax())), box, mask))
    found.sort(key=lambda entry: entry[0])
    for number, (_, box, mask) in enumerate(found, start=1):
        islets[box][mask] = number
    return len(found)
