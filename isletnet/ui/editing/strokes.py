"""Lines that were drawn, as pixels: a filled outline, the trace of a stroke, and the boxes around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isletnet.errors import ParameterError
from isletnet.ui.i18n import _

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Box = tuple[slice, slice]


def filled(outline: NDArray[np.float64], shape_px: tuple[int, int]) -> tuple[Box, NDArray[np.bool_]]:
    """Pixels whose centres lie inside an outline, as a box and the mask in it."""
    from skimage.draw import polygon2mask

    box = box_of(outline, 1.0, shape_px)
    corner = np.array([box[1].start, box[0].start])
    size = box[0].stop - box[0].start, box[1].stop - box[1].start
    # Centres of pixels lie at whole numbers there.
    mask: NDArray[np.bool_] = polygon2mask(size, (outline - corner - 0.5)[:, ::-1])  # type: ignore[no-untyped-call]
    return box, mask


def box_of(points: NDArray[np.float64], margin_px: float, shape_px: tuple[int, ...]) -> Box:
    """The part of a picture within a margin around points; raises ``ParameterError`` where that is none of it."""
    low = np.floor(points.min(axis=0) - margin_px).astype(int)
    high = np.ceil(points.max(axis=0) + margin_px).astype(int) + 1
    (left, top), (right, bottom) = np.maximum(low, 0), np.minimum(high, [shape_px[1], shape_px[0]])
    if left >= right or top >= bottom:
        raise ParameterError(_("This lies outside of the picture."))
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def swept(stroke: NDArray[np.float64], radius_px: float, shape_px: tuple[int, ...]) -> tuple[Box, NDArray[np.bool_]]:
    """Pixels whose centres a disc meets on its way along a stroke."""
    box = box_of(stroke, radius_px, shape_px)
    mask = np.zeros([side.stop - side.start for side in box], dtype=bool)
    ends = stroke if len(stroke) > 1 else np.repeat(stroke, 2, axis=0)
    for pair in np.stack([ends[:-1], ends[1:]], axis=1):
        if (pair.max(axis=0) + radius_px < 0).any() or (pair.min(axis=0) - radius_px > shape_px[1::-1]).any():
            continue
        near = box_of(pair, radius_px, shape_px)
        y, x = np.mgrid[near] + 0.5
        (from_x, from_y), (dx, dy) = pair[0], pair[1] - pair[0]
        along = (x - from_x) * dx + (y - from_y) * dy
        share = np.clip(along / max(dx * dx + dy * dy, 1e-12), 0.0, 1.0)
        away = (x - from_x - share * dx) ** 2 + (y - from_y - share * dy) ** 2
        mask[within(near, box)] |= away <= radius_px**2
    return box, mask


def around(*boxes: Box) -> Box:
    """The smallest box around boxes."""
    rows, columns = zip(*boxes, strict=True)
    return (
        slice(min(one.start for one in rows), max(one.stop for one in rows)),
        slice(min(one.start for one in columns), max(one.stop for one in columns)),
    )


def within(inner: Box, outer: Box) -> Box:
    """A box as seen from the corner of another one."""
    return (
        slice(inner[0].start - outer[0].start, inner[0].stop - outer[0].start),
        slice(inner[1].start - outer[1].start, inner[1].stop - outer[1].start),
    )
