"""Pictures of what a segmentation gets wrong: outlines coloured by their distance, and a gallery of worst cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isletnet.views.print_style import TWO_COLUMNS_MM, new_figure, printed

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

# Both lines are cased in black, so that they stand out on yellow, red, white and dark pictures alike.
TRUTH_RGB, FOUND_RGB = "#33D6FF", "#FFFFFF"
_GALLERY_COLUMNS_N = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crop:
    """A piece of a picture: RGB uint8 ``(height, width, 3)``, masks of what was found and of the reference, a title."""

    pixels: NDArray[np.uint8]
    found: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    title: str


@printed
def distance_map(pixels: NDArray[np.uint8], distances_um: NDArray[np.float64], *, title: str) -> Figure:
    """Draw a picture in pale grey with found outlines coloured by their distance from the reference's.

    Parameters
    ----------
    pixels
        RGB uint8 ``(height, width, 3)``.
    distances_um
        float64 ``(height, width)``, NaN off the outlines; above 0 outside.
    title
        Such as the picture's name.

    Returns
    -------
    matplotlib.figure.Figure
        Two columns wide.
    """
    from matplotlib.colors import TwoSlopeNorm

    height, width = distances_um.shape
    figure = new_figure(width_mm=TWO_COLUMNS_MM, height_mm=min(8 + 150 * height / width, 200))
    axes = figure.subplots()
    step = max(1, width // 1600)
    grey = 128 + pixels[::step, ::step].mean(axis=2) / 2
    frame = (0, width, height, 0)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=frame, interpolation="nearest")
    rows, columns = np.nonzero(~np.isnan(distances_um))
    found = distances_um[rows, columns]
    reach = max(float(np.percentile(np.abs(found), 98)) if found.size else 1.0, 1.0)
    norm = TwoSlopeNorm(0.0, -reach, reach)
    marks = axes.scatter(
        columns + 0.5, rows + 0.5, c=found, cmap="PuOr_r", norm=norm, s=2.5, linewidths=0, rasterized=True
    )
    axes.set_axis_off()
    axes.set_title(title)
    figure.colorbar(marks, ax=axes, shrink=0.6, label="shift of the found outline (µm)", extend="both")
    return figure


@printed
def gallery(crops: Sequence[Crop]) -> Figure:
    """Draw pieces of pictures with found outlines (white) and those of the reference (blue, dashed).

    Parameters
    ----------
    crops
        At least one, the worst first.

    Returns
    -------
    matplotlib.figure.Figure
        Two columns wide, four pieces a row.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    casing = [withStroke(linewidth=2.0, foreground="black")]
    rows_n = -(-max(len(crops), 1) // _GALLERY_COLUMNS_N)
    figure = new_figure(width_mm=TWO_COLUMNS_MM, height_mm=10 + 50 * rows_n)
    grid = figure.subplots(rows_n, _GALLERY_COLUMNS_N, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, crop in zip(grid, crops, strict=False):
        axes.imshow(crop.pixels, interpolation="nearest")
        frame = (-1.5, crop.found.shape[1] + 0.5, -1.5, crop.found.shape[0] + 0.5)
        for mask, colour, style in ((crop.found, FOUND_RGB, "-"), (crop.truth, TRUTH_RGB, "--")):
            if mask.any():
                lines = axes.contour(
                    np.pad(mask, 1), [0.5], colors=colour, linestyles=style, linewidths=1.0, extent=frame
                )
                lines.set_path_effects(casing)
        axes.set(xlim=(-0.5, crop.pixels.shape[1] - 0.5), ylim=(crop.pixels.shape[0] - 0.5, -0.5))
        axes.set_title(crop.title, fontsize=7, fontweight="normal")
    signs = [
        Line2D([], [], color=TRUTH_RGB, linestyle="--", path_effects=casing, label="reference"),
        Line2D([], [], color=FOUND_RGB, path_effects=casing, label="found"),
    ]
    figure.legend(handles=signs, loc="outside lower center", ncols=2)
    return figure
