"""How much exocrine tissue there is: the volume that purity by volume needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy import ndimage

from isletnet.analysis.shapes.distance import half_heights
from isletnet.analysis.volume import vext
from isletnet.schemas import EXOCRINE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def exocrine_volume_um3(classes: NDArray[np.uint8], *, um_per_px: float) -> float:
    """Volume of all exocrine tissue as the spherical extrusion (Vext) of its parts.

    Of the estimators only Vext does not depend on whether a clump counts as one part or as many; a sphere of
    equal area would make one large clump three times too heavy.

    Parameters
    ----------
    classes
        Cleaned classes, uint8 ``(height, width)``.
    um_per_px
        Pixel size.

    Returns
    -------
    float
        um³, 0 without exocrine tissue.
    """
    labels, _ = ndimage.label(classes == EXOCRINE)
    boxes = ndimage.find_objects(labels)
    masks = [labels[box] == number for number, box in enumerate(boxes, start=1)]
    return float(sum(vext(heights, um_per_px=um_per_px) for heights in half_heights(masks)))
