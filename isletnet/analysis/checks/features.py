"""What a picture looks like in a few numbers: light, colour, sharpness.

Everything but the sharpness of edges is read from a small copy of the picture. Colours are compared as logarithms of
channel ratios, so that the strength of the light cancels. Red over green tells dithizone from everything else in the
field, while blue is close to 0 under yellow light and is weighed lightly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

THUMBNAIL_PX = 400
# Added to a channel before its logarithm: it keeps noise near black from looking like colour.
LOG_OFFSET = 8.0
LOG_OF_LEVEL = np.log(np.arange(256, dtype=np.float32) + np.float32(LOG_OFFSET))
LIGHT_BINS_N = 64
EDGE_SPOTS_N = 6
EDGE_HALF_PX = 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogColours:
    """A picture in logarithms, ``float32 (height, width)`` each, with the values of its commonest colour.

    ``light`` is the mean of log red and log green; ``red`` is log red over green, ``blue`` log blue over green.
    """

    light: NDArray[np.float32]
    red: NDArray[np.float32]
    blue: NDArray[np.float32]
    background_light: float
    background_red: float
    background_blue: float

    @property
    def distance(self) -> NDArray[np.float32]:
        """How far each pixel is from the background, in log units; blue counts half."""
        squares = (self.light - self.background_light) ** 2 + (self.red - self.background_red) ** 2
        return np.asarray(np.sqrt(squares + (0.5 * (self.blue - self.background_blue)) ** 2), dtype=np.float32)


def thumbnail(pixels: NDArray[np.uint8], *, longest_px: int = THUMBNAIL_PX) -> tuple[NDArray[np.uint8], int]:
    """Shrink a picture by a whole factor until its longer side is at most ``longest_px``.

    Parameters
    ----------
    pixels
        RGB uint8 ``(height, width, 3)``.
    longest_px
        Limit of the longer side.

    Returns
    -------
    The means over blocks as uint8 ``(rows, columns, 3)``, and the factor.
    """
    factor = max(1, -(-max(pixels.shape[:2]) // longest_px))
    return np.asarray(Image.fromarray(pixels).reduce(factor)), factor


def log_colours(small: NDArray[np.uint8]) -> LogColours:
    """Turn a thumbnail into logarithms of light and colour, with the background found as the commonest light."""
    red, green, blue = (LOG_OF_LEVEL[small[..., channel]] for channel in range(3))
    light = (red + green) / 2
    red_over_green, blue_over_green = red - green, blue - green
    # The background is the same in a tenth of the pixels.
    sample = np.s_[:: max(1, light.shape[0] // 75), :: max(1, light.shape[1] // 100)]
    light_few, red_few, blue_few = light[sample], red_over_green[sample], blue_over_green[sample]
    darkest, bin_width = float(LOG_OF_LEVEL[0]), float(LOG_OF_LEVEL[-1] - LOG_OF_LEVEL[0]) / LIGHT_BINS_N
    bins = np.minimum(((light_few - darkest) / bin_width).astype(np.intp), LIGHT_BINS_N - 1)
    counts = np.bincount(bins.ravel(), minlength=LIGHT_BINS_N)
    peak = int(np.argmax(ndimage.uniform_filter1d(counts.astype(np.float64), 5, mode="constant")))
    near = np.abs(bins - peak) <= 3
    if not near.any():
        near = np.ones_like(near)
    return LogColours(
        light=light,
        red=red_over_green,
        blue=blue_over_green,
        background_light=float(np.median(light_few[near])),
        background_red=float(np.median(red_few[near])),
        background_blue=float(np.median(blue_few[near])),
    )


def background_surface(colours: LogColours) -> NDArray[np.float32]:
    """Fit a quadratic surface to the light of the background; tissue is thrown out as it does not fit.

    Returns
    -------
    float32 ``(height, width)``, the logarithm of the background's light everywhere.
    """
    height, width = colours.light.shape
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    few = np.s_[:: max(1, height // 38), :: max(1, width // 50)]
    few_rows, few_columns = (side[few].ravel() for side in np.broadcast_arrays(rows, columns))
    points = _quadratic(few_rows, few_columns).astype(np.float64)
    light = colours.light[few].ravel()
    kept = np.abs(colours.red[few].ravel() - colours.background_red) < 0.3
    if kept.sum() < 50:
        kept = np.ones_like(kept)
    for _ in range(5):
        # Normal equations, as a decomposition of all points would take every core. The ridge is for pictures so narrow
        # that their thumbnail has a single row.
        gram = points[kept].T @ points[kept] + 1e-6 * np.eye(6)
        weights = np.linalg.solve(gram, points[kept].T @ light[kept]).astype(np.float32)
        misfit = np.abs(light - points @ weights)
        kept = misfit <= max(2.5 * float(np.median(misfit[kept])), 0.02)
    across = weights[2] * columns + weights[5] * columns**2
    return np.asarray(weights[0] + weights[1] * rows + weights[4] * rows**2 + across + weights[3] * rows * columns)


def colour_statistics(colours: LogColours) -> dict[str, float]:
    """Give the colour numbers by which a picture is compared with the training pictures.

    Returns
    -------
    Natural logarithms: ``background_light``, ``background_red_over_green`` and ``background_blue_over_green`` of the
    commonest colour, ``reddest`` and ``greenest``, the 99.5th and 0.5th percentile of red over green above that of the
    background, and ``light_low`` and ``light_high``, the 0.5th and 99.5th percentile of the light above it.
    """
    greenest, reddest = np.percentile(colours.red - colours.background_red, (0.5, 99.5))
    light_low, light_high = np.percentile(colours.light - colours.background_light, (0.5, 99.5))
    return {
        "background_light": colours.background_light,
        "background_red_over_green": colours.background_red,
        "background_blue_over_green": colours.background_blue,
        "reddest": float(reddest),
        "greenest": float(greenest),
        "light_low": float(light_low),
        "light_high": float(light_high),
    }


def edge_spread_px(pixels: NDArray[np.uint8], small: NDArray[np.uint8], factor: int) -> tuple[float, float] | None:
    """Measure how wide the strongest edges are, at full resolution.

    An edge that optics blurred by a Gaussian of standard deviation s rises by A within A / (s sqrt(2 pi)) of its
    steepest slope; so s = A / (slope sqrt(2 pi)). The places are found on the thumbnail and measured in the picture.

    Parameters
    ----------
    pixels, small, factor
        The picture, its `thumbnail` and the factor between them.

    Returns
    -------
    The median s in pixels over the six strongest edges, and their median height in levels; None for a picture
    without any edge.
    """
    light = small[..., 0].astype(np.float32) + small[..., 1] + small[..., 2]
    strength = gradient(ndimage.gaussian_filter(light, 1.0))
    reach = max(2, EDGE_HALF_PX // factor)
    spreads, heights = [], []
    for _ in range(EDGE_SPOTS_N):
        row, column = np.unravel_index(int(strength.argmax()), strength.shape)
        if strength[row, column] <= 0:
            break
        spread, height = _edge(pixels, int(row) * factor + factor // 2, int(column) * factor + factor // 2)
        spreads.append(spread)
        heights.append(height)
        strength[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1] = 0.0
    if not spreads:
        return None
    return float(np.median(spreads)), float(np.median(heights))


def _edge(pixels: NDArray[np.uint8], row: int, column: int) -> tuple[float, float]:
    top, left = max(row - EDGE_HALF_PX, 0), max(column - EDGE_HALF_PX, 0)
    crop = pixels[top : row + EDGE_HALF_PX + 1, left : column + EDGE_HALF_PX + 1]
    channels = np.ascontiguousarray(np.moveaxis(crop, 2, 0), dtype=np.float32)
    strongest = channels[int(np.argmax(channels.reshape(3, -1).std(axis=1)))]
    # Light smoothing steadies the slope against noise; its own spread is taken off again.
    smooth = ndimage.gaussian_filter(strongest, 1.0, truncate=3.0)
    low, high = np.percentile(smooth, (3, 97))
    slope = max(float(np.percentile(gradient(smooth), 99)), 1e-6)
    spread = (high - low) / (slope * np.sqrt(2 * np.pi))
    return float(np.sqrt(max(spread**2 - 1.0, 0.0))), float(high - low)


def _quadratic(rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([np.ones_like(rows), rows, columns, rows * columns, rows**2, columns**2], axis=-1)


def gradient(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the length of the gradient per pixel."""
    squares = np.zeros_like(values)
    for axis in (0, 1):
        # The thumbnail of a narrow picture may have a single row.
        if values.shape[axis] > 1:
            squares += np.square(np.gradient(values, axis=axis))
    return np.sqrt(squares)
