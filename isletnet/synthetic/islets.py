"""Islets and exocrine tissue as solids with known volume.

A solid lies between an upper and a lower surface over the picture plane. Both surfaces are sampled on the
pixel grid, so that volume, thickness and outline are exact for what is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from isletnet.synthetic.noise import smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

IsletShape = Literal["smooth", "lobed", "rough", "fragment"]

# Weibull of human islet diameters: threshold, scale and shape that reproduce the published size classes
# (domain: 50 um cut, 84 um, 1.18).
WEIBULL_CUT_UM, WEIBULL_SCALE_UM, WEIBULL_SHAPE = 50.0, 84.0, 1.18


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solid:
    """Thickness in um, float32 ``(height, width)`` on the pixel grid, and where its upper left corner goes."""

    thickness_um: NDArray[np.float32]
    top_px: int
    left_px: int
    volume_um3: float
    shape: str


def draw_diameters_um(rng: np.random.Generator, islets_n: int) -> NDArray[np.float64]:
    """Draw islet diameters from the published Weibull, cut at 600 um."""
    return np.minimum(WEIBULL_CUT_UM + WEIBULL_SCALE_UM * rng.weibull(WEIBULL_SHAPE, islets_n), 600.0)


def _lumps(
    rng: np.random.Generator, shape: IsletShape, semi_px: NDArray[np.float64], um_per_px: float
) -> NDArray[np.float64]:
    """Rows of x, y, z, radius_x, radius_y, radius_z in px: the main body first."""
    mean_px = float(np.sqrt(semi_px[0] * semi_px[1]))
    body = [[0.0, 0.0, 0.0, *semi_px]]
    counts = {"smooth": (0, 4), "lobed": (3, 9), "rough": (14, 34), "fragment": (2, 6)}
    sizes = {"smooth": (0.15, 0.4), "lobed": (0.3, 0.62), "rough": (0.07, 0.2), "fragment": (0.2, 0.5)}
    low, high = sizes[shape]
    for _ in range(int(rng.integers(*counts[shape]))):
        angle = rng.uniform(0, 2 * np.pi)
        radius_px = max(mean_px * rng.uniform(low, high), 4.0 / um_per_px)
        reach = rng.uniform(0.72, 1.02)
        x, y = semi_px[0] * reach * np.cos(angle), semi_px[1] * reach * np.sin(angle)
        z = semi_px[2] * rng.uniform(-0.4, 0.4)
        body.append([x, y, z, *(radius_px * rng.uniform(0.75, 1.25, 3))])
    return np.array(body)


def grow_islet(rng: np.random.Generator, diameter_um: float, um_per_px: float, shape: IsletShape) -> Solid:
    """Grow one islet: an ellipsoid with lumps, warped, perhaps broken.

    Parameters
    ----------
    rng
        Source of randomness.
    diameter_um
        Diameter of the circle with about the area of the main body.
    um_per_px
        Pixel size of the grid.
    shape
        ``smooth``, ``lobed`` (like fused cell groups), ``rough`` (granular rim) or ``fragment``.

    Returns
    -------
    Solid
        Its ``volume_um3`` is the sum of the drawn thickness.
    """
    aspect = rng.uniform(0.55, 1.0) if rng.random() < 0.5 else rng.uniform(0.8, 1.0)
    radius_px = diameter_um / 2 / um_per_px
    semi_px = radius_px * np.array([aspect**-0.5, aspect**0.5, np.sqrt(aspect) * rng.uniform(0.62, 1.0)])
    lumps = _lumps(rng, shape, semi_px, um_per_px)
    half_px = int(np.ceil(semi_px[0] * 1.75 + 6))
    side = 2 * half_px + 1
    y, x = np.mgrid[-half_px : half_px + 1, -half_px : half_px + 1].astype(np.float32)
    warp_px = radius_px * rng.uniform(0.01, 0.09)
    scale_px = max(radius_px * rng.uniform(0.3, 0.8), 3.0)
    xs = x + warp_px * smooth_noise(rng, (side, side), scale_px)
    ys = y + warp_px * smooth_noise(rng, (side, side), scale_px)
    if shape == "rough":
        fine_px = max(5.0 / um_per_px, 1.5)
        ripple = min(2.0 / um_per_px, radius_px * 0.06)
        xs += ripple * smooth_noise(rng, (side, side), fine_px)
        ys += ripple * smooth_noise(rng, (side, side), fine_px)
    turn = rng.uniform(0, np.pi)
    u, v = np.cos(turn) * xs + np.sin(turn) * ys, -np.sin(turn) * xs + np.cos(turn) * ys
    upper = np.full((side, side), -np.inf, dtype=np.float32)
    lower = np.full((side, side), np.inf, dtype=np.float32)
    for cx, cy, cz, rx, ry, rz in lumps:
        inside = 1 - ((u - cx) / rx) ** 2 - ((v - cy) / ry) ** 2
        rise = rz * np.sqrt(np.clip(inside, 0, None))
        np.maximum(upper, np.where(inside > 0, cz + rise, -np.inf), out=upper)
        np.minimum(lower, np.where(inside > 0, cz - rise, np.inf), out=lower)
    filled = upper > lower
    if shape == "fragment":
        cut = rng.uniform(-0.15, 0.55) * radius_px
        filled &= u + 0.18 * radius_px * smooth_noise(rng, (side, side), max(radius_px * 0.4, 2.0)) < cut
    thickness_um = np.where(filled, upper - lower, 0).astype(np.float32) * np.float32(um_per_px)
    return Solid(
        thickness_um=thickness_um,
        top_px=-half_px,
        left_px=-half_px,
        volume_um3=float(thickness_um.sum(dtype=np.float64)) * um_per_px**2,
        shape=shape,
    )


def grow_exocrine(rng: np.random.Generator, diameter_um: float, um_per_px: float) -> Solid:
    """Grow a clump of acinar tissue: an irregular pile of grains, ragged at the rim."""
    radius_px = diameter_um / 2 / um_per_px
    half_px = int(np.ceil(radius_px * 1.9 + 4))
    side = 2 * half_px + 1
    y, x = np.mgrid[-half_px : half_px + 1, -half_px : half_px + 1].astype(np.float32)
    warp_px = radius_px * rng.uniform(0.15, 0.4)
    x = x + warp_px * smooth_noise(rng, (side, side), max(radius_px * 0.6, 3.0))
    y = y + warp_px * smooth_noise(rng, (side, side), max(radius_px * 0.6, 3.0))
    aspect, turn = rng.uniform(0.4, 1.0), rng.uniform(0, np.pi)
    u = (np.cos(turn) * x + np.sin(turn) * y) * np.float32(aspect**0.5)
    v = (-np.sin(turn) * x + np.cos(turn) * y) / np.float32(aspect**0.5)
    inside = 1 - (u**2 + v**2) / radius_px**2
    grain_px = max(rng.uniform(8, 18) / um_per_px, 1.2)
    grains = smooth_noise(rng, (side, side), grain_px) * 0.5 + smooth_noise(rng, (side, side), grain_px * 2.2) * 0.5
    pile = np.clip(inside, 0, None) ** 0.35 + 0.35 * grains * (inside > 0)
    height_um = min(diameter_um * 0.5, rng.uniform(15, 70))
    thickness_um = np.where((inside > 0) & (pile > 0.22), np.clip(pile, 0.2, None) * height_um, 0).astype(np.float32)
    return Solid(
        thickness_um=thickness_um,
        top_px=-half_px,
        left_px=-half_px,
        volume_um3=float(thickness_um.sum(dtype=np.float64)) * um_per_px**2,
        shape="exocrine",
    )
