"""Figures of sampling: how wide an interval is for how many islets, and how often intervals hold the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isletnet.views.print_style import (
    BLACK,
    BLUE,
    COLOURS,
    FAINT,
    GREY,
    LINES,
    MARKERS,
    VERMILION,
    new_figure,
    plain_numbers,
    printed,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@printed
def width_figure(widths: pd.DataFrame, *, wanted_half_width: float, level: float) -> Figure:
    """Draw the half width of the interval of a total against the islets counted.

    Parameters
    ----------
    widths
        Columns ``islets_n``, ``half_width_fraction`` and ``quantity``, which makes the lines.
    wanted_half_width
        As a fraction; a line shows it, and a mark where each curve meets it.
    level
        Confidence level, for the text.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide.
    """
    figure = new_figure(height_mm=66)
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axhline(100 * wanted_half_width, color=GREY, linewidth=0.8)
    axes.annotate(
        f"wanted: ±{100 * wanted_half_width:g} %",
        (0.01, 100 * wanted_half_width),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        va="bottom",
        color=BLACK,
    )
    for number, (name, line) in enumerate(widths.groupby("quantity", sort=False)):
        counted, percent = line["islets_n"].to_numpy(), 100 * line["half_width_fraction"].to_numpy()
        axes.plot(counted, percent, color=COLOURS[number], linestyle=LINES[number], label=name)
        if percent.min() <= 100 * wanted_half_width <= percent.max():
            meets = np.exp(np.interp(-np.log(100 * wanted_half_width), -np.log(percent), np.log(counted)))
            axes.plot(meets, 100 * wanted_half_width, MARKERS[number], color=COLOURS[number])
            axes.annotate(
                f"{meets:,.0f}".replace(",", "\u202f"),
                (meets, 100 * wanted_half_width),
                xytext=(3, 3),
                textcoords="offset points",
                color=COLOURS[number],
            )
    plain_numbers(axes.xaxis, subdivisions=(1,))
    plain_numbers(axes.yaxis)
    axes.set_xlabel("islets counted")
    axes.set_ylabel(f"half width of the {100 * level:g} % interval (%)")
    axes.legend(loc="upper right")
    return figure


@printed
def coverage_figure(coverages: pd.DataFrame, *, level: float) -> Figure:
    """Draw how often intervals hold the true total, against the islets in a sample.

    Parameters
    ----------
    coverages
        Columns of `isletnet.evaluation.sampling_design.Coverage`.
    level
        What the share should be.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(height_mm=55)
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.axhline(100 * level, color=GREY, linewidth=0.8, label=f"stated: {100 * level:g} %")
    covered = 100 * coverages["covered_fraction"]
    below, above = covered - 100 * coverages["low_fraction"], 100 * coverages["high_fraction"] - covered
    axes.errorbar(
        coverages["islets_n"],
        covered,
        yerr=np.stack([below, above]),
        fmt="o",
        color=BLUE,
        capsize=2,
        elinewidth=0.8,
        label="simulated",
    )
    lowest = float(100 * coverages["low_fraction"].min())
    axes.set_ylim(min(100 * level - 12, lowest - 2), 100.5)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right")
    plain_numbers(axes.xaxis)
    axes.set_xlabel("islets in a sample")
    axes.set_ylabel("intervals that hold the truth (%)")
    return figure


@printed
def replicate_figure(values: Sequence[float], samples: Sequence[str], *, label: str) -> Figure:
    """Draw the replicates of each sample against their mean.

    Parameters
    ----------
    values
        One a replicate.
    samples
        Which sample each is of; samples of one replicate are left out.
    label
        What is measured, with its unit.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide.
    """
    found, names = np.asarray(values, dtype=float), np.asarray(samples)
    figure = new_figure(height_mm=60)
    axes = figure.subplots()
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    # Samples without a second replicate say nothing.
    for name in dict.fromkeys(names.tolist()):
        own = found[names == name]
        middle = own.mean()
        if own.size < 2 or not middle > 0:
            continue
        apart = 100 * (own / middle - 1)
        axes.vlines(middle, apart.min(), apart.max(), color=FAINT, linewidth=1.5, zorder=1)
        axes.plot(np.full(own.size, middle), apart, "o", color=BLUE, markeredgecolor="white", markeredgewidth=0.3)
        axes.plot([middle], [0], "_", color=VERMILION, markersize=6)
    if not axes.collections:
        axes.text(0.5, 0.5, "No sample has two replicates", transform=axes.transAxes, ha="center", va="center")
        axes.set_axis_off()
    axes.set_xlabel(f"mean of the replicates: {label}")
    axes.set_ylabel("difference from the mean (%)")
    return figure
