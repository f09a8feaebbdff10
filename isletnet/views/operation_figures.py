"""Figures of how a platform ran: activity, durations, and what drifts over months."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isletnet.views.print_style import (
    BLUE,
    GREY,
    ONE_COLUMN_MM,
    ORANGE,
    SKY,
    TWO_COLUMNS_MM,
    VERMILION,
    new_figure,
    printed,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

_MOST_LABELS_N = 14


@printed
def activity_figure(periods: Sequence[str], done_n: ArrayLike, failed_n: ArrayLike, images_n: ArrayLike) -> Figure:
    """Draw requests, done and failed, above images, by period.

    Parameters
    ----------
    periods
        Names of the periods, in order of time.
    done_n, failed_n, images_n
        1-D counts.
    """
    done, failed, images = (np.asarray(series, dtype=float) for series in (done_n, failed_n, images_n))
    figure = new_figure(height_mm=80)
    above, below = figure.subplots(2, sharex=True)
    places = np.arange(len(periods))
    above.bar(places, done, 0.7, color=BLUE, label="done")
    above.bar(places, failed, 0.7, bottom=done, color=VERMILION, hatch="//", edgecolor="white", label="failed")
    above.set_ylabel("requests")
    above.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    below.bar(places, images, 0.7, color=SKY)
    below.set_ylabel("images")
    _name_periods(below, periods)
    return figure


@printed
def duration_figure(days: Sequence[str], middle_s: ArrayLike, high_s: ArrayLike, *, label: str) -> Figure:
    """Draw the median and the 95th percentile of a duration by day, on a logarithmic axis.

    Parameters
    ----------
    days
        Names, in order of time; a day without requests has NaN.
    middle_s, high_s
        1-D, in seconds.
    label
        What took so long.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    figure = new_figure(height_mm=50)
    axes = figure.subplots()
    places = np.arange(len(days))
    for series, colour, style, name in ((middle_s, BLUE, "o", "median"), (high_s, ORANGE, "^", "95th percentile")):
        axes.plot(places, np.asarray(series, dtype=float), style, color=colour, label=name, markersize=3)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel(f"{label} (s)")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    _name_periods(axes, days)
    return figure


@printed
def drift_figure(
    periods: Sequence[str],
    panels: Sequence[tuple[str, ArrayLike, ArrayLike, ArrayLike]],
) -> Figure:
    """Draw medians with quartiles by period, one panel for each number.

    Parameters
    ----------
    periods
        Names, in order of time.
    panels
        Label, medians, lower and upper quartiles of each number; NaN leaves a gap.
    """
    columns = 2
    rows = -(-len(panels) // columns)
    figure = new_figure(height_mm=12 + 34 * rows, width_mm=TWO_COLUMNS_MM if len(panels) > 1 else ONE_COLUMN_MM)
    grid = figure.subplots(rows, columns if len(panels) > 1 else 1, squeeze=False, sharex=True)
    places = np.arange(len(periods))
    for axes, (label, middle, low, high) in zip(grid.ravel(), panels, strict=False):
        axes.vlines(places, np.asarray(low, float), np.asarray(high, float), color=GREY, linewidth=2.5, alpha=0.5)
        axes.plot(places, np.asarray(middle, float), "o-", color=BLUE, linewidth=0.8)
        axes.set_ylabel(label)
        axes.margins(y=0.15)
    for axes in grid.ravel()[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        _name_periods(axes, periods)
    if len(panels) % columns and len(panels) > 1:
        # Nothing stands below the last but one panel: it names the periods itself.
        last = grid[-2, 1]
        last.tick_params(labelbottom=True)
        _name_periods(last, periods)
    return figure


def _name_periods(axes: Axes, periods: Sequence[str]) -> None:
    step = max(1, -(-len(periods) // _MOST_LABELS_N))
    shown = list(range(0, len(periods), step))
    axes.set_xticks(shown, [periods[place] for place in shown], rotation=45, ha="right")
