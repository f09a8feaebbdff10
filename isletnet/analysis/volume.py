"""From one outline to a volume: every estimator of section 2 of the domain notes, and the Ricordi tables.

Each takes pixels and the pixel size, and gives um³. None is the truth: an islet lying flat is overstated by all,
and a single islet is known to some 15-20 % whatever the method. Never add up volumes of different methods.
Areas, axes and diameters may be numbers or arrays. A ``mask`` is boolean ``(height, width)``, and ``ellipse`` its
`isletnet.analysis.shapes.shape.moments`; ``heights`` come from `isletnet.analysis.shapes.distance.half_heights`.
A pixel size of NaN (no calibration) gives NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from isletnet.analysis.shapes.shape import offsets
from isletnet.errors import ParameterError
from isletnet.schemas import IEQ_UM3

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from isletnet.analysis.shapes.distance import HalfHeights
    from isletnet.analysis.shapes.shape import Moments

    Floats = NDArray[np.float64]

RicordiTable = Literal["long", "short", "extended"]

# Factors of the classes 50-100, 100-150, ... 350-400 um (Ricordi 1990); 350-400 also serves all that is larger.
_RICORDI_LONG = (0.167, 0.648, 1.685, 3.500, 6.315, 10.352, 15.833)
_RICORDI_SHORT = (1 / 6, 1 / 1.5, 1.7, 3.5, 6.3, 10.4, 15.8)
_CLASS_UM = 50.0

# Islets are flatter the larger they are: the fitted correction of a half height (LMCF IsletVolume).
_FLATTENING_SCALE, _FLATTENING_UM = 1.07541, 188.65


def sphere(area_px: ArrayLike, *, um_per_px: float) -> Floats:
    """Volume of the sphere whose great circle has the area: ``4 A^1.5 / (3 sqrt(pi))``, um³."""
    area_um2 = np.asarray(area_px, float) * um_per_px**2
    return np.asarray(4 / (3 * np.sqrt(np.pi)) * area_um2**1.5)


def prolate(major_axis_px: ArrayLike, minor_axis_px: ArrayLike, *, um_per_px: float) -> Floats:
    """Volume of the ellipsoid turned about its major axis: ``pi/6 major minor²`` of full moment axes, um³."""
    major, minor = np.asarray(major_axis_px, float), np.asarray(minor_axis_px, float)
    return np.asarray(np.pi / 6 * major * minor**2 * um_per_px**3)


def oblate(major_axis_px: ArrayLike, minor_axis_px: ArrayLike, *, um_per_px: float) -> Floats:
    """Volume of the ellipsoid turned about its minor axis: ``pi/6 major² minor`` of full moment axes, um³."""
    return prolate(minor_axis_px, major_axis_px, um_per_px=um_per_px)


def mean_diameter(major_axis_px: ArrayLike, minor_axis_px: ArrayLike, *, um_per_px: float) -> Floats:
    """Volume of the sphere with the mean of the full moment axes as diameter, um³."""
    mean_px = (np.asarray(major_axis_px, float) + np.asarray(minor_axis_px, float)) / 2
    return prolate(mean_px, mean_px, um_per_px=um_per_px)


def revolution(mask: NDArray[np.bool_], ellipse: Moments, *, um_per_px: float) -> float:
    """Volume of the solid of revolution about the principal axis: ``pi/4 sum(w² dx)``, um³.

    The chord ``w`` across the axis is the sum of its segments inside the outline; gaps are not bridged. Every
    pixel is shared between the two slabs next to its centre, or else the pixel grid beats with turned slabs.
    """
    angle = -np.radians(ellipse.orientation_deg)
    reach = int(np.hypot(*mask.shape)) + 1
    chord_px = np.zeros(2 * reach + 1)
    for dx, dy in offsets(mask, ellipse.centroid_x_px, ellipse.centroid_y_px):
        position = dx * np.cos(angle) + dy * np.sin(angle) + reach
        slab = position.astype(np.intp)
        upper = np.bincount(slab, position - slab, len(chord_px))
        chord_px += np.bincount(slab, minlength=len(chord_px)) - upper
        chord_px[1:] += upper[:-1]
    return float(np.pi / 4 * np.sum(chord_px**2) * um_per_px**3)


def nucleator(mask: NDArray[np.bool_], ellipse: Moments, *, um_per_px: float) -> float:
    """Volume by the nucleator: ``4/3 pi mean(l³)`` over rays from the centroid in all directions, um³.

    Over all directions, with the inner end of a segment counted negative, the mean of ``l³`` is ``3 / (2 pi)``
    times the integral of the distance from the centroid over the outline; so the volume is twice that integral.
    On a silhouette it is a heuristic (Gundersen 1988 has sections).
    """
    blocks = offsets(mask, ellipse.centroid_x_px, ellipse.centroid_y_px)
    return 2 * sum(float(np.sqrt(dx * dx + dy * dy).sum()) for dx, dy in blocks) * um_per_px**3


def vext(heights: HalfHeights, *, um_per_px: float) -> float:
    """Volume of the spherical extrusion, the union of balls inscribed in the outline: ``2 sum(h)``, um³.

    Exact for a disc (the sphere) and an ellipse (the prolate ellipsoid), and hardly changed when touching islets
    are not split.
    """
    return float(2 * heights.values_px.sum(dtype=np.float64) * heights.sample_area_px * um_per_px**3)


def vmod(heights: HalfHeights, *, um_per_px: float) -> float:
    """Volume of the spherical extrusion with large heights flattened: ``h' = 1.07541 * 188.65 ln(1 + h/188.65)``, um³.

    Heights are in um before the logarithm.
    """
    relative = heights.values_px * np.float32(um_per_px / _FLATTENING_UM)
    flattened_um = _FLATTENING_SCALE * _FLATTENING_UM * np.log(1 + relative).sum(dtype=np.float64)
    return float(2 * flattened_um * heights.sample_area_px * um_per_px**2)


def ieq(volume_um3: ArrayLike) -> Floats:
    """Islet equivalents of a volume in um³: spheres of 150 um diameter."""
    return np.asarray(np.asarray(volume_um3, float) / IEQ_UM3)


def ricordi_ieq(diameter_um: ArrayLike, *, table: RicordiTable) -> Floats:
    """Islet equivalents by the size classes of Ricordi 1990, half-open ``[lower, upper)``.

    Parameters
    ----------
    diameter_um
        Diameter of the circle of equal area.
    table
        ``long`` has three decimals, ``short`` the rounded factors; both give the last factor to all islets of
        350 um or more. ``extended`` is ``long`` up to 400 um and its rule beyond (not in the paper): the mean of
        the volumes at the two bounds of the class.

    Returns
    -------
    NDArray
        Factors, 0 below 50 um.

    Raises
    ------
    ParameterError
        If the table is unknown.
    """
    if table not in ("long", "short", "extended"):
        raise ParameterError(f"must be long, short or extended, but is {table!r}", subject="table")
    diameter = np.asarray(diameter_um, float)
    size_class = np.floor(diameter / _CLASS_UM)
    factors = np.array([0.0, *(_RICORDI_SHORT if table == "short" else _RICORDI_LONG)])
    result = factors[np.clip(np.nan_to_num(size_class), 0, len(factors) - 1).astype(np.intp)]
    if table == "extended":
        lower, upper = size_class * _CLASS_UM, (size_class + 1) * _CLASS_UM
        result = np.where(size_class >= len(factors), (lower**3 + upper**3) / (2 * 150.0**3), result)
    return np.where(np.isnan(diameter), np.nan, result)
