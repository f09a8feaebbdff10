"""Figures of a network's validation: scores by picture, what became of islets by size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isletnet.views.print_style import (
    BLUE,
    COLOURS,
    FAINT,
    GREEN,
    MARKERS,
    ONE_COLUMN_MM,
    VERMILION,
    new_figure,
    printed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike


@printed
def score_figure(scores: ArrayLike, groups: Sequence[str], *, label: str, floor: float = 0.5) -> Figure:
    """Draw a score from 0 to 1 of every picture, in groups, with the median of each.

    Parameters
    ----------
    scores
        1-D; NaN is left out. What lies below ``floor`` is drawn as a triangle at the floor.
    groups
        Group of each picture.
    label
        What the score is.
    floor
        Where the axis begins.
    """
    values, names = np.asarray(scores, dtype=float), np.asarray(groups)
    kinds = sorted(set(groups))
    figure = new_figure(height_mm=55, width_mm=ONE_COLUMN_MM)
    axes = figure.subplots()
    # Seeded, so the figure is the same each time.
    rng = np.random.default_rng(0)
    for place, kind in enumerate(kinds):
        own = values[(names == kind) & np.isfinite(values)]
        spread = place + rng.uniform(-0.18, 0.18, own.size)
        low = own < floor
        axes.plot(spread[~low], own[~low], MARKERS[place], color=COLOURS[place], markersize=3, alpha=0.8, clip_on=False)
        axes.plot(spread[low], np.full(low.sum(), floor), "v", color=VERMILION, markersize=4, clip_on=False)
        if own.size:
            axes.hlines(np.median(own), place - 0.3, place + 0.3, color="black", linewidth=1.2)
    counts = [int(((names == kind) & np.isfinite(values)).sum()) for kind in kinds]
    axes.set_xticks(range(len(kinds)), [f"{kind}\nn = {count}" for kind, count in zip(kinds, counts, strict=True)])
    axes.set(ylim=(floor, 1.0), xlim=(-0.6, max(len(kinds), 2) - 0.4), ylabel=label)
    axes.grid(axis="y")
    return figure


@printed
def outcome_figure(
    strata: Sequence[str], matched_n: Sequence[int], separated_n: Sequence[int], missed_n: Sequence[int]
) -> Figure:
    """Draw what became of the true islets in each stratum: matched, wrongly separated, missed.

    Parameters
    ----------
    strata
        Names, from the top.
    matched_n, separated_n, missed_n
        Islets; the shares of a stratum without islets are left empty.
    """
    parts = np.array([matched_n, separated_n, missed_n], dtype=float)
    whole = parts.sum(axis=0)
    shares = 100 * parts / np.where(whole > 0, whole, np.nan)
    figure = new_figure(height_mm=24 + 5.0 * len(strata))
    axes = figure.subplots()
    rows = np.arange(len(strata))[::-1]
    left = np.zeros(len(strata))
    looks = (("matched", GREEN, ""), ("merged or split", BLUE, "//"), ("missed", VERMILION, ".."))
    for share, (name, colour, hatch) in zip(np.nan_to_num(shares), looks, strict=True):
        axes.barh(rows, share, left=left, height=0.62, color=colour, hatch=hatch, edgecolor="white", label=name)
        left = left + share
    axes.set_yticks(rows, [f"{name} (n {int(n)})" for name, n in zip(strata, whole, strict=True)])
    axes.set(xlim=(0, 100), xlabel="share of true islets (%)")
    axes.tick_params(axis="y", length=0)
    axes.set_facecolor(FAINT if not whole.any() else "none")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.1, 1.0), ncols=3, borderaxespad=0.2, columnspacing=1.0)
    return figure
