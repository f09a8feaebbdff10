"""Light and scale: the background's colour, and the picture at the network's working resolution.

The network sees every colour relative to the empty field. That field is estimated per picture: the least
red matter that is common, smoothed by a quadratic surface, so that a yellow lamp, a blue filter, vignetting
and a dark field all come out alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage as ndi

from isletnet.schemas import CELL_PX, FLOOR_LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Islets are about this wide where nobody says how large a pixel is (median of the published Weibull).
USUAL_ISLET_UM = 111.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Background:
    """The empty field: quadratic surface of ln(level + 6) per channel, float64 ``(6, 3)``."""

    coefficients: NDArray[np.float64]

    def cells(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float32]:
        """Evaluate at relative positions -1..1 over the picture; float32 ``(rows, columns, 3)``."""
        terms = _surface_terms(rows, columns)
        surface = terms.reshape(-1, 6) @ self.coefficients
        return np.asarray(surface.reshape(len(rows), len(columns), 3), dtype=np.float32)


def _surface_terms(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


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


def estimate_background(pixels: NDArray[np.uint8], factor: float = 1.0) -> Background:
    """Estimate the empty field behind the tissue.

    Parameters
    ----------
    pixels
        uint8 ``(height, width, 3)``.
    factor
        Working resolution over the picture's own (sides at work = sides x factor).

    Returns
    -------
    Background
        Fitted to cells of about 16 working px by reweighted least squares: red matter counts for nothing.
    """
    height, width = pixels.shape[:2]
    size = (max(8, round(width * factor / CELL_PX)), max(8, round(height * factor / CELL_PX)))
    thumbnail = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), dtype=np.float64)
    flat = np.log(thumbnail.reshape(-1, 3) + FLOOR_LEVELS)
    redness = flat[:, 0] - flat[:, 1]
    weight = np.exp(-0.5 * ((redness - _common_low(redness)) / 0.08) ** 2) + 1e-9
    terms = _surface_terms(cell_positions(0, size[1], size[1]), cell_positions(0, size[0], size[0])).reshape(-1, 6)
    coefficients = np.zeros((6, 3))
    for _ in range(4):
        # The ridge keeps a field that is seen in one corner only from running away in the others.
        ridge = np.diag([0, 1, 1, 2, 2, 2]) * 0.02 * weight.sum()
        gram = terms.T * weight @ terms + ridge + 1e-9 * np.eye(6)
        coefficients = np.linalg.solve(gram, terms.T * weight @ flat)
        residual = flat - terms @ coefficients
        red = residual[:, 0] - residual[:, 1]
        grey = residual[:, :2].mean(axis=1)
        spread = np.clip(_weighted_deviation(grey, weight), 0.02, 0.15)
        weight = np.exp(-0.5 * (red / 0.06) ** 2 - 0.5 * (grey / (2 * spread)) ** 2) + 1e-9
    return Background(coefficients=coefficients)


def _weighted_deviation(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    mean = np.average(values, weights=weight)
    return float(np.sqrt(np.average((values - mean) ** 2, weights=weight)))


def cell_positions(first: int, count: int, total: float) -> NDArray[np.float64]:
    """Relative centres -1..1 of ``count`` cells from number ``first`` where ``total`` cells span the picture."""
    return (np.arange(first, first + count, dtype=np.float64) + 0.5) * (2 / total) - 1


def background_log_levels(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Background of a picture at the working resolution, one value a cell.

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
    return estimate_background(pixels).cells(
        cell_positions(0, rows, height / CELL_PX), cell_positions(0, columns, width / CELL_PX)
    )


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


def guess_um_per_px(pixels: NDArray[np.uint8]) -> float:
    """Guess the pixel size from the picture: its red bodies are taken for islets of usual size.

    Parameters
    ----------
    pixels
        uint8 ``(height, width, 3)``.

    Returns
    -------
    float
        um per px, 0.25..8. Good enough to choose a working scale, never for a measurement.
    """
    longest = max(pixels.shape[:2])
    shrink = min(1.0, 512 / longest)
    small = resample(pixels, shrink)
    log = np.log(small.astype(np.float32) + np.float32(FLOOR_LEVELS))
    empty = np.repeat(np.repeat(background_log_levels(small), CELL_PX, 0), CELL_PX, 1)[
        : small.shape[0], : small.shape[1]
    ]
    ratio = log - empty
    red = ndi.binary_opening(ratio[..., 0] - ratio[..., 1] > 0.35, iterations=1)
    labels, islets_n = ndi.label(red)
    areas_px = np.bincount(labels.ravel())[1:] if islets_n else np.empty(0)
    areas_px = areas_px[areas_px >= 12]
    if not len(areas_px):
        return 2.0
    diameters_px = 2 * np.sqrt(areas_px / np.pi) / shrink
    # Weighted by area: specks are many and say little.
    order = np.argsort(diameters_px)
    share = np.cumsum(areas_px[order]) / areas_px.sum()
    typical_px = float(diameters_px[order][np.searchsorted(share, 0.5)])
    return float(np.clip(1.6 * USUAL_ISLET_UM / typical_px, 0.25, 8.0))
