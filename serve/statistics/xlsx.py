"""The statistics as an Excel workbook with charts. Every name is written as text, whatever sign it begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from isletnet.exports.text import printable
from serve.statistics.tables import Statistics, tables

if TYPE_CHECKING:
    import pandas as pd

MOST_BARS = 20
_OPTIONS = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
# The file would change with the clock otherwise.
_FIXED_DATE = datetime(1980, 1, 1, tzinfo=UTC)
_GRID = {"visible": True, "line": {"color": "#E0E4E9"}}
_DARK, _RED, _GREY, _AMBER, _BLUE = "#3B4A5A", "#A8123A", "#8FA3B8", "#D98E04", "#2E6F9E"
_CHART_PX = {"width": 620, "height": 300}

_TITLES = {
    "day": "Day",
    "who": "Person",
    "network": "Network",
    "action": "Call",
    "code": "Code",
    "of": "Of",
    "calls_n": "Calls",
    "refused_calls_n": "Refused calls (4xx)",
    "failed_calls_n": "Failed calls (5xx)",
    "refused_n": "Refused (4xx)",
    "failed_n": "Failed (5xx)",
    "requests_n": "Requests ended",
    "done_n": "Done",
    "dead_n": "Dead",
    "cancelled_n": "Cancelled",
    "images_n": "Images",
    "failures_n": "Failures",
    "megapixels": "Megapixels",
    "people_n": "People",
    "working_s": "Work (s)",
    "first_utc": "First (UTC)",
    "last_utc": "Last (UTC)",
}
_MEASURES = {
    "waiting_s": "Wait (s)",
    "working_s": "Work (s)",
    "call_s": "Call (s)",
    "working_s_per_image": "Work per image (s)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    column: str
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chart:
    title: str
    kind: Mapping[str, str]
    sheet: str
    series: Sequence[_Series]
    unit: str


_STACK, _COLUMNS, _LINES, _BARS = (
    {"type": "column", "subtype": "stacked"},
    {"type": "column"},
    {"type": "line"},
    {"type": "bar"},
)
_CHARTS = (
    _Chart(
        title="Requests a day",
        kind=_STACK,
        sheet="days",
        series=(
            _Series(column="done_n", colour=_BLUE),
            _Series(column="dead_n", colour=_RED),
            _Series(column="cancelled_n", colour=_GREY),
        ),
        unit="requests",
    ),
    _Chart(
        title="Images a day",
        kind=_COLUMNS,
        sheet="days",
        series=(_Series(column="images_n", colour=_BLUE),),
        unit="images",
    ),
    _Chart(
        title="Duration of requests",
        kind=_LINES,
        sheet="days",
        series=(
            _Series(column="waiting_s_p50", colour=_GREY),
            _Series(column="working_s_p50", colour=_BLUE),
            _Series(column="working_s_p95", colour=_RED),
        ),
        unit="seconds",
    ),
    _Chart(
        title="Failures a day",
        kind=_STACK,
        sheet="days",
        series=(
            _Series(column="failures_n", colour=_RED),
            _Series(column="failed_calls_n", colour=_AMBER),
        ),
        unit="failures",
    ),
    _Chart(
        title="Images by network",
        kind=_BARS,
        sheet="networks",
        series=(_Series(column="images_n", colour=_DARK),),
        unit="images",
    ),
    _Chart(
        title=f"Images by person (first {MOST_BARS})",
        kind=_BARS,
        sheet="people",
        series=(_Series(column="images_n", colour=_DARK),),
        unit="images",
    ),
)


def statistics_xlsx(statistics: Statistics) -> bytes:
    """Write the workbook: an overview of charts, and a sheet for each table.

    Returns
    -------
    bytes
        The same bytes for the same statistics.
    """
    import xlsxwriter

    buffer = BytesIO()
    named = dict(tables(statistics))
    with xlsxwriter.Workbook(buffer, {"in_memory": True, **_OPTIONS}) as book:
        book.set_properties({"title": "isletnet access statistics", "created": _FIXED_DATE})
        overview = book.add_worksheet("Overview")
        for name, table in named.items():
            _sheet(book, name, table)
        overview.hide_gridlines(2)
        overview.write_string(0, 0, "Use of isletnet", book.add_format({"bold": True, "font_size": 16}))
        overview.write_string(1, 0, f"{statistics.first} to {statistics.last} (days of UTC)")
        for place, chart in enumerate(_CHARTS):
            # A chart without rows would be an empty frame.
            if len(named[chart.sheet]):
                overview.insert_chart(3 + 16 * (place // 2), 10 * (place % 2), _drawn(book, chart, named[chart.sheet]))
    return buffer.getvalue()


def _drawn(book: Any, chart: _Chart, table: pd.DataFrame) -> Any:
    drawn = book.add_chart(dict(chart.kind))
    sheet = _sheet_title(chart.sheet)
    last = len(table) if chart.sheet == "days" else min(len(table), MOST_BARS)
    for one in chart.series:
        column = table.columns.get_loc(one.column)
        drawn.add_series(
            {
                "name": [sheet, 0, column],
                "categories": [sheet, 1, 0, last, 0],
                "values": [sheet, 1, column, last, column],
                **_look(chart, one.colour),
            }
        )
    drawn.set_title({"name": chart.title, "name_font": {"size": 12}})
    values = {"min": 0, "major_gridlines": _GRID, "line": {"none": True}}
    if chart.kind is _BARS:
        # The longest bar is on top, and the numbers stay below all of them.
        drawn.set_y_axis({"reverse": True, "major_gridlines": {"visible": False}})
        drawn.set_x_axis({**values, "label_position": "high", "num_format": "#,##0"})
    else:
        drawn.set_x_axis({"date_axis": True, "num_format": "d mmm", "num_font": {"size": 9}})
        drawn.set_y_axis(
            {**values, "name": chart.unit, "name_font": {"bold": False, "rotation": -90}, "num_format": "#,##0"}
        )
    drawn.set_legend({"none": True} if len(chart.series) == 1 else {"position": "bottom"})
    drawn.show_blanks_as("gap")
    drawn.set_size(_CHART_PX)
    return drawn


def _look(chart: _Chart, colour: str) -> dict[str, Any]:
    if chart.kind is _LINES:
        # Days without requests leave gaps, so a day alone needs its point.
        marker = {"type": "circle", "size": 4, "fill": {"color": colour}, "border": {"none": True}}
        return {"line": {"color": colour, "width": 2.0}, "marker": marker}
    return {"fill": {"color": colour}, "border": {"none": True}, "gap": 40}


def _sheet(book: Any, name: str, table: pd.DataFrame) -> None:
    head = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1, "bg_color": "#E9EDF2"})
    formats = {kind: book.add_format({"num_format": text}) for kind, text in _NUMBER_FORMATS.items()}
    sheet = book.add_worksheet(_sheet_title(name))
    sheet.freeze_panes(1, 1)
    sheet.set_row(0, 32)
    for number, column in enumerate(table.columns):
        sheet.set_column(number, number, _width(column))
        sheet.write_string(0, number, _title(column), head)
        for line, value in enumerate(table[column].tolist(), start=1):
            _write(sheet, line, number, value, formats)
    if len(table):
        sheet.autofilter(0, 0, len(table), len(table.columns) - 1)


_NUMBER_FORMATS = {"count": "#,##0", "number": "#,##0.00", "day": "yyyy-mm-dd", "moment": "yyyy-mm-dd hh:mm"}


def _write(sheet: Any, line: int, number: int, value: Any, formats: Mapping[str, Any]) -> None:
    if isinstance(value, str):
        sheet.write_string(line, number, printable(value)[:200])
    elif isinstance(value, datetime):
        sheet.write_datetime(line, number, value.astimezone(UTC).replace(tzinfo=None), formats["moment"])
    elif isinstance(value, date):
        sheet.write_datetime(line, number, datetime(value.year, value.month, value.day), formats["day"])
    elif value is not None and np.isfinite(value):
        sheet.write_number(line, number, value, formats["count" if isinstance(value, int) else "number"])


def _sheet_title(name: str) -> str:
    return name.capitalize()


def _title(column: str) -> str:
    if column in _TITLES:
        return _TITLES[column]
    measure, _, percentile = column.rpartition("_p")
    known = {"50": "median", "95": "95 % below", "99": "99 % below"}
    return f"{_MEASURES[measure]}, {known[percentile]}"


def _width(column: str) -> float:
    if column in {"who", "action", "code"}:
        return 36.0
    return 18.0 if column.endswith("_utc") or column == "network" else 13.0
