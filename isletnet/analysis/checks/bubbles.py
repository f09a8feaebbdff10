"""Air bubbles: rings without red around a core that looks like the background.

A bubble bends light away, so its rim is dark in bright field and bright in dark field, whatever the colour of the
light. Islets are red throughout, and exocrine tissue is no ring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isletnet.analysis.checks.features import background_surface, log_colours

# A rim differs from the background by this much light (log units), and by no more red over green.
RIM_LIGHT, RIM_RED = 0.12, 0.2
CORE_LIGHT, CORE_RED = 0.12, 0.12
# Radii on a thumbnail of about 400 px.
RADIUS_PX = (5.0, 150.0)
# Distance of rim pixels from the fitted circle over its radius; a full disc gives 0.24, an ellipse of 1:0.7 0.12.
RIM_WIDTH = 0.13
# Share of 36 directions from the centre in which there is a rim.
RIM_ARC = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubble:
    """A ring on the thumbnail."""

    row: float
    column: float
    diameter_px: float


def find_bubbles(small: NDArray[np.uint8]) -> tuple[Bubble, ...]:
    """Look for bubbles on a thumbnail, also where the border cuts them.

    Parameters
    ----------
    small
        RGB uint8, longer side about 400 px.

    Returns
    -------
    Bubbles in raster order of their rims.
    """
    colours = log_colours(small)
    light = colours.light - background_surface(colours)
    red = colours.red - colours.background_red
    rims = (np.abs(light) > RIM_LIGHT) & (np.abs(red) < RIM_RED)
    labels, _ = ndimage.label(rims, structure=np.ones((3, 3), dtype=bool))
    found = (_ring(labels, number, box, light, red) for number, box in enumerate(ndimage.find_objects(labels), start=1))
    return tuple(bubble for bubble in found if bubble is not None)


def _ring(
    labels: NDArray[np.int32],
    number: int,
    box: tuple[slice, slice],
    light: NDArray[np.float32],
    red: NDArray[np.float32],
) -> Bubble | None:
    if max(side.stop - side.start for side in box) < 2 * RADIUS_PX[0]:
        return None
    rows, columns = np.nonzero(labels[box] == number)
    rows, columns = rows + box[0].start, columns + box[1].start
    # Circle by least squares (Kasa): x^2 + y^2 = 2 a x + 2 b y + c.
    system = np.stack([2.0 * rows, 2.0 * columns, np.ones(rows.size)], axis=1)
    (row, column, rest), _, rank, _ = np.linalg.lstsq(system, (rows**2 + columns**2).astype(np.float64), rcond=None)
    if rank < 3:
        return None
    radius = float(np.sqrt(max(rest + row**2 + column**2, 0.0)))
    distances = np.hypot(rows - row, columns - column)
    if not RADIUS_PX[0] <= radius <= RADIUS_PX[1] or np.sqrt(np.mean((distances - radius) ** 2)) > RIM_WIDTH * radius:
        return None
    if not _goes_round(rows, columns, row, column, radius, light.shape) or not _core_is_clear(
        light, red, row, column, radius
    ):
        return None
    return Bubble(row=float(row), column=float(column), diameter_px=2 * float(np.percentile(distances, 95)))


def _goes_round(
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    row: float,
    column: float,
    radius: float,
    shape: tuple[int, ...],
) -> bool:
    """Whether the rim covers most of the directions that lie within the picture, and enough of the full circle."""
    seen = np.zeros(36, dtype=bool)
    seen[(np.arctan2(rows - row, columns - column) / (2 * np.pi) * 36).astype(np.intp) % 36] = True
    angles = (np.arange(36) + 0.5) / 36 * 2 * np.pi
    ends_row, ends_column = row + radius * np.sin(angles), column + radius * np.cos(angles)
    inside = (ends_row >= 0) & (ends_row < shape[0]) & (ends_column >= 0) & (ends_column < shape[1])
    return bool(inside.sum() >= 12 and (seen & inside).sum() >= RIM_ARC * inside.sum())


def _core_is_clear(
    light: NDArray[np.float32], red: NDArray[np.float32], row: float, column: float, radius: float
) -> bool:
    reach = 0.5 * radius
    top, left = max(int(row - reach), 0), max(int(column - reach), 0)
    core = np.s_[top : max(int(row + reach) + 1, 0), left : max(int(column + reach) + 1, 0)]
    if not light[core].size:
        return False
    return bool(abs(np.median(light[core])) < CORE_LIGHT and abs(np.median(red[core])) < CORE_RED)
