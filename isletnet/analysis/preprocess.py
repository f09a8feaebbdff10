"""Light and scale: the background's colour, and the picture at the network's working resolution.

The network sees every colour relative to the empty field. That field is estimated per picture: the least
red matter that is common, smoothed by a quadratic surface, so that a yellow lamp, a blue filter, vignetting
and a dark field all come out alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL_PX = 16
FLOOR_LEVELS = 6.0


def cell_levels(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Average log grey level per 16 px cell.

    Parameters
    ----------
    pixels
        uint8 ``(height, width, 3)``.

    Returns
    -------
    numpy.ndarray
        float32 ``(ceil(height/16), ceil(width/16), 3)``, ln(level + 6).
    """
    height, width = pixels.shape[:2]
    rows, columns = -(-height // CELL_PX), -(-width // CELL_PX)
    # Sixteen samples a cell (every fourth pixel) are enough for a mean and four times cheaper in each axis.
    sparse = pixels[::4, ::4]
    if sparse.shape[0] < rows * 4 or sparse.shape[1] < columns * 4:
        pads = ((0, rows * 4 - sparse.shape[0]), (0, columns * 4 - sparse.shape[1]), (0, 0))
        sparse = np.pad(sparse, pads, mode="edge")
    means = sparse.reshape(rows, 4, columns, 4, 3).mean(axis=(1, 3), dtype=np.float32)
    return np.asarray(np.log(means + np.float32(FLOOR_LEVELS)), dtype=np.float32)


def _surface(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Quadratic terms over the cell grid, ``(rows * columns, 6)``."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)


def _common_low(values: NDArray[np.float64]) -> float:
    """Find the lowest value that is common: the first strong peak of a smoothed histogram."""
    low, high = np.percentile(values, [0.5, 99.5])
    if high - low < 1e-3:
        return float(np.median(values))
    step = max((high - low) / 200, 0.004)
    counts, edges = np.histogram(values, bins=np.arange(low - 5 * step, high + 6 * step, step))
    smooth = ndi.gaussian_filter1d(counts.astype(np.float64), max(0.02 / step, 1.5))
    rising = np.r_[True, smooth[1:] > smooth[:-1]] & np.r_[smooth[:-1] >= smooth[1:], True]
    strong = np.flatnonzero(rising & (smooth >= 0.3 * smooth.max()))
    return float(edges[strong[0]] + step / 2)


def background_log_levels(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Estimate the empty field behind the tissue.

    Parameters
    ----------
    pixels
        uint8 ``(height, width, 3)`` at the working resolution.

    Returns
    -------
    numpy.ndarray
        float32 ``(ceil(height/16), ceil(width/16), 3)``, ln(level + 6), a quadratic surface per channel.
    """
    cells = cell_levels(pixels).astype(np.float64)
    shape = cells.shape[:2]
    flat = cells.reshape(-1, 3)
    redness = flat[:, 0] - flat[:, 1]
    weight = np.exp(-0.5 * ((redness - _common_low(redness)) / 0.08) ** 2) + 1e-9
    terms = _surface(shape)
    fitted = flat
    for _ in range(4):
        gram = terms.T * weight @ terms
        # The ridge keeps a field that is seen in one corner only from running away in the others.
        ridge = np.diag([0, 1, 1, 2, 2, 2]) * 0.02 * weight.sum()
        fitted = terms @ np.linalg.solve(gram + ridge + 1e-9 * np.eye(6), terms.T * weight @ flat)
        residual = flat - fitted
        red = residual[:, 0] - residual[:, 1]
        grey = residual[:, :2].mean(axis=1)
        spread = np.clip(_weighted_deviation(grey, weight), 0.02, 0.15)
        weight = np.exp(-0.5 * (red / 0.06) ** 2 - 0.5 * (grey / (2 * spread)) ** 2) + 1e-9
    return np.asarray(fitted.reshape(*shape, 3), dtype=np.float32)


def _weighted_deviation(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    mean = np.average(values, weights=weight)
    return float(np.sqrt(np.average((values - mean) ** 2, weights=weight)))


def resample(picture: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Resize a picture without aliasing.

    Parameters
    ----------
    picture
        uint8 ``(height, width)`` or ``(height, width, 3)``.
    factor
        New sides over old sides; below 1 areas are averaged, above 1 values are interpolated.

    Returns
    -------
    numpy.ndarray
        uint8, sides rounded to whole pixels; the input itself where nothing changes.
    """
    height, width = picture.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if size == (width, height):
        return picture
    method = Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(picture).resize(size, method), dtype=np.uint8)
