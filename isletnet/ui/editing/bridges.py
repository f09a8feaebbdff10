"""One islet of several that lie side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from isletnet.errors import ParameterError
from isletnet.ui.i18n import _

if TYPE_CHECKING:
    from numpy.typing import NDArray


def bridged(numbers: NDArray[Any], *, largest_gap_share: float, least_gap_px: float) -> NDArray[np.bool_]:
    """Join islets to one connected mask.

    Parameters
    ----------
    numbers
        ``(height, width)``, 0 where none of the islets to join is.
    largest_gap_share
        The widest gap, as a share of the smaller one's equal-area diameter.
    least_gap_px
        A gap up to this is bridged in any case.

    Returns
    -------
    ndarray
        Bool of the same shape: the islets, and straight bridges between them, half as wide as the smaller one.

    Raises
    ------
    ParameterError
        A gap is too wide.
    """
    from scipy import ndimage

    mask = numbers > 0
    while True:
        parts, parts_n = ndimage.label(mask)
        if parts_n < 2:
            return mask
        areas_px = np.bincount(parts.ravel())[1:]
        smallest = int(areas_px.argmin()) + 1
        one, others = parts == smallest, (parts > 0) & (parts != smallest)
        away, nearest = ndimage.distance_transform_edt(~others, return_indices=True)
        place = np.unravel_index(np.where(one, away, np.inf).argmin(), one.shape)
        diameter_px = 2 * float(np.sqrt(areas_px[smallest - 1] / np.pi))
        # Neighbours are one pixel apart without a gap.
        gap_px = float(away[place]) - 1.0
        if gap_px > max(least_gap_px, largest_gap_share * diameter_px):
            raise ParameterError(_("These islets are too far apart to be one. Draw the part between them first."))
        ends = np.array([place, [int(axis[place]) for axis in nearest]], dtype=float)
        mask = mask | _bar(ends, max(1.0, diameter_px / 4), mask.shape)


def _bar(ends: NDArray[np.float64], radius_px: float, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    (from_y, from_x), (dy, dx) = ends[0], ends[1] - ends[0]
    along = ((x - from_x) * dx + (y - from_y) * dy) / max(dx * dx + dy * dy, 1e-12)
    across = np.abs((x - from_x) * dy - (y - from_y) * dx) / max(float(np.hypot(dx, dy)), 1e-12)
    bar: NDArray[np.bool_] = (along >= 0) & (along <= 1) & (across <= radius_px)
    return bar
