"""Figures of one method of measuring against another: identity scatter, Bland-Altman, intervals side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isletnet.views.numbers import shown_value
from isletnet.views.print_style import (
    BLACK,
    BLUE,
    COLOURS,
    FAINT,
    GREY,
    LINES,
    MARKERS,
    ONE_COLUMN_MM,
    VERMILION,
    new_figure,
    plain_numbers,
    printed,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

# Over a wider range there is room for the powers of ten alone.
_MANY_NUMBERS_RANGE = 300.0
# More groups than this cannot be told apart by a sign each.
MOST_GROUPS_N = 8
# What to write on an axis of factors, by how far the factors reach.
_FACTOR_TICKS = (
    (1.08, (0.92, 0.94, 0.96, 0.98, 1, 1.02, 1.04, 1.06, 1.08)),
    (1.5, (0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5)),
    (3.2, (0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3)),
    (math.inf, (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLine:
    """A line ``found = intercept + slope * reference`` to draw, and what it is called."""

    name: str
    slope: float
    intercept: float


@printed
def identity_scatter(
    found: ArrayLike,
    reference: ArrayLike,
    *,
    found_label: str,
    reference_label: str,
    groups: Sequence[str] | None = None,
    lines: Sequence[FittedLine] = (),
    is_log: bool = False,
    note: str = "",
) -> Figure:
    """Draw found against reference with the line of identity, both axes alike.

    Parameters
    ----------
    found, reference
        1-D, one value a sample.
    found_label, reference_label
        What the axes say, with units.
    groups
        Donor, size class or other group of each sample: a colour and a sign for each, up to `MOST_GROUPS_N`; of more
        groups nothing is told apart.
    lines
        Fitted lines to draw.
    is_log
        Logarithmic axes, for values over several sizes; samples of 0 or less are then left out.
    note
        A short text for the corner, such as the coefficients.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide.
    """
    x, y = np.asarray(reference, dtype=float), np.asarray(found, dtype=float)
    names = np.asarray(groups if groups is not None else [""] * x.size)
    if is_log:
        shown = (x > 0) & (y > 0)
        x, y, names = x[shown], y[shown], names[shown]
    figure = new_figure(height_mm=ONE_COLUMN_MM)
    axes = figure.subplots()
    low, high = _limits(np.concatenate([x, y]), is_log=is_log)
    span = np.geomspace(low, high, 200) if is_log else np.linspace(low, high, 2)
    axes.plot(span, span, color=GREY, linewidth=0.8, label="identity", zorder=1)
    for number, line in enumerate(lines):
        axes.plot(
            span,
            line.intercept + line.slope * span,
            color=COLOURS[(number + 1) % len(COLOURS)],
            linestyle=LINES[(number + 1) % len(LINES)],
            label=line.name,
            zorder=3,
        )
    _samples(axes, x, y, names)
    if is_log:
        axes.set_xscale("log")
        axes.set_yscale("log")
        _write_plain(axes.xaxis, high / low)
        _write_plain(axes.yaxis, high / low)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel=reference_label, ylabel=found_label)
    if note:
        axes.text(0.97, 0.03, note, transform=axes.transAxes, ha="right", va="bottom")
    axes.legend(loc="upper left")
    return figure


@printed
def bland_altman_figure(
    found: ArrayLike,
    reference: ArrayLike,
    *,
    bias: float,
    limits: tuple[float, float],
    bias_interval: tuple[float, float],
    quantity_label: str,
    is_ratio: bool = False,
    groups: Sequence[str] | None = None,
) -> Figure:
    """Draw the difference of two methods against their mean, with bias and limits of agreement.

    Parameters
    ----------
    found, reference
        1-D, one value a sample.
    bias, limits, bias_interval
        From `isletnet.evaluation.agreement`: differences, or factors where ``is_ratio``.
    quantity_label
        What is measured, with its unit.
    is_ratio
        Draw the ratio against the geometric mean, both on logarithmic axes; samples of 0 or less are left out.
    groups
        As for `identity_scatter`.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide.
    """
    x, y = np.asarray(reference, dtype=float), np.asarray(found, dtype=float)
    names = np.asarray(groups if groups is not None else [""] * x.size)
    if is_ratio:
        shown = (x > 0) & (y > 0)
        x, y, names = x[shown], y[shown], names[shown]
    middle = np.sqrt(x * y) if is_ratio else (x + y) / 2
    apart = y / x if is_ratio else y - x
    figure = new_figure(height_mm=62)
    axes = figure.subplots()
    if is_ratio:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.axhspan(*bias_interval, color=FAINT, linewidth=0, zorder=0)
    axes.axhline(1.0 if is_ratio else 0.0, color=GREY, linewidth=0.6, zorder=1)
    _samples(axes, middle, apart, names)
    unit = "" if is_ratio else _unit(quantity_label)
    for value, style, name in (
        (limits[1], "--", "+1.96 SD"),
        (bias, "-", "bias"),
        (limits[0], "--", "−1.96 SD"),
    ):
        axes.axhline(value, color=VERMILION, linestyle=style, linewidth=0.9, zorder=2)
        # Whole from 100 on: three digits alone would be written as a power of ten.
        digits = shown_value(value) if abs(value) >= 100 else f"{value:.3g}"
        number = f"× {digits}" if is_ratio else f"{digits}{unit}".replace("-", "−")
        axes.annotate(
            f"{name}\n{number}",
            (1.0, value),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            color=VERMILION,
        )
    if is_ratio:
        _write_factors(axes.yaxis, np.concatenate([apart, limits]))
        _write_plain(axes.xaxis, float(middle.max() / middle.min()) if middle.size else 1.0)
    axes.set_xlabel(f"{'geometric mean' if is_ratio else 'mean'} of both: {quantity_label}")
    axes.set_ylabel("found / reference" if is_ratio else f"found − reference{f' ({unit.strip()})' if unit else ''}")
    if len(set(names)) > 1 and len(set(names)) <= MOST_GROUPS_N:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, columnspacing=1.0)
    axes.margins(x=0.08, y=0.12)
    return figure


@printed
def interval_figure(
    names: Sequence[str],
    values: ArrayLike,
    lows: ArrayLike,
    highs: ArrayLike,
    *,
    label: str,
    reference: float | None = None,
    is_log: bool = False,
    counts: Sequence[int] | None = None,
) -> Figure:
    """Draw one value with its interval in each row, such as a bias per donor or size class.

    Parameters
    ----------
    names
        What each row is, from the top.
    values, lows, highs
        1-D of the same length; NaN leaves a row empty.
    label
        What the numbers are, with the unit.
    reference
        Where a line stands for "no difference"; None draws none.
    is_log
        Logarithmic axis, for factors.
    counts
        Number of samples behind each row.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide, as high as the rows need.
    """
    value, low, high = (np.asarray(series, dtype=float) for series in (values, lows, highs))
    rows = np.arange(len(names))[::-1]
    figure = new_figure(height_mm=18 + 5.0 * max(len(names), 2))
    axes = figure.subplots()
    if is_log:
        axes.set_xscale("log")
    if reference is not None:
        axes.axvline(reference, color=GREY, linewidth=0.8, zorder=0)
    axes.hlines(rows, low, high, color=BLUE, linewidth=1.2)
    axes.plot(value, rows, "o", color=BLUE, markersize=4)
    texts = names if counts is None else [f"{name} (n {count})" for name, count in zip(names, counts, strict=True)]
    axes.set_yticks(rows, texts)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(label)
    if is_log:
        _write_factors(axes.xaxis, np.concatenate([low, high]))
    return figure


def _samples(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], names: NDArray[np.str_]) -> None:
    kinds = sorted(set(names.tolist()))
    if not 1 < len(kinds) <= MOST_GROUPS_N:
        axes.plot(x, y, "o", color=BLUE, markeredgecolor="white", markeredgewidth=0.3, zorder=2)
        return
    for number, kind in enumerate(kinds):
        own = names == kind
        axes.plot(
            x[own],
            y[own],
            MARKERS[number],
            color=COLOURS[number],
            markeredgecolor=BLACK,
            markeredgewidth=0.25,
            label=kind,
            zorder=2,
        )


def _limits(values: NDArray[np.float64], *, is_log: bool) -> tuple[float, float]:
    if not values.size:
        return (0.1, 1.0) if is_log else (0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    if is_log:
        return low / 1.3, high * 1.3
    margin = 0.05 * (high - low or abs(high) or 1.0)
    # Axes that begin near 0 begin at 0.
    return (0.0 if 0 <= low < 0.3 * high else low - margin), high + margin


def _write_factors(axis: Axis, factors: NDArray[np.float64]) -> None:
    """Write factors around 1 as 0.8, 1, 1.25 and not as powers of ten."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    known = np.abs(np.log(factors[np.isfinite(factors) & (factors > 0)]))
    reach = math.exp(float(known.max(initial=0.0)))
    axis.set_major_locator(FixedLocator(next(ticks for limit, ticks in _FACTOR_TICKS if reach < limit)))
    axis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
    axis.set_minor_locator(NullLocator())


def _write_plain(axis: Axis, range_ratio: float) -> None:
    plain_numbers(axis, subdivisions=(1, 2, 5) if range_ratio < _MANY_NUMBERS_RANGE else (1,))


def _unit(label: str) -> str:
    return f" {label[label.rindex('(') + 1 : -1]}" if label.endswith(")") and "(" in label else ""
