"""The size histogram: as SVG for pages, as a Matplotlib figure for publications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isletnet.schemas import SizeClass, Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COUNT_RGB, IEQ_RGB = "#8fa3b8", "#a8123a"
COUNT_TEXT, IEQ_TEXT = "share of islets", "share of IEQ"
DIAMETER_TEXT = "equal-area diameter (µm)"
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 520, 250, 8, 30, 48


def class_label(row: SizeClass) -> str:
    """Write the bounds of a size class in um."""
    return f"≥{row.lower_um:g}" if row.upper_um is None else f"{row.lower_um:g}–{row.upper_um:g}"


def histogram_svg(size_classes: Sequence[SizeClass]) -> str:
    """Draw the shares of islets and of IEQ in each size class.

    Parameters
    ----------
    size_classes
        At least one, in order.

    Returns
    -------
    str
        An ``<svg>`` element that needs nothing from outside.
    """
    top = max([0.05, *(max(row.count_fraction, row.ieq_fraction) for row in size_classes)])
    step = (_WIDTH - 2 * _LEFT) / len(size_classes)
    floor, room = _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM - _TOP - 12
    marks = []
    for number, row in enumerate(size_classes):
        middle = _LEFT + (number + 0.5) * step
        bars = (
            (middle - 0.41 * step, row.count_fraction, COUNT_RGB),
            (middle + 0.01 * step, row.ieq_fraction, IEQ_RGB),
        )
        for left, share, colour in bars:
            height = room * share / top
            marks.append(
                f'<rect x="{left:.1f}" y="{floor - height:.1f}" width="{0.4 * step:.1f}" height="{height:.1f}" '
                f'fill="{colour}"/>'
            )
            if share > 0:
                marks.append(_text(left + 0.2 * step, floor - height - 4, f"{100 * share:.0f}", 10))
        marks.append(_text(middle, floor + 14, class_label(row), 11))
        marks.append(_text(middle, floor + 28, f"n {row.islets_n}", 10))
    legend = (
        f'<rect x="{_LEFT}" y="8" width="10" height="10" fill="{COUNT_RGB}"/>'
        f'<text x="{_LEFT + 15}" y="17" font-size="12">{COUNT_TEXT} (%)</text>'
        f'<rect x="{_LEFT + 140}" y="8" width="10" height="10" fill="{IEQ_RGB}"/>'
        f'<text x="{_LEFT + 155}" y="17" font-size="12">{IEQ_TEXT} (%)</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Islet size classes" font-family="sans-serif" fill="currentColor" style="max-width:{_WIDTH}px">'
        f"{legend}{''.join(marks)}"
        f'<line x1="{_LEFT}" y1="{floor}" x2="{_WIDTH - _LEFT}" y2="{floor}" stroke="currentColor"/>'
        f"{_text(_WIDTH / 2, _HEIGHT - 4, DIAMETER_TEXT, 12)}</svg>"
    )


def size_histogram(summary: Summary) -> Figure:
    """Draw the size histogram as a Matplotlib figure, to be saved in any format.

    Parameters
    ----------
    summary
        Of an image or a sample; without calibration the figure says that there are no size classes.

    Returns
    -------
    matplotlib.figure.Figure
        Not bound to any window.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
    axes = figure.subplots()
    if summary.ieq.value is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "No pixel size is known: no size classes", ha="center", va="center")
        return figure
    places = list(range(len(summary.size_classes)))
    counts = [100 * row.count_fraction for row in summary.size_classes]
    shares = [100 * row.ieq_fraction for row in summary.size_classes]
    axes.bar([place - 0.21 for place in places], counts, 0.4, color=COUNT_RGB, label=COUNT_TEXT)
    axes.bar([place + 0.21 for place in places], shares, 0.4, color=IEQ_RGB, label=IEQ_TEXT)
    labels = [f"{class_label(row)}\nn {row.islets_n}" for row in summary.size_classes]
    axes.set_xticks(places, labels, fontsize=8)
    axes.set_xlabel(DIAMETER_TEXT)
    axes.set_ylabel("share (%)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def _text(x: float, y: float, text: str, size_px: int) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size_px}" text-anchor="middle">{text}</text>'
