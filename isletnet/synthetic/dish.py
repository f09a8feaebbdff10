"""The dish: islets and exocrine tissue dropped where they find a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from isletnet.synthetic.islets import IsletShape, Solid, draw_diameters_um, grow_exocrine, grow_islet

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueIslet:
    """One drawn islet: its id in `Scene.islets`, true volume and visible area."""

    number: int
    volume_um3: float
    area_px: int
    shape: str
    stain_strength: float


@dataclass(slots=True)
class Dish:
    """Maps that solids are dropped into, each ``(height, width)``; changed in place while a scene is made."""

    islet_um: NDArray[np.float32]
    exocrine_um: NDArray[np.float32]
    islets: NDArray[np.int32]
    strength: NDArray[np.float32]
    exocrine_strength: NDArray[np.float32]


def _window(
    solid: Solid, row: int, column: int, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Slices into the picture and into the solid for a centre at (row, column)."""
    height, width = solid.thickness_um.shape
    top, left = row + solid.top_px, column + solid.left_px
    r0, r1 = max(top, 0), min(top + height, shape[0])
    c0, c1 = max(left, 0), min(left + width, shape[1])
    if r0 >= r1 or c0 >= c1:
        return None
    return (slice(r0, r1), slice(c0, c1)), (slice(r0 - top, r1 - top), slice(c0 - left, c1 - left))


def _place(
    rng: np.random.Generator,
    islets: NDArray[np.int32],
    solid: Solid,
    anchors: list[tuple[int, int, float]],
    touch: float,
) -> tuple[int, int] | None:
    """Find a free place, sometimes right beside an islet that is there already."""
    height, width = islets.shape
    own_px = float(np.sqrt((solid.thickness_um > 0).sum() / np.pi))
    for _ in range(12):
        if anchors and rng.random() < touch:
            row, column, radius_px = anchors[int(rng.integers(len(anchors)))]
            angle, reach = rng.uniform(0, 2 * np.pi), (radius_px + own_px) * rng.uniform(0.86, 1.12)
            row, column = int(row + reach * np.sin(angle)), int(column + reach * np.cos(angle))
        else:
            row, column = int(rng.uniform(-0.02, 1.02) * height), int(rng.uniform(-0.02, 1.02) * width)
        window = _window(solid, row, column, (height, width))
        if window is None:
            continue
        inside = solid.thickness_um[window[1]] > 0
        if not inside.any():
            continue
        if ((islets[window[0]] > 0) & inside).sum() < 0.1 * inside.sum():
            anchors.append((row, column, own_px))
            return row, column
    return None


def sow_islets(rng: np.random.Generator, dish: Dish, um_per_px: float, islets_n: int, touch: float) -> list[TrueIslet]:
    """Drop islets of drawn sizes into the dish, the largest first.

    Parameters
    ----------
    rng
        Source of randomness.
    dish
        Changed in place.
    um_per_px
        Pixel size.
    islets_n
        How many to try; one that finds no place is left out.
    touch
        Probability that an islet lies down beside another one.

    Returns
    -------
    list of TrueIslet
        In order of their numbers.
    """
    shape = cast("tuple[int, int]", dish.islets.shape)
    diameters_um = draw_diameters_um(rng, islets_n)
    small = rng.random(islets_n) < 0.22
    diameters_um[small] = rng.uniform(14, 70, int(small.sum()))
    base = rng.uniform(0.75, 1.15)
    spread = rng.uniform(0.03, 0.22)
    kinds = ["smooth", "lobed", "rough", "fragment"]
    mix = rng.dirichlet([2.0, 1.6, 1.6, 0.5])
    anchors: list[tuple[int, int, float]] = []
    grown: list[TrueIslet] = []
    for diameter_um in sorted(diameters_um, reverse=True):
        solid = grow_islet(rng, float(diameter_um), um_per_px, cast("IsletShape", kinds[int(rng.choice(4, p=mix))]))
        place = _place(rng, dish.islets, solid, anchors, touch)
        window = None if place is None else _window(solid, *place, shape)
        if window is None:
            continue
        there, here = window
        thickness_um = solid.thickness_um[here]
        # What lies there already stays on top; the truth holds the visible part's outline and the whole volume.
        free = (thickness_um > 0) & (dish.islets[there] == 0)
        number = len(grown) + 1
        strength = float(np.clip(rng.normal(base, spread), 0.35, 1.5))
        if rng.random() < 0.05:
            strength *= rng.uniform(0.35, 0.7)
        dish.islet_um[there] += thickness_um
        dish.islets[there][free] = number
        dish.strength[there][free] = strength
        grown.append(
            TrueIslet(
                number=number,
                volume_um3=solid.volume_um3,
                area_px=int(free.sum()),
                shape=solid.shape,
                stain_strength=strength,
            )
        )
    return grown


def sow_exocrine(rng: np.random.Generator, dish: Dish, um_per_px: float, clumps_n: int) -> None:
    """Drop clumps of exocrine tissue into the dish (changed in place), scattered or gathered, some beside islets."""
    shape = cast("tuple[int, int]", dish.islets.shape)
    centre = rng.uniform(0, 1, 2) * shape
    gathered = rng.random() < 0.5
    contrast = rng.uniform(0.75, 1.2)
    positions = np.argwhere(dish.islets > 0)
    for _ in range(clumps_n):
        diameter_um = float(np.clip(np.exp(rng.normal(np.log(55), 0.55)), 16, 330))
        solid = grow_exocrine(rng, diameter_um, um_per_px)
        if len(positions) and rng.random() < 0.12:
            row, column = positions[int(rng.integers(len(positions)))] + rng.integers(-30, 31, 2)
        elif gathered:
            row, column = rng.normal(centre, np.array(shape) * 0.22)
        else:
            row, column = rng.uniform(0, 1, 2) * shape
        window = _window(solid, int(row), int(column), shape)
        if window is None:
            continue
        there, here = window
        thickness_um = solid.thickness_um[here]
        dish.exocrine_um[there] = np.maximum(dish.exocrine_um[there], thickness_um)
        strength = float(np.clip(rng.normal(contrast, 0.25), 0.35, 1.6))
        np.maximum(
            dish.exocrine_strength[there], (thickness_um > 0) * np.float32(strength), out=dish.exocrine_strength[there]
        )
