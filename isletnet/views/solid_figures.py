"""Figures of solids in print: slices of a stack with outlines, estimates against volume, flattening."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isletnet.views.overlay import scale_bar_um
from isletnet.views.print_style import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    PURPLE,
    SKY,
    TWO_COLUMNS_MM,
    VERMILION,
    new_figure,
    plain_numbers,
    printed,
)
from isletnet.views.volume_figures import METHOD_NAMES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

_COLUMNS_N = 4
# Black and grey are lost on the dark ground of a stack.
_ON_DARK = (SKY, ORANGE, GREEN, PURPLE, VERMILION)


@printed
def slices_figure(
    slices: Sequence[NDArray[np.uint8]], labels: Sequence[NDArray[np.int32]], *, titles: Sequence[str], um_per_px: float
) -> Figure:
    """Draw slices of a stack with the outlines of what was found.

    Parameters
    ----------
    slices
        RGB uint8 ``(height, width, 3)`` each.
    labels
        int32 ``(height, width)`` of the same slices, one number for each solid.
    titles
        Such as the height of each slice.
    um_per_px
        Pixel size, for the scale bar.

    Returns
    -------
    matplotlib.figure.Figure
        Two columns wide, four slices a row.
    """
    rows_n = -(-len(slices) // _COLUMNS_N)
    height, width = slices[0].shape[:2]
    cell_mm = TWO_COLUMNS_MM / _COLUMNS_N
    figure = new_figure(width_mm=TWO_COLUMNS_MM, height_mm=rows_n * (cell_mm * height / width + 6))
    grid = figure.subplots(rows_n, _COLUMNS_N, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, picture, numbers, title in zip(grid, slices, labels, titles, strict=False):
        axes.imshow(picture, interpolation="nearest")
        for number in np.unique(numbers[numbers > 0]).tolist():
            colour = _ON_DARK[(number - 1) % len(_ON_DARK)]
            axes.contour(numbers == number, [0.5], colors=colour, linewidths=1.0)
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        axes.set_title(title, fontsize=7, fontweight="normal")
    bar_um = scale_bar_um(width * um_per_px)
    left = 0.05 * width
    grid[0].plot(
        [left, left + bar_um / um_per_px], [0.93 * height] * 2, color="white", linewidth=2, solid_capstyle="butt"
    )
    grid[0].text(left, 0.9 * height, f"{bar_um:g} µm", color="white", va="bottom")
    return figure


@printed
def estimates_figure(table: pd.DataFrame, *, methods: Sequence[str]) -> Figure:
    """Draw the volume that each method makes of one projection against the volume in space.

    Parameters
    ----------
    table
        One row a solid with ``true_ieq`` and ``ieq_<method>``.
    methods
        Which methods, at most eight.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide, both axes logarithmic.
    """
    figure = new_figure(height_mm=85)
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    found = table[["true_ieq", *(f"ieq_{method}" for method in methods)]].to_numpy(dtype=float)
    found = found[found > 0]
    low, high = (found.min() / 1.4, found.max() * 1.4) if found.size else (0.1, 1.0)
    axes.plot([low, high], [low, high], color=GREY, linewidth=0.8, label="identity")
    for number, method in enumerate(methods):
        axes.plot(
            table["true_ieq"],
            table[f"ieq_{method}"],
            MARKERS[number],
            color=COLOURS[number],
            markeredgecolor="white",
            markeredgewidth=0.3,
            label=METHOD_NAMES.get(method, method),
        )
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set(xlabel="volume in space (IEQ)", ylabel="volume from the projection (IEQ)")
    axes.legend(loc="upper left")
    return figure


@printed
def shape_figure(widths_um: ArrayLike, flattening: ArrayLike, sphericity: ArrayLike) -> Figure:
    """Draw flattening (height over width) and sphericity of solids against their width.

    Parameters
    ----------
    widths_um, flattening, sphericity
        1-D, one value a solid.

    Returns
    -------
    matplotlib.figure.Figure
        Two columns wide.
    """
    figure = new_figure(width_mm=TWO_COLUMNS_MM, height_mm=55)
    for axes, values, label in zip(
        figure.subplots(1, 2),
        (flattening, sphericity),
        ("flattening: height / width", "sphericity"),
        strict=True,
    ):
        axes.axhline(1, color=GREY, linewidth=0.6)
        axes.plot(widths_um, values, "o", color=BLUE, markeredgecolor="white", markeredgewidth=0.3)
        axes.set(xlabel="width of the projection (µm)", ylabel=label)
        axes.set_ylim(0, max(1.05, float(np.max(np.asarray(values), initial=1.0)) * 1.05))
    return figure
