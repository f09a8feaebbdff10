"""Seeded variation of training crops; image and labels share every geometric step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from isletnet.schemas import CELL_PX, EXOCRINE, FLOOR_LEVELS, ISLET

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isletnet.training.datasets import TrainingPicture

_LOG_LEVEL = np.log(np.arange(256, dtype=np.float32) + np.float32(FLOOR_LEVELS))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CropSource:
    """A picture made ready for `warped_crop`.

    ``levels`` and ``background`` are logarithms, float32 ``(height, width, 3)``; ``centres`` holds the middle (row,
    column) of every islet and then of every part of exocrine tissue, one array a kind that there is.
    """

    levels: NDArray[np.float32]
    background: NDArray[np.float32]
    labels: NDArray[np.uint8]
    centres: tuple[NDArray[np.float64], ...]


def crop_source(picture: TrainingPicture) -> CropSource:
    """Make a picture ready for `warped_crop`."""
    height, width = picture.labels.shape
    background = np.repeat(np.repeat(picture.log_background, CELL_PX, 0), CELL_PX, 1)[:height, :width]
    centres = []
    for code in (ISLET, EXOCRINE):
        parts, parts_n = ndi.label(picture.labels == code)
        if parts_n:
            boxes = ndi.find_objects(parts)
            centres.append(np.array([[(side.start + side.stop) / 2 for side in box] for box in boxes]))
    return CropSource(
        levels=_LOG_LEVEL[picture.pixels], background=background, labels=picture.labels, centres=tuple(centres)
    )


def straight_crop(
    rng: np.random.Generator, picture: TrainingPicture, side_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
    """Cut a square, mirrored and turned by right angles: log levels, log background, labels."""
    height, width = picture.labels.shape
    row, column = int(rng.integers(0, height - side_px + 1)), int(rng.integers(0, width - side_px + 1))
    window = (slice(row, row + side_px), slice(column, column + side_px))
    rows = np.arange(row, row + side_px) // CELL_PX
    columns = np.arange(column, column + side_px) // CELL_PX
    background = picture.log_background[np.ix_(rows, columns)]
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))

    def turn(array: NDArray[np.generic]) -> NDArray[np.generic]:
        turned = np.rot90(array, turns)
        return np.ascontiguousarray(turned[:, ::-1] if mirror else turned)

    return turn(_LOG_LEVEL[picture.pixels[window]]), turn(background), turn(picture.labels[window])  # type: ignore[return-value]


def warped_crop(
    rng: np.random.Generator, source: CropSource, side_px: int, *, variation: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
    """Cut a square at any angle and scale; most hold an islet or a clump, the small ones as often as the large."""
    angle, scale = rng.uniform(0, 2 * np.pi), float(np.exp(rng.normal(0, 0.2 * variation)))
    stretch = float(np.exp(rng.normal(0, 0.08 * variation)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if rng.random() < 0.5:
        turn[:, 1] *= -1
    matrix = turn @ np.diag([scale * stretch, scale / stretch])
    centre = rng.uniform(0, 1, 2) * source.labels.shape
    if source.centres and rng.random() < 0.75:
        kind = source.centres[int(rng.integers(len(source.centres)))]
        centre = kind[int(rng.integers(len(kind)))] + rng.uniform(-0.35, 0.35, 2) * side_px
    offset = centre - matrix @ np.array([side_px / 2, side_px / 2])
    size = (side_px, side_px)

    def warp(array: NDArray[np.float32], order: int) -> NDArray[np.float32]:
        return np.asarray(
            ndi.affine_transform(array, matrix, offset, size, order=order, mode="reflect", prefilter=False)
        )

    new_levels = np.stack([warp(source.levels[..., c], 1) for c in range(3)], axis=-1)
    new_background = np.stack([warp(source.background[..., c], 0) for c in range(3)], axis=-1)
    new_labels = warp(source.labels.astype(np.float32), 0).astype(np.uint8)
    return new_levels, new_background, new_labels


def colour(
    rng: np.random.Generator,
    levels: NDArray[np.float32],
    background: NDArray[np.float32],
    *,
    strength: float = 1.0,
) -> NDArray[np.float32]:
    """Vary lamp, stain, estimate of the background, focus and noise; returns the network's five features.

    Parameters
    ----------
    rng
        Source of randomness.
    levels, background
        Log levels and log background, float32 ``(height, width, 3)``.
    strength
        Scales every variation; 0 gives the plain features.

    Returns
    -------
    numpy.ndarray
        float32 ``(height, width, 5)``, see `isletnet.networks.unet.features`.
    """
    ratio = levels - background
    if strength > 0:
        # Stain strength: absorption in green and blue, little in red.
        ratio = ratio * (
            1 + strength * np.array([0.15, 0.2, 0.2], np.float32) * rng.standard_normal(3).astype(np.float32)
        )
        # An estimate of the background that is somewhat off, with a slope.
        slope = np.linspace(-1, 1, levels.shape[0], dtype=np.float32)
        tilt = rng.normal(0, 0.012 * strength, (2, 3)).astype(np.float32)
        ratio = ratio + rng.normal(0, 0.015 * strength, 3).astype(np.float32)
        ratio = ratio + slope[:, None, None] * tilt[0] + slope[None, :, None] * tilt[1]
        if rng.random() < 0.35 * strength:
            sigma_px = rng.uniform(0.4, 1.6) * strength
            ratio = ndi.gaussian_filter(ratio, (sigma_px, sigma_px, 0), truncate=3.0)
        if rng.random() < 0.5:
            grain = np.exp(rng.uniform(np.log(0.003), np.log(0.05))) * strength
            ratio = ratio + np.float32(grain) * rng.standard_normal(ratio.shape, dtype=np.float32)
    lamp = background + (rng.normal(0, 0.25 * strength) + rng.normal(0, 0.08 * strength, 3)).astype(np.float32)
    absolute = ratio + lamp
    redness = absolute[..., 0:1] - absolute[..., 1:2]
    brightness = 0.5 * (absolute[..., 0:1] + absolute[..., 1:2]) - 4.0
    return np.asarray(np.concatenate([ratio, redness, brightness], axis=-1), dtype=np.float32)
