"""How a platform ran: the service's statistics, and what drifts in images and results over months."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from isletnet.errors import ParameterError
from isletnet.evaluation.drift import LEAST_SAMPLES_N, trend
from isletnet.studies.declaration import is_address
from isletnet.studies.inputs.measurements import read_csv
from isletnet.studies.inputs.service import open_client
from isletnet.studies.inputs.sources import Results
from isletnet.studies.keep import read_json

TABLES = ("days", "people", "networks", "actions", "failures")
# What is followed over time: of the picture, then of the result.
FOLLOWED = {
    "islet_red": "red of islets (0–255)",
    "islet_green": "green of islets (0–255)",
    "islet_blue": "blue of islets (0–255)",
    "islet_red_over_green": "red / green of islets",
    "mean_diameter_um": "mean diameter (µm)",
    "purity_area_fraction": "purity by area",
    "islet_index": "IEQ per islet",
    "networks_differ": "networks differ in IEQ by",
}
DAYS_PER_MONTH = 30.4375


def read_statistics(source: str, *, key_file: str, first: str, last: str) -> dict[str, pd.DataFrame]:
    """Read the statistics of a service: from itself, or from a file that holds its answer (JSON).

    Parameters
    ----------
    source
        Address of the service, or path of the file.
    key_file
        File with an administrator's key; "" for none.
    first, last
        Days ``YYYY-MM-DD``; "" leaves it to the service.

    Returns
    -------
    dict
        `TABLES` by name.

    Raises
    ------
    ParameterError
        A day or the file is not as expected.
    ServiceError
        The service does not give its statistics.
    """
    if is_address(source):
        with open_client(source, key_file=Path(key_file) if key_file else None) as client:
            content: Any = client.statistics(_day(first), _day(last))
    else:
        content = read_json(Path(source))
    if not isinstance(content, Mapping) or not all(isinstance(content.get(name), list) for name in TABLES):
        raise ParameterError(f"statistics with {', '.join(TABLES)} were expected, as a service gives", subject=source)
    return {name: pd.DataFrame(content[name]) for name in TABLES}


def month_table(days: pd.DataFrame) -> pd.DataFrame:
    """Add days up to months.

    Returns
    -------
    pandas.DataFrame
        ``month``, ``requests_n``, ``done_n``, ``dead_n``, ``cancelled_n``, ``images_n``, ``failures_n`` (images and
        requests without a result), ``megapixels``, ``failed_share`` of ended requests, and the median over days of
        the daily ``working_s_p50`` and ``working_s_p95``.
    """
    counted = ["requests_n", "done_n", "dead_n", "cancelled_n", "images_n", "failures_n", "megapixels"]
    grouped = days.assign(month=days["day"].str.slice(0, 7)).groupby("month", sort=True)
    months = grouped[counted].sum()
    ended = months["done_n"] + months["dead_n"]
    months["failed_share"] = months["dead_n"] / ended.where(ended > 0)
    for name in ("working_s_p50", "working_s_p95"):
        months[name] = grouped[name].apply(lambda values: pd.to_numeric(values, errors="coerce").median())
    return months.reset_index()


def nameless(people: pd.DataFrame) -> pd.DataFrame:
    """Number people by how much they did, in place of their names."""
    names = [f"person {number}" for number in range(1, len(people) + 1)]
    return people.assign(who=names).drop(columns="last_utc", errors="ignore")


def followed_table(results: Results, dates_file: str) -> pd.DataFrame:
    """Give for each image of known date what may drift.

    Parameters
    ----------
    results
        From a service, which knows the dates, or from a folder.
    dates_file
        CSV with ``image`` and ``date`` (YYYY-MM-DD) for those of a folder; "" for none.

    Returns
    -------
    pandas.DataFrame
        ``image``, ``date``, the names of `FOLLOWED`, and ``warnings`` (codes); by date, then image.

    Raises
    ------
    ParameterError
        No image has a date.
    """
    dates = _dates(dates_file)
    rows = []
    for image in results.images:
        moment = image.utc or dates.get(image.key)
        if moment is None:
            continue
        table, summary = image.table(), image.record.summary
        colours = {name: _weighted(table, f"mean_{name}") for name in ("red", "green", "blue")}
        apart = image.record.disagreement
        rows.append(
            {
                "image": image.key,
                "date": moment[:10],
                **{f"islet_{name}": value for name, value in colours.items()},
                "islet_red_over_green": colours["red"] / colours["green"] if colours["green"] else np.nan,
                "mean_diameter_um": _number(summary.mean_diameter.value),
                "purity_area_fraction": _number(summary.purity_area.value),
                "islet_index": _number(summary.islet_index.value),
                "networks_differ": np.nan if apart is None else apart.ieq_relative,
                "warnings": " ".join(warning.code for warning in summary.warnings),
            }
        )
    if not rows:
        raise ParameterError("no image has a date; give `dates`, a CSV with image and date", subject="dates")
    return pd.DataFrame(rows).sort_values(["date", "image"], ignore_index=True)


def trend_table(followed: pd.DataFrame, *, level: float) -> pd.DataFrame:
    """Test everything that is followed for a trend.

    The level is shared among the numbers (Bonferroni), so that all intervals hold together.

    Returns
    -------
    pandas.DataFrame
        ``number``, ``images_n``, ``median``, ``change_per_month`` with ``_low`` and ``_high``, ``tau``, ``p``, and
        ``drifts``: whether the interval leaves out 0.
    """
    months = _months(followed["date"])
    each = 1 - (1 - level) / len(FOLLOWED)
    rows = []
    for name in FOLLOWED:
        values = followed[name].to_numpy(float)
        known = np.isfinite(values)
        row: dict[str, Any] = {"number": name, "images_n": int(known.sum())}
        if known.sum() >= LEAST_SAMPLES_N:
            found = trend(months[known], values[known], level=each)
            row |= {
                "median": float(np.median(values[known])),
                "change_per_month": found.slope,
                "change_per_month_low": found.interval.low,
                "change_per_month_high": found.interval.high,
                "tau": found.tau,
                "p": found.p,
                "drifts": bool(found.interval.low > 0 or found.interval.high < 0),
            }
        rows.append(row)
    columns = ["number", "images_n", "median", "change_per_month", "change_per_month_low", "change_per_month_high"]
    return pd.DataFrame(rows, columns=[*columns, "tau", "p", "drifts"])


def monthly(followed: pd.DataFrame, name: str) -> pd.DataFrame:
    """Give median and quartiles of a number by month: ``month``, ``images_n``, ``median``, ``low``, ``high``."""
    grouped = followed.assign(month=followed["date"].str.slice(0, 7)).groupby("month", sort=True)[name]
    return pd.DataFrame(
        {
            "images_n": grouped.count(),
            "median": grouped.median(),
            "low": grouped.quantile(0.25),
            "high": grouped.quantile(0.75),
        }
    ).reset_index()


def warning_table(followed: pd.DataFrame) -> pd.DataFrame:
    """Count warnings by month: ``month``, ``code``, ``images_n`` with it, ``share`` of the month's images."""
    months = followed["date"].str.slice(0, 7)
    whole, found = (
        Counter(months),
        Counter(
            (month, code)
            for month, told in zip(months, followed["warnings"], strict=True)
            for code in set(told.split())
        ),
    )
    rows = [(month, code, count, count / whole[month]) for (month, code), count in sorted(found.items())]
    return pd.DataFrame(rows, columns=["month", "code", "images_n", "share"])


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ParameterError("a day as YYYY-MM-DD was expected", subject=text) from error


def _dates(file: str) -> dict[str, str]:
    if not file:
        return {}
    table = read_csv(Path(file))
    if "date" not in table.columns:
        raise ParameterError("a column `date` was expected", subject=file)
    days = {image: _day(str(day)[:10]) for image, day in zip(table["image"], table["date"], strict=True)}
    return {image: day.isoformat() for image, day in days.items() if day is not None}


def _months(days: pd.Series) -> np.ndarray:
    moments = pd.to_datetime(days)
    return np.asarray((moments - moments.min()).dt.days, dtype=float) / DAYS_PER_MONTH


def _weighted(table: pd.DataFrame, column: str) -> float:
    """Average over the pixels of all islets."""
    areas = table["area_px"].to_numpy(float)
    return float((table[column].to_numpy(float) * areas).sum() / areas.sum()) if areas.sum() else np.nan


def _number(value: float | None) -> float:
    return np.nan if value is None else value
