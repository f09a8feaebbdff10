"""Figures of volume estimators: errors as a matrix, against size, and of single islets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isletnet.views.print_style import (
    BLUE,
    COLOURS,
    FAINT,
    GREY,
    LINES,
    MARKERS,
    TWO_COLUMNS_MM,
    new_figure,
    printed,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

METHOD_NAMES = {
    "sphere": "sphere",
    "prolate": "prolate",
    "oblate": "oblate",
    "mean_diameter": "mean diameter",
    "revolution": "revolution",
    "nucleator": "nucleator",
    "vext": "Vext",
    "vmod": "Vmod",
    "ricordi_long": "Ricordi",
    "ricordi_short": "Ricordi short",
    "ricordi_extended": "Ricordi extended",
}
# Where the colour of an error is fullest.
_FULL_COLOUR_FRACTION = 0.5


@printed
def error_matrix(errors: pd.DataFrame, *, rows: str, columns: str, value: str, label: str) -> Figure:
    """Draw errors as a matrix of numbers on colours: blue too small, orange too large, white right.

    Parameters
    ----------
    errors
        One row a cell.
    rows, columns
        The columns of ``errors`` that name rows and columns; both keep the order in which they come.
    value
        The column with the errors, as fractions.
    label
        What the numbers are.

    Returns
    -------
    matplotlib.figure.Figure
        Two columns wide.
    """
    from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm

    down, across = errors[rows].unique().tolist(), errors[columns].unique().tolist()
    cells = np.full((len(down), len(across)), np.nan)
    for row, column, found in zip(errors[rows], errors[columns], errors[value], strict=True):
        cells[down.index(row), across.index(column)] = found
    colours = LinearSegmentedColormap.from_list("error", ["#2c6fb0", "#ffffff", "#e08a1e"])
    norm = TwoSlopeNorm(0.0, -_FULL_COLOUR_FRACTION, _FULL_COLOUR_FRACTION)
    figure = new_figure(width_mm=TWO_COLUMNS_MM, height_mm=26 + 6.0 * len(down))
    axes = figure.subplots()
    # Vector cells: a picture inside a figure for print is blurred by some viewers.
    axes.pcolormesh(cells, cmap=colours, norm=norm, edgecolors="white", linewidth=1.0)
    # Sizes of errors, such as a root mean square, have no direction.
    sign = "+" if np.nanmin(cells, initial=0.0) < 0 else ""
    for (row, column), found in np.ndenumerate(cells):
        if np.isfinite(found):
            text = f"{100 * found:{sign}.0f}".replace("-", "−") if abs(found) >= 0.005 else "0"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center")
    axes.set_yticks(np.arange(len(down)) + 0.5, down)
    names = [METHOD_NAMES.get(name, name) for name in across]
    axes.set_xticks(np.arange(len(across)) + 0.5, names, rotation=35, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(label)
    return figure


@printed
def error_against_size(errors: pd.DataFrame, *, methods: Sequence[str], panels: str, label: str) -> Figure:
    """Draw the error of each method against the diameter, one panel a shape.

    Parameters
    ----------
    errors
        Columns ``diameter_um``, ``method``, ``bias_fraction`` and the one that ``panels`` names.
    methods
        Which methods, at most eight.
    panels
        The column that makes panels.
    label
        What the errors are.

    Returns
    -------
    matplotlib.figure.Figure
        Two columns wide.
    """
    kinds = errors[panels].unique().tolist()
    figure = new_figure(width_mm=TWO_COLUMNS_MM, height_mm=62)
    grid = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axes, kind in zip(grid, kinds, strict=True):
        axes.axhline(0, color=GREY, linewidth=0.6)
        for number, method in enumerate(methods):
            own = errors[(errors[panels] == kind) & (errors["method"] == method)].sort_values("diameter_um")
            axes.plot(
                own["diameter_um"],
                100 * own["bias_fraction"],
                color=COLOURS[number],
                linestyle=LINES[number],
                marker=MARKERS[number],
                label=METHOD_NAMES.get(method, method),
            )
        axes.set_title(kind)
        axes.grid(axis="y")
    grid[0].set_ylabel(f"{label} (%)")
    figure.supxlabel("diameter of the ball of equal volume (µm)", fontsize=8)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside right center")
    return figure


@printed
def single_islet_errors(trials: pd.DataFrame, *, methods: Sequence[str], label: str) -> Figure:
    """Draw the errors of single islets: median, middle half, and 5th to 95th percentile, for each method.

    Parameters
    ----------
    trials
        One row an islet with ``true_ieq`` and ``ieq_<method>``.
    methods
        Which methods, from the top.
    label
        What the errors are.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide.
    """
    figure = new_figure(height_mm=20 + 5.0 * len(methods))
    axes = figure.subplots()
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    places = np.arange(len(methods))[::-1]
    for place, method in zip(places, methods, strict=True):
        relative = 100 * (trials[f"ieq_{method}"] / trials["true_ieq"] - 1).dropna().to_numpy()
        if not relative.size:
            continue
        low, first, middle, third, high = np.percentile(relative, [5, 25, 50, 75, 95])
        axes.hlines(place, low, high, color=BLUE, linewidth=0.8)
        axes.barh(place, third - first, left=first, height=0.6, color=FAINT, edgecolor=BLUE, linewidth=0.8)
        axes.vlines(middle, place - 0.3, place + 0.3, color=BLUE, linewidth=1.6)
    axes.set_yticks(places, [METHOD_NAMES.get(name, name) for name in methods])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{label} (%)")
    return figure
