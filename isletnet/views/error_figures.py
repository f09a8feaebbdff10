"""Figures of what a segmentation gets wrong: fates by size, classes mixed up, outlines apart, certainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isletnet.views.print_style import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    printed,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

# A number below a point of so small a share would lie across the axis.
_NEAR_AXIS_PERCENT = 12.0
# Fates of reference islets in the order in which bars stack them.
_FATES = (
    ("matched", SKY, ""),
    ("split", GREEN, "//"),
    ("merged", ORANGE, "\\\\"),
    ("mixed", PURPLE, "xx"),
    ("missed", VERMILION, ""),
)


@printed
def fates_figure(fates: pd.DataFrame, *, by: str, label: str) -> Figure:
    """Draw what became of reference islets in each group, and how many false ones came on top.

    Parameters
    ----------
    fates
        From `isletnet.evaluation.errors.fates_by`.
    by
        The column that names the groups.
    label
        What the groups are.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure = new_figure(height_mm=34 + 5.5 * len(fates))
    axes = figure.subplots()
    places = np.arange(len(fates))
    left = np.zeros(len(fates))
    for fate, colour, hatch in _FATES:
        share = 100 * fates[f"{fate}_fraction"].fillna(0).to_numpy(dtype=float)
        axes.barh(places, share, left=left, height=0.7, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4)
        left += share
    beside = 100 * fates["false_fraction"].to_numpy(dtype=float)
    axes.plot(beside, places, "D", color="black", markersize=3.5)
    names = [f"{name} (n {count})" for name, count in zip(fates[by], fates["reference_n"], strict=True)]
    axes.set_yticks(places, names)
    axes.set_ylabel(label)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, max(100.0, float(np.nanmax(beside, initial=0.0)) * 1.05))
    axes.set_xlabel("share of reference islets (%)")
    signs: list[Patch | Line2D] = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=fate) for fate, colour, hatch in _FATES
    ]
    signs.append(Line2D([], [], marker="D", linestyle="none", color="black", markersize=3.5, label="false, on top"))
    figure.legend(handles=signs, loc="outside upper center", ncols=3)
    return figure


@printed
def confusion_figure(confusion: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Draw which class the pixels of each class became, in percent of the reference's.

    Parameters
    ----------
    confusion
        int64 ``(classes, classes)``: reference in rows, found in columns.
    names
        Of the classes.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide.
    """
    from matplotlib.colors import LinearSegmentedColormap

    whole = confusion.sum(axis=1, keepdims=True)
    share = np.divide(confusion, whole, out=np.full(confusion.shape, np.nan), where=whole > 0)
    figure = new_figure(height_mm=60)
    axes = figure.subplots()
    colours = LinearSegmentedColormap.from_list("share", ["#ffffff", "#2c6fb0"])
    axes.pcolormesh(np.nan_to_num(share), cmap=colours, vmin=0, vmax=1.2, edgecolors="white", linewidth=1.0)
    for (row, column), value in np.ndenumerate(share):
        text = "no pixel" if np.isnan(value) else f"{100 * value:.3g} %"
        counted = f"{confusion[row, column]:,} px".replace(",", "\u202f")
        axes.text(column + 0.5, row + 0.5, f"{text}\n{counted}", ha="center", va="center")
    places = np.arange(len(names)) + 0.5
    axes.set_xticks(places, names)
    axes.set_yticks(places, names, rotation=90, va="center")
    axes.set(xlabel="found", ylabel="reference")
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


@printed
def outline_figure(shifts_um: ArrayLike, sizes: ArrayLike) -> Figure:
    """Draw how far found outlines run from those of the reference, by size class.

    Parameters
    ----------
    shifts_um
        Mean signed distance of each matched islet; above 0 outside.
    sizes
        Size class of each, a pandas categorical in order.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide: median, middle half, 5th to 95th percentile; above 0 the found outline runs outside.
    """
    import pandas as pd

    groups = pd.Series(np.asarray(shifts_um, dtype=float)).groupby(pd.Categorical(sizes), observed=True)
    names, values = zip(*groups, strict=True) if len(groups) else ((), ())
    figure = new_figure(height_mm=24 + 5.5 * max(len(names), 1))
    axes = figure.subplots()
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    for place, one in enumerate(values):
        low, first, middle, third, high = np.percentile(one, [5, 25, 50, 75, 95])
        axes.hlines(place, low, high, color=BLUE, linewidth=0.8)
        axes.barh(place, third - first, left=first, height=0.6, color=FAINT, edgecolor=BLUE, linewidth=0.8)
        axes.vlines(middle, place - 0.3, place + 0.3, color=BLUE, linewidth=1.6)
    axes.set_yticks(range(len(names)), [f"{name} (n {len(one)})" for name, one in zip(names, values, strict=True)])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("shift of the found outline (µm)")
    return figure


@printed
def reliability_figure(bins: pd.DataFrame, *, label: str) -> Figure:
    """Draw how often found islets are right against their stated certainty.

    Parameters
    ----------
    bins
        From `isletnet.evaluation.certainty.reliability`.
    label
        What right means.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide.
    """
    figure = new_figure(height_mm=70)
    axes = figure.subplots()
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=0.8, label="certainty = share")
    certainty, right = 100 * bins["mean_certainty"], 100 * bins["right_fraction"]
    axes.plot(certainty, right, "o-", color=BLUE)
    for x, y, count in zip(certainty, right, bins["islets_n"], strict=True):
        # Below the curve, but not below the axis.
        axes.annotate(f"{count}", (x, y), xytext=(4, -8 if y > _NEAR_AXIS_PERCENT else 4), textcoords="offset points")
    axes.set(xlim=(max(float(certainty.min()) - 4, 0) if len(bins) else 0, 101), ylim=(0, 104))
    axes.set(xlabel="mean islet probability of an islet (%)", ylabel=f"{label} (%)")
    figure.legend(loc="outside upper left")
    return figure


@printed
def uncertainty_figure(hits: pd.DataFrame) -> Figure:
    """Draw the error of each picture against the half width of its interval.

    Parameters
    ----------
    hits
        From `isletnet.evaluation.certainty.interval_hits`.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide. Points below the line lie inside their interval.
    """
    figure = new_figure(height_mm=70)
    axes = figure.subplots()
    stated, error = 100 * hits["stated_fraction"], 100 * hits["error_fraction"].abs()
    top = 1.1 * max(float(stated.max()) if len(hits) else 1.0, float(error.max()) if len(hits) else 1.0, 1.0)
    axes.plot([0, top], [0, top], color=GREY, linewidth=0.8, label="error = stated half width")
    for holds, colour, sign, name in (
        (True, BLUE, "o", "interval holds the truth"),
        (False, VERMILION, "s", "it does not"),
    ):
        own = hits["holds"] == holds
        axes.plot(stated[own], error[own], sign, color=colour, markeredgecolor="white", markeredgewidth=0.3, label=name)
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.set(xlabel="half width of the interval (%)", ylabel="error of the total IEQ (%)")
    figure.legend(loc="outside upper left")
    return figure
