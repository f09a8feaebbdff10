"""Compose a whole synthetic micrograph with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from scipy import ndimage as ndi

from isletnet.schemas import BACKGROUND, EXOCRINE, ISLET
from isletnet.synthetic import clutter, optics
from isletnet.synthetic.islets import IsletShape, Solid, draw_diameters_um, grow_exocrine, grow_islet
from isletnet.synthetic.noise import blur, smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Exocrine tissue that changes the light less (sum over the channels) is invisible, and no truth holds it.
FAINTEST_LOG_RATIO = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueIslet:
    """One drawn islet: its id in `Scene.islets`, true volume and visible area."""

    number: int
    volume_um3: float
    area_px: int
    shape: str
    stain_strength: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A synthetic micrograph.

    ``pixels`` is uint8 ``(height, width, 3)``; ``classes`` uint8 and ``islets`` int32 ``(height, width)``.
    """

    seed: int
    um_per_px: float
    light: optics.Light
    pixels: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    islets: NDArray[np.int32]
    truth: tuple[TrueIslet, ...]


@dataclass(slots=True)
class _Dish:
    """Maps that solids are dropped into; private to the making of one scene."""

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


def _sow_islets(
    rng: np.random.Generator, dish: _Dish, um_per_px: float, islets_n: int, touch: float
) -> list[TrueIslet]:
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


def _sow_exocrine(rng: np.random.Generator, dish: _Dish, um_per_px: float, clumps_n: int) -> None:
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


def _true_classes(dish: _Dish, visible: NDArray[np.bool_], um_per_px: float) -> NDArray[np.uint8]:
    """Outlines as an expert draws them: clumps rounded, a gap between islets that touch."""
    exocrine = blur(visible.astype(np.float32), 4.0 / um_per_px) > 0.45
    classes = np.where(exocrine, EXOCRINE, BACKGROUND).astype(np.uint8)
    classes[dish.islets > 0] = ISLET
    below, right = dish.islets[:-1] != dish.islets[1:], dish.islets[:, :-1] != dish.islets[:, 1:]
    both_below = (dish.islets[:-1] > 0) & (dish.islets[1:] > 0) & below
    both_right = (dish.islets[:, :-1] > 0) & (dish.islets[:, 1:] > 0) & right
    classes[:-1][both_below] = BACKGROUND
    classes[:, :-1][both_right] = BACKGROUND
    return classes


def make_scene(
    seed: int,
    shape: tuple[int, int] = (1200, 1600),
    um_per_px: float = 2.0,
    *,
    light: optics.Light | None = None,
) -> Scene:
    """Make a synthetic micrograph with exact truth.

    Parameters
    ----------
    seed
        The same seed and arguments give the same bytes.
    shape
        ``(height, width)`` in px.
    um_per_px
        Pixel size.
    light
        Kind of light; None draws one.

    Returns
    -------
    Scene
        Pixels, classes, islet ids and the true volume of each islet.
    """
    rng = np.random.default_rng([seed, 150])
    if light is None:
        light = optics.LIGHTS[int(rng.choice(4, p=[0.56, 0.12, 0.06, 0.26]))]
    area_mm2 = shape[0] * shape[1] * (um_per_px / 1000) ** 2
    dish = _Dish(
        islet_um=np.zeros(shape, np.float32),
        exocrine_um=np.zeros(shape, np.float32),
        islets=np.zeros(shape, np.int32),
        strength=np.zeros(shape, np.float32),
        exocrine_strength=np.zeros(shape, np.float32),
    )
    density_per_mm2 = np.exp(rng.uniform(np.log(0.4), np.log(22)))
    islets_n = int(rng.poisson(density_per_mm2 * area_mm2))
    truth = _sow_islets(rng, dish, um_per_px, islets_n, touch=rng.choice([0.0, 0.25, 0.7]))
    if rng.random() < 0.62:
        _sow_exocrine(rng, dish, um_per_px, int(rng.poisson(np.exp(rng.uniform(np.log(1.5), np.log(60))) * area_mm2)))
    ratio, visible = _tissue_log_ratio(rng, dish, shape, um_per_px, light)
    classes = _true_classes(dish, visible, um_per_px)
    pixels = _photograph(rng, ratio, um_per_px, light)
    return Scene(
        seed=seed,
        um_per_px=um_per_px,
        light=light,
        pixels=pixels,
        classes=classes,
        islets=dish.islets,
        truth=tuple(truth),
    )


