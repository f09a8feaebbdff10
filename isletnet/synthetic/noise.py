"""Smooth random fields, seeded by the generator that is passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from numpy.typing import NDArray


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> NDArray[np.float32]:
    """Make a field that varies over about ``scale_px``.

    Parameters
    ----------
    rng
        Source of randomness.
    shape
        ``(height, width)``.
    scale_px
        Distance over which the field changes; below 1 it is white noise.

    Returns
    -------
    numpy.ndarray
        float32 ``(height, width)``, mean about 0, standard deviation about 0.72 (white noise: 1).
    """
    if scale_px <= 1:
        return rng.standard_normal(shape, dtype=np.float32)
    rows, columns = (int(np.ceil(side / scale_px)) + 4 for side in shape)
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    y = np.arange(shape[0], dtype=np.float32) / scale_px + 1 + float(rng.random())
    x = np.arange(shape[1], dtype=np.float32) / scale_px + 1 + float(rng.random())
    # Separable cubic interpolation: two small matrix products instead of a full 2-D zoom.
    field = _cubic_weights(y, rows) @ grid @ _cubic_weights(x, columns).T
    return np.asarray(field * 1.5, dtype=np.float32)


def _cubic_weights(positions: NDArray[np.float32], knots_n: int) -> NDArray[np.float32]:
    """Cubic B-spline weights, ``(positions, knots)``."""
    distance = np.abs(positions[:, None] - np.arange(knots_n, dtype=np.float32)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.asarray(np.where(distance < 1, near, far), dtype=np.float32)


def texture(rng: np.random.Generator, shape: tuple[int, int], scales_px: tuple[float, ...]) -> NDArray[np.float32]:
    """Sum smooth noise over several scales, with the deviation of one of them."""
    total = np.zeros(shape, dtype=np.float32)
    for scale_px in scales_px:
        total += smooth_noise(rng, shape, scale_px)
    return np.asarray(total / np.sqrt(len(scales_px)), dtype=np.float32)


def blur(field: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Gaussian blur of the first two axes; nothing to do below a fifth of a pixel."""
    if sigma_px < 0.2:
        return field
    sigmas = (sigma_px, sigma_px) + (0.0,) * (field.ndim - 2)
    return np.asarray(ndi.gaussian_filter(field, sigmas, truncate=3.0), dtype=np.float32)
