"""A picture of any size through a network, tile by tile, back onto its own pixel grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from isletnet.schemas import BACKGROUND, CELL_PX, EXOCRINE, ISLET, Segmentation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

# The side of what one run of the network decides, at the working scale.
TILE_PX = 2048


class Predictor(Protocol):
    """A network: uint8 ``(h, w, 3)`` and log background cells -> class probabilities, uint8 ``(h, w, 3)``."""

    def __call__(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Sides are multiples of 16; 255 is certain."""
        ...


def working_shape(shape_px: tuple[int, int], factor: float) -> tuple[int, int]:
    """Height and width of a picture at the working scale, px: at least one cell."""
    height, width = (max(CELL_PX, round(side * factor)) for side in shape_px)
    return height, width


def _spans(length: int, tile_px: int, halo_px: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield core start, core end, and start and end with halo; starts are multiples of the cell."""
    tiles_n = max(1, -(-length // tile_px))
    core = -(-length // tiles_n)
    core = -(-core // CELL_PX) * CELL_PX
    for start in range(0, length, core):
        end = min(start + core, length)
        yield start, end, max(0, start - halo_px), min(length, end + halo_px)


def _cut(
    pixels: NDArray[np.uint8], rows: tuple[int, int], columns: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Cut a window of the working grid (of ``size`` in all) out of the picture, resampled."""
    height, width = pixels.shape[:2]
    if size == (height, width):
        return pixels[rows[0] : rows[1], columns[0] : columns[1]]
    fy, fx = height / size[0], width / size[1]
    # Whole source pixels around the window, and the window's exact place in them.
    top, left = int(max(0, np.floor(rows[0] * fy) - 2)), int(max(0, np.floor(columns[0] * fx) - 2))
    bottom, right = int(min(height, np.ceil(rows[1] * fy) + 2)), int(min(width, np.ceil(columns[1] * fx) + 2))
    box = (columns[0] * fx - left, rows[0] * fy - top, columns[1] * fx - left, rows[1] * fy - top)
    method = Image.Resampling.BOX if fy > 1 else Image.Resampling.BILINEAR
    piece = Image.fromarray(pixels[top:bottom, left:right])
    return np.asarray(piece.resize((columns[1] - columns[0], rows[1] - rows[0]), method, box=box))


def _pad_to_cells(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    below, right = -height % CELL_PX, -width % CELL_PX
    return np.pad(rgb, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else rgb


def _source_range(start: int, end: int, working: int, source: int) -> tuple[int, int]:
    """Source pixels whose centres lie in [start, end) of the working grid."""
    scale = source / working
    first, last = np.ceil(start * scale - 0.5), np.ceil(end * scale - 0.5)
    return int(max(0, first)), source if end == working else int(min(source, last))


def _back(
    probabilities: NDArray[np.uint8],
    origin: tuple[int, int],
    source: tuple[int, int, int, int],
    scale: tuple[float, float],
) -> NDArray[np.uint8]:
    """Interpolate a tile's probabilities onto source rows and columns [r0, r1) x [c0, c1)."""
    r0, r1, c0, c1 = source
    across = np.clip(np.array([c0, c1]) / scale[1] - origin[1], 0, probabilities.shape[1])
    down = np.clip(np.array([r0, r1]) / scale[0] - origin[0], 0, probabilities.shape[0])
    box = (float(across[0]), float(down[0]), float(across[1]), float(down[1]))
    piece = Image.fromarray(probabilities).resize((c1 - c0, r1 - r0), Image.Resampling.BILINEAR, box=box)
    return np.asarray(piece)


def segment(
    pixels: NDArray[np.uint8],
    predictor: Predictor,
    background: Callable[[int, int, int, int], NDArray[np.float32]],
    *,
    factor: float,
    halo_px: int,
    islet_threshold: float,
    tile_px: int = TILE_PX,
) -> Segmentation:
    """Segment a picture of any size with bounded memory.

    Parameters
    ----------
    pixels
        uint8 ``(height, width, 3)``.
    predictor
        The network; it must not look further than ``halo_px``.
    background
        ``background(first_row, first_column, rows, columns)`` gives the log background of those 16 px cells
        of the working grid, float32 ``(rows, columns, 3)``.
    factor
        Sides at the working scale over the picture's own.
    islet_threshold
        See `winning_classes`.
    halo_px, tile_px
        Margin around a tile's core and the core's side, working px; multiples of 16.

    Returns
    -------
    Segmentation
        In the picture's own pixel grid; tiles give what the whole picture would, within rounding.
    """
    height, width = pixels.shape[:2]
    working = working_shape((height, width), factor)
    classes = np.empty((height, width), dtype=np.uint8)
    islet_probability = np.empty((height, width), dtype=np.uint8)
    scale = (height / working[0], width / working[1])
    for top, bottom, outer_top, outer_bottom in _spans(working[0], tile_px, halo_px):
        rows = _source_range(top, bottom, working[0], height)
        for left, right, outer_left, outer_right in _spans(working[1], tile_px, halo_px):
            columns = _source_range(left, right, working[1], width)
            rgb = _pad_to_cells(_cut(pixels, (outer_top, outer_bottom), (outer_left, outer_right), working))
            cells = background(
                outer_top // CELL_PX, outer_left // CELL_PX, rgb.shape[0] // CELL_PX, rgb.shape[1] // CELL_PX
            )
            probabilities = predictor(rgb, cells)
            if scale == (1.0, 1.0):
                own = probabilities[top - outer_top : bottom - outer_top, left - outer_left : right - outer_left]
            else:
                own = _back(probabilities, (outer_top, outer_left), (*rows, *columns), scale)
            window = (slice(*rows), slice(*columns))
            classes[window] = winning_classes(own, islet_threshold)
            islet_probability[window] = own[..., ISLET]
    return Segmentation(classes=classes, islet_probability=islet_probability)


def winning_classes(probabilities: NDArray[np.uint8], islet_threshold: float) -> NDArray[np.uint8]:
    """Decide the class of each pixel.

    Parameters
    ----------
    probabilities
        uint8 ``(height, width, 3)``, 255 is certain.
    islet_threshold
        Probability 0.5..1 from which a pixel is islet; below it the likelier of the other two, background on a tie.

    Returns
    -------
    numpy.ndarray
        uint8 ``(height, width)``.
    """
    background, islet, exocrine = (probabilities[..., c] for c in (BACKGROUND, ISLET, EXOCRINE))
    is_islet = islet >= np.uint8(np.ceil(islet_threshold * 255))
    is_exocrine = ~is_islet & (exocrine > background)
    return np.asarray(is_islet * np.uint8(ISLET) + is_exocrine * np.uint8(EXOCRINE), dtype=np.uint8)
