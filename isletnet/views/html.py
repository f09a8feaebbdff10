"""How a result shows itself in a notebook: one piece of HTML that needs nothing from outside."""

from __future__ import annotations

import base64
from collections.abc import Hashable
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from isletnet.schemas import Estimate, ImageResult, QualityWarning, Summary
from isletnet.views.numbers import UNKNOWN, shown, shown_interval, shown_text, shown_value
from isletnet.views.overlay import overlay
from isletnet.views.plots import histogram_svg

_LARGEST_N = 10
_PICTURE_SIDE_PX = 1200
_TONES = {"severe": "#b00020", "warning": "#8a5a00", "info": "#2f5d8a"}
_CARD = "border:1px solid #8888;border-radius:4px;padding:6px 12px;min-width:130px"
_COLUMNS = {
    "number": "No.",
    "equal_area_diameter_um": "Diameter (µm)",
    "area_px": "Area (px)",
    "area_um2": "Area (µm²)",
    "circularity": "Circularity",
    "solidity": "Solidity",
    "exocrine_contact_fraction": "Exocrine contact",
}


def html(result: ImageResult) -> str:
    """Show a result: headline numbers, overlay, size histogram, the ten largest islets and the warnings.

    Parameters
    ----------
    result
        The whole result of one image.

    Returns
    -------
    str
        A ``<div>``; every text from outside is escaped.
    """
    known = result.calibration if result.calibration.is_known else None
    picture = overlay(
        result.micrograph.pixels,
        result.labelled,
        result.table,
        um_per_px=known.um_per_px if known else None,
        max_side_px=_PICTURE_SIDE_PX,
    )
    summary = result.summary
    return (
        '<div class="isletnet" style="font-family:sans-serif;font-size:13px;line-height:1.35;max-width:1100px">'
        f'<div style="font-size:18px;font-weight:600;margin-bottom:6px">{escape(summary.name)}</div>'
        f"{_headline(summary)}{_warnings(summary.warnings)}"
        '<div style="display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start">'
        f'<img alt="Overlay" style="max-width:560px;width:100%;height:auto" src="{_data_url(picture)}"/>'
        f'<div style="flex:1;min-width:320px">{_sizes(summary)}{_largest(result.table, summary.ieq_method)}</div></div>'
        "</div>"
    )


def _headline(summary: Summary) -> str:
    facts = (
        ("Islet equivalents", summary.ieq),
        ("Purity", summary.purity_area),
        ("Islets", summary.count),
        ("Islet index", summary.islet_index),
        ("Mean diameter", summary.mean_diameter),
    )
    cards = "".join(_card(label, estimate) for label, estimate in facts)
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px;margin-bottom:8px">{cards}</div>'


def _card(label: str, estimate: Estimate) -> str:
    return (
        f'<div style="{_CARD}" title="{escape(shown_text(estimate.method))}"><div>{escape(label)}</div>'
        f'<div style="font-size:20px;font-weight:600">{escape(shown(estimate))}</div>'
        f'<div style="font-size:11px;opacity:.75">{escape(shown_interval(estimate))}</div></div>'
    )


def _warnings(warnings: tuple[QualityWarning, ...]) -> str:
    return "".join(
        f'<div style="border-left:4px solid {_TONES[one.severity]};padding:2px 8px;margin:4px 0">'
        f"<b>{escape(one.severity)}</b> {escape(one.message)}</div>"
        for one in warnings
    )


def _sizes(summary: Summary) -> str:
    if summary.ieq.value is None or not summary.size_classes:
        return "<p>No pixel size is known: no micrometres, no size classes and no IEQ.</p>"
    return histogram_svg(summary.size_classes)


def _largest(table: pd.DataFrame, ieq_method: str) -> str:
    titles = {**_COLUMNS, f"ieq_{ieq_method}": f"IEQ ({ieq_method})"}
    largest = table.nlargest(_LARGEST_N, "area_px")
    columns = [name for name in titles if name in table.columns and not largest[name].isna().all()]
    if largest.empty:
        return "<p>No islet tissue was found.</p>"
    head = "".join(f'<th style="text-align:right">{escape(titles[name])}</th>' for name in columns)
    rows = "".join(f"<tr>{_row(row, columns)}</tr>" for row in largest[columns].to_dict("records"))
    return (
        f'<div style="margin-top:8px;font-weight:600">The {len(largest)} largest of {len(table)}</div>'
        '<table style="border-spacing:10px 2px;font-size:12px;font-variant-numeric:tabular-nums">'
        f"<tr>{head}</tr>{rows}</table>"
    )


def _row(row: dict[Hashable, Any], columns: list[str]) -> str:
    return "".join(f'<td style="text-align:right">{escape(_cell(name, row[name]))}</td>' for name in columns)


def _cell(name: str, entry: float) -> str:
    if pd.isna(entry):
        return UNKNOWN
    return shown_value(entry) if name not in ("number", "area_px") else f"{entry:d}"


def _data_url(picture: NDArray[np.uint8]) -> str:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