def _tissue_log_ratio(
    rng: np.random.Generator, dish: _Dish, shape: tuple[int, int], um_per_px: float, light: optics.Light
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Log ratio of all tissue to the light, and where exocrine tissue can be seen at all."""
    stain = optics.stain_map(rng, shape, um_per_px)
    # Spreading the strength past the outline keeps the blurred rim as strongly stained as its islet.
    strength = ndi.maximum_filter(dish.strength, 3)
    if rng.random() < 0.3:
        patchy = np.clip(0.8 + 0.5 * smooth_noise(rng, shape, rng.uniform(40, 120) / um_per_px), 0.25, 1.15)
        stain = stain * patchy.astype(np.float32)
    islet_um = dish.islet_um
    if light == "dark":
        # Single cells at the rim light up one by one on a dark field.
        cells = smooth_noise(rng, shape, rng.uniform(3.5, 8) / um_per_px)
        islet_um = islet_um * np.clip(1 + rng.uniform(0.1, 0.55) * cells, 0.35, None).astype(np.float32)
    ratio = optics.islet_tint(rng, light).log_ratio(islet_um, strength * stain)
    tint = optics.exocrine_tint(rng, light)
    mottle = np.clip(1 + rng.uniform(0.1, 0.45) * smooth_noise(rng, shape, rng.uniform(7, 16) / um_per_px), 0.1, 2)
    exocrine = tint.log_ratio(dish.exocrine_um * mottle.astype(np.float32), np.ones(shape, np.float32))
    exocrine *= dish.exocrine_strength[..., None]
    soft = blur(exocrine, rng.uniform(0.5, 6) / um_per_px)
    visible = (dish.exocrine_um > 0) & (np.abs(soft).sum(axis=2) > FAINTEST_LOG_RATIO)
    # Tissue under an islet adds little; tissue over it is rare.
    total = ratio + soft * np.where(dish.islet_um > 0, 0.3, 1.0)[..., None].astype(np.float32)
    return np.asarray(total, dtype=np.float32), visible


def _photograph(
    rng: np.random.Generator, tissue: NDArray[np.float32], um_per_px: float, light: optics.Light
) -> NDArray[np.uint8]:
    shape = tissue.shape[:2]
    gain = tissue.copy()
    dark = light == "dark"
    gain += optics.illumination(rng, shape, light, um_per_px)
    gain += clutter.shadows(rng, shape, um_per_px, rng.uniform(0.01, 0.07) * (2.5 if dark else 1.0))
    if rng.random() < 0.5:
        gain += clutter.fibres_and_dust(rng, shape, um_per_px)
    if rng.random() < 0.28:
        for _ in range(1 + int(rng.poisson(0.5))):
            # Air refracts what lies beneath it away: the bubble is added to the light, grey.
            gain += clutter.bubble(rng, shape, um_per_px, dark_field=dark)[..., None]
    levels = np.exp(gain) * optics.background_levels(rng, light).astype(np.float32)
    if dark:
        levels += np.array([rng.uniform(0, 3), rng.uniform(0, 2), rng.uniform(0, 2)], np.float32)
    return optics.expose(
        rng,
        levels.astype(np.float32),
        blur_px=min(np.exp(rng.uniform(np.log(0.8), np.log(5.0))) / um_per_px, 6.0),
        noise_levels=np.exp(rng.uniform(np.log(0.3), np.log(3.5))),
        jpeg_quality=int(rng.integers(70, 97)) if rng.random() < 0.7 else None,
    )
