"""Small charts as SVG in the colours of the page; they need no library, in the kernel or in the browser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from statistics import median

from isletnet.ui.earlier.past import Mark
from isletnet.ui.i18n import language, number

_WIDTH, _TEXT = 900, 15
_ROW = 38
_TICKS_N = 5
# How far an axis goes, as a multiple of the largest number. The interval of a hundred islets fits: it ends at 1.6 times
# the number. Longer ones end in an arrow.
_MOST_OF_LARGEST = 1.75
_ARROW = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A number beside its name."""

    name: str
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """A number at its day, with what a pointer that rests on it is told."""

    utc: datetime
    name: str
    mark: Mark


def beside_each_other(rows: Sequence[Named], *, title: str) -> str:
    """Draw numbers with their intervals below each other, on one scale that begins at 0.

    Parameters
    ----------
    title
        What is shown, for those who cannot see it; also the name of the axis.
    """
    left, right = 250, 30
    height = _ROW * len(rows) + 62
    ticks = _ticks([row.mark for row in rows])
    scale = (_WIDTH - left - right) / ticks[-1]
    parts = []
    for value in ticks:
        x = left + scale * value
        parts.append(_line(x, 8, x, height - 50, "grid"))
        parts.append(_text(x, height - 30, _tick(value), "middle"))
    for place, row in enumerate(rows):
        y = 8 + _ROW * (place + 0.5)
        parts.append(_text(left - 12, y + 5, _short(row.name, 30), "end"))
        if row.mark.low is not None and row.mark.high is not None:
            end = left + scale * min(row.mark.high, ticks[-1])
            parts.append(_line(left + scale * row.mark.low, y, end, y, "interval"))
            if row.mark.high > ticks[-1]:
                parts.append(_arrow([(end - _ARROW, y - _ARROW), (end, y), (end - _ARROW, y + _ARROW)]))
        parts.append(_dot(left + scale * row.mark.value, y, f"{row.name}: {_said(row.mark)}"))
    parts.append(_text(left + (_WIDTH - left - right) / 2, height - 6, title, "middle", quiet=True))
    return _svg(parts, height, title)


def over_time(points: Sequence[Dated], *, title: str) -> str:
    """Draw numbers with their intervals over their days; a dashed line is their median."""
    left, right, top, bottom = 90, 30, 16, 70
    height = 340
    ticks = _ticks([point.mark for point in points])
    first, last = min(point.utc for point in points), max(point.utc for point in points)
    # A single day stands in the middle.
    margin = max((last - first) / 30, timedelta(days=1))
    first, last = first - margin, last + margin
    across = (_WIDTH - left - right) / (last - first).total_seconds()
    up = (height - top - bottom) / ticks[-1]

    def at(moment: datetime) -> float:
        return left + across * (moment - first).total_seconds()

    def level(value: float) -> float:
        return height - bottom - up * value

    parts = []
    for value in ticks:
        parts.append(_line(left, level(value), _WIDTH - right, level(value), "grid"))
        parts.append(_text(left - 10, level(value) + 5, _tick(value), "end"))
    moments = [first + margin + share * (last - first - 2 * margin) for share in (0.0, 1 / 3, 2 / 3, 1.0)]
    # A few days only have fewer labels.
    for text, moment in {day(moment): moment for moment in moments}.items():
        parts.append(_text(at(moment), height - bottom + 24, text, "middle"))
    middle = median(point.mark.value for point in points)
    parts.append(_line(left, level(middle), _WIDTH - right, level(middle), "median"))
    for point in points:
        x, mark = at(point.utc), point.mark
        if mark.low is not None and mark.high is not None:
            end = level(min(mark.high, ticks[-1]))
            parts.append(_line(x, level(mark.low), x, end, "interval"))
            if mark.high > ticks[-1]:
                parts.append(_arrow([(x - _ARROW, end + _ARROW), (x, end), (x + _ARROW, end + _ARROW)]))
        parts.append(_dot(x, level(mark.value), f"{point.name}, {day(point.utc)}: {_said(mark)}"))
    parts.append(_text(left + (_WIDTH - left - right) / 2, height - 10, title, "middle", quiet=True))
    return _svg(parts, height, title)


def has_cut(marks: Sequence[Mark]) -> bool:
    """Tell whether an interval is longer than the axis that these numbers get, so that it ends in an arrow."""
    end = _ticks(marks)[-1]
    return any(mark.high is not None and mark.high > end for mark in marks)


def ticks_to(highest: float) -> tuple[float, ...]:
    """Choose round values from 0 to the first one that is not below ``highest``."""
    if highest <= 0:
        return (0.0, 1.0)
    rough = highest / _TICKS_N
    power = 10 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    steps_n = math.ceil(highest / step - 1e-9)
    return tuple(step * place for place in range(steps_n + 1))


def day(moment: datetime) -> str:
    """Write the day of a moment in UTC, in this machine's zone and the language of the page."""
    from babel.dates import format_date

    return str(format_date(moment.astimezone().date(), format="medium", locale=language()))


def clock(moment: datetime) -> str:
    """Write the hour and minute of a moment in UTC, in this machine's zone and the language of the page."""
    from babel.dates import format_time

    return str(format_time(moment.astimezone(), format="short", locale=language()))


def _ticks(marks: Sequence[Mark]) -> tuple[float, ...]:
    """Choose an axis for numbers: all are on it, and an interval only as far as the numbers stay easy to read."""
    largest = max(mark.value for mark in marks)
    furthest = max(mark.value if mark.high is None else mark.high for mark in marks)
    return ticks_to(min(furthest, _MOST_OF_LARGEST * largest) if largest > 0 else furthest)


def _said(mark: Mark) -> str:
    if mark.low is None or mark.high is None:
        return number(mark.value)
    return f"{number(mark.value)} ({number(mark.low)}–{number(mark.high)})"


def _tick(value: float) -> str:
    # Steps are multiples of 1, 2, 2.5 and 5.
    decimals = 0 if value >= 10 or float(value).is_integer() else 2 if value < 1 else 1
    return number(value, decimals)


def _short(text: str, most_n: int) -> str:
    return text if len(text) <= most_n else text[: most_n - 1] + "…"


_LINES = {
    "grid": 'stroke="var(--islet-line)"',
    "interval": 'stroke="var(--islet-quiet)" stroke-width="3" stroke-linecap="round"',
    "median": 'stroke="var(--islet-accent)" stroke-width="1.5" stroke-dasharray="7 6"',
}


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {_LINES[kind]}/>'


def _arrow(points: Sequence[tuple[float, float]]) -> str:
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="islet-cut" points="{corners}" fill="none" {_LINES["interval"]}/>'


def _dot(x: float, y: float, told: str) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6.5" fill="var(--islet-accent)"><title>{escape(told)}</title></circle>'
    )


def _text(x: float, y: float, text: str, anchor: str, *, quiet: bool = False) -> str:
    colour = "var(--islet-quiet)" if quiet else "var(--islet-ink)"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{_TEXT}" fill="{colour}">'
        f"{escape(text)}</text>"
    )


def _svg(parts: Sequence[str], height: int, title: str) -> str:
    return (
        f'<svg class="islet-chart" role="img" aria-label="{escape(title)}" viewBox="0 0 {_WIDTH} {height}" '
        f'style="width:100%;max-width:{_WIDTH}px;height:auto;font-family:inherit">{"".join(parts)}</svg>'
    )
