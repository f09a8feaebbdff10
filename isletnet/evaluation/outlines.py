"""How far outlines run apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from isletnet.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def outline_distances(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Measure how far the outline of one mask runs from that of another.

    Parameters
    ----------
    found, truth
        Bool ``(height, width)``; beyond the edges all is outside. Neither is empty.

    Returns
    -------
    ndarray
        float64 ``(height, width)``, px: at each pixel of the found outline its distance to the reference's outline,
        above 0 outside of it; NaN elsewhere. A mask grown by ``k`` px gives ``k``.

    Raises
    ------
    ParameterError
        A mask is empty or the shapes differ.
    """
    if found.shape != truth.shape or not (found.any() and truth.any()):
        raise ParameterError("two masks of one shape with at least a pixel each are needed")
    framed = np.pad(truth, 1)
    outside = ndimage.distance_transform_edt(~framed)[1:-1, 1:-1]
    # The reference's own outline is its outermost pixels, one from the outside.
    inside = ndimage.distance_transform_edt(framed)[1:-1, 1:-1] - 1
    outline = found & ~ndimage.binary_erosion(found)
    return np.where(outline, np.where(truth, -inside, outside), np.nan)
