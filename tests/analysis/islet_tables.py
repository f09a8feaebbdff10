"""Tables and class pictures with known numbers, for the tests of the summary."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from isletnet.analysis.summarise import ImageNumbers, image_numbers
from isletnet.schemas import EXOCRINE, IEQ_METHODS, ISLET, VOLUME_METHODS, Disagreement, QualityWarning

# The published sizes: Weibull of origin 0, seen above 50 um.
SHAPE, SCALE_UM, CUT_UM = 1.31, 104.0, 50.0


def published_sizes_um(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Diameters whose chance of being exceeded is `uniform`, by inverting the truncated survival function."""
    return SCALE_UM * ((CUT_UM / SCALE_UM) ** SHAPE - np.log(uniform)) ** (1.0 / SHAPE)


def ricordi(diameter_um: NDArray[np.float64]) -> NDArray[np.float64]:
    """Long factors: the mean volume of the class bounds over that of 150 um; 350-400 beyond, 0 below 50 um."""
    lower = np.clip(np.floor(diameter_um / 50.0) * 50.0, 0.0, 350.0)
    return np.where(diameter_um < 50.0, 0.0, (lower**3 + (lower + 50.0) ** 3) / 2.0 / 150.0**3)


def islet_table(
    diameter_um: ArrayLike,
    *,
    um_per_px: float | None = 1.0,
    touches_border: ArrayLike = False,
    contact: ArrayLike = 0.0,
    solidity: ArrayLike = 0.95,
    smallest_islet_um: float = 50.0,
) -> pd.DataFrame:
    """Discs of given diameters; without calibration the diameters are pixels."""
    diameter = np.asarray(diameter_um, dtype=np.float64)
    volume_um3 = np.pi * diameter**3 / 6.0
    area_um2 = np.pi * diameter**2 / 4.0
    known = 1.0 if um_per_px else np.nan
    columns = {
        "number": np.arange(1, diameter.size + 1),
        "area_px": area_um2 / (um_per_px or 1.0) ** 2,
        "area_um2": area_um2 * known,
        "equal_area_diameter_um": diameter * known,
        "solidity": np.broadcast_to(solidity, diameter.shape),
        "exocrine_contact_fraction": np.broadcast_to(contact, diameter.shape),
    }
    columns |= {f"volume_{method}_um3": volume_um3 * known for method in VOLUME_METHODS}
    columns |= {f"ieq_{method}": (diameter / 150.0) ** 3 * known for method in IEQ_METHODS}
    columns["ieq_ricordi_long"] = ricordi(diameter) * known
    columns["touches_border"] = np.broadcast_to(touches_border, diameter.shape)
    columns["is_islet"] = diameter >= smallest_islet_um if um_per_px else np.ones(diameter.shape, dtype=bool)
    return pd.DataFrame(columns)


def class_picture(islet_px: int, exocrine_parts_px: Sequence[int] = (), side_px: int = 1024) -> NDArray[np.uint8]:
    """Classes with an exact number of islet pixels and exocrine parts of exact areas, each in a band of columns."""
    side_px = max(side_px, math.isqrt(islet_px) + 64)
    classes = np.zeros((side_px, side_px), dtype=np.uint8)
    classes.reshape(-1)[:islet_px] = ISLET
    top = islet_px // side_px + 2
    width = side_px // max(len(exocrine_parts_px), 1)
    for part, area_px in enumerate(exocrine_parts_px):
        band = np.zeros((side_px - top, width - 4), dtype=np.uint8)
        band.reshape(-1)[:area_px] = EXOCRINE
        assert band.sum() == EXOCRINE * area_px, "the picture is too small for its parts"
        classes[top:, part * width : part * width + width - 4] = band
    return classes


def numbers(
    diameter_um: ArrayLike,
    *,
    name: str = "image",
    um_per_px: float | None = 1.0,
    touches_border: ArrayLike = False,
    exocrine_parts_px: Sequence[int] = (),
    exocrine_volume_um3: float | None = 0.0,
    disagreement: Disagreement | None = None,
    warnings: tuple[QualityWarning, ...] = (),
    aliquot: str = "",
) -> ImageNumbers:
    """What the summary needs of an image of discs."""
    table = islet_table(diameter_um, um_per_px=um_per_px, touches_border=touches_border)
    return image_numbers(
        table,
        name=name,
        classes=class_picture(round(table["area_px"].sum()), exocrine_parts_px),
        um_per_px=um_per_px,
        disagreement=disagreement,
        warnings=warnings,
        exocrine_volume_um3=exocrine_volume_um3,
        aliquot=aliquot,
    )
