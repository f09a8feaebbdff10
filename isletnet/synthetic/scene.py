"""Compose a whole synthetic micrograph with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from isletnet.schemas import BACKGROUND, EXOCRINE, ISLET
from isletnet.synthetic import clutter, optics
from isletnet.synthetic.dish import Dish, TrueIslet, sow_exocrine, sow_islets
from isletnet.synthetic.noise import blur, smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Exocrine tissue that changes the light less (sum over the channels) is invisible, and no truth holds it.
FAINTEST_LOG_RATIO = 0.08
# Experts draw the outline where an islet takes a certain share of the green light (ln ratio, measured on real
# outlines), or half of what a pale islet takes at its darkest; tissue that tapers off further out is too thin to be
# seen. On a dark field the glow of the rim is there at once, and the outline goes through its slope.
OUTLINE_LOG_RATIO = (0.34, 0.48)
PALE_OUTLINE_SHARE, DARK_OUTLINE_SHARE = 0.5, 0.8


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tissue:
    """What the tissue does to the light (log ratio), and what can be seen of it."""

    log_ratio: NDArray[np.float32]
    exocrine_visible: NDArray[np.bool_]
    islet_signal: NDArray[np.float32]
    outline_share: float
    outline_signal: float


def _true_classes(dish: Dish, tissue: _Tissue, um_per_px: float) -> NDArray[np.uint8]:
    """Outlines as an expert draws them: at half colour, clumps rounded, a gap between islets that touch."""
    exocrine = blur(tissue.exocrine_visible.astype(np.float32), 4.0 / um_per_px) > 0.45
    classes = np.where(exocrine, EXOCRINE, BACKGROUND).astype(np.uint8)
    full = np.zeros(int(dish.islets.max()) + 1, dtype=np.float32)
    np.maximum.at(full, dish.islets.ravel(), tissue.islet_signal.ravel())
    outline = np.minimum(tissue.outline_share * full, tissue.outline_signal)
    classes[(dish.islets > 0) & (tissue.islet_signal >= outline[dish.islets])] = ISLET
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
    dish = Dish(
        islet_um=np.zeros(shape, np.float32),
        exocrine_um=np.zeros(shape, np.float32),
        islets=np.zeros(shape, np.int32),
        strength=np.zeros(shape, np.float32),
        exocrine_strength=np.zeros(shape, np.float32),
    )
    density_per_mm2 = np.exp(rng.uniform(np.log(0.4), np.log(22)))
    islets_n = int(rng.poisson(density_per_mm2 * area_mm2))
    truth = sow_islets(rng, dish, um_per_px, islets_n, touch=rng.choice([0.0, 0.25, 0.7]))
    if rng.random() < 0.62:
        sow_exocrine(rng, dish, um_per_px, int(rng.poisson(np.exp(rng.uniform(np.log(1.5), np.log(60))) * area_mm2)))
    blur_px = min(float(np.exp(rng.uniform(np.log(0.8), np.log(5.0)))) / um_per_px, 6.0)
    tissue = _tissue(rng, dish, shape, um_per_px, light, blur_px)
    classes = _true_classes(dish, tissue, um_per_px)
    pixels = _photograph(rng, tissue.log_ratio, um_per_px, light, blur_px)
    return Scene(
        seed=seed,
        um_per_px=um_per_px,
        light=light,
        pixels=pixels,
        classes=classes,
        islets=dish.islets,
        truth=tuple(truth),
    )


def _tissue(
    rng: np.random.Generator,
    dish: Dish,
    shape: tuple[int, int],
    um_per_px: float,
    light: optics.Light,
    blur_px: float,
) -> _Tissue:
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
    islet_tint = optics.islet_tint(rng, light)
    ratio = islet_tint.log_ratio(islet_um, strength * stain)
    tint = optics.exocrine_tint(rng, light)
    mottle = np.clip(1 + rng.uniform(0.1, 0.45) * smooth_noise(rng, shape, rng.uniform(7, 16) / um_per_px), 0.1, 2)
    exocrine = tint.log_ratio(dish.exocrine_um * mottle.astype(np.float32), np.ones(shape, np.float32))
    exocrine *= dish.exocrine_strength[..., None]
    soft = blur(exocrine, rng.uniform(0.5, 6) / um_per_px)
    visible = (dish.exocrine_um > 0) & (np.abs(soft).sum(axis=2) > FAINTEST_LOG_RATIO)
    # Tissue under an islet adds little; tissue over it is rare.
    total = ratio + soft * np.where(dish.islet_um > 0, 0.3, 1.0)[..., None].astype(np.float32)
    if light == "dark":
        signal, share, level = 1 - np.exp(-dish.islet_um / np.float32(islet_tint.glow_um)), DARK_OUTLINE_SHARE, np.inf
    else:
        green = np.exp(islet_tint.log_ratio(dish.islet_um, strength)[..., 1])
        signal, share, level = -np.log(blur(green, blur_px)), PALE_OUTLINE_SHARE, rng.uniform(*OUTLINE_LOG_RATIO)
    return _Tissue(
        log_ratio=np.asarray(total, dtype=np.float32),
        exocrine_visible=visible,
        islet_signal=np.asarray(signal, dtype=np.float32),
        outline_share=share,
        outline_signal=level,
    )


def _photograph(
    rng: np.random.Generator, tissue: NDArray[np.float32], um_per_px: float, light: optics.Light, blur_px: float
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
        blur_px=blur_px,
        noise_levels=np.exp(rng.uniform(np.log(0.3), np.log(3.5))),
        jpeg_quality=int(rng.integers(70, 97)) if rng.random() < 0.7 else None,
    )
