"""The numbers of a summary as cards and tables, each with its interval, unit and method."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from isletnet.ui.bits import Tone, card_html, table_html
from isletnet.ui.i18n import ABSENT, _, number, percent
from isletnet.ui.request.words import criterion_name, method_name, quantity_name, unit_name

Summary = Mapping[str, Any]


def headline(summary: Summary, smallest_um: float) -> list[str]:
    """Write the headline numbers of a sample or an image as cards, each with its interval and method.

    Parameters
    ----------
    summary
        As the service gives it.
    smallest_um
        Diameter from which islets are counted.
    """
    prepared = summary.get("preparation") or {}
    counted = _("of at least {um} µm", um=number(smallest_um)) if summary["um_per_px"] else ""
    made = [
        _card(_("IEQ in the pictures"), summary["ieq"], method_name(summary["ieq_method"])),
        _card(_("Islets counted"), summary["count"], counted),
        _card(
            _("Purity"), summary["purity_area"], _("share of the tissue's area"), _tone(summary, "purity_area_fraction")
        ),
        _card(_("Mean diameter"), summary["mean_diameter"], _("circle of equal area")),
    ]
    if prepared:
        made = [
            _card(_("Total IEQ"), prepared["total_ieq"], _("of the whole preparation")),
            *(
                [_card(_("IEQ per kg"), prepared["ieq_per_kg"], tone=_tone(summary, "ieq_per_kg"))]
                if prepared.get("ieq_per_kg")
                else []
            ),
            *([_card(_("IEQ per g"), prepared["ieq_per_g_pancreas"])] if prepared.get("ieq_per_g_pancreas") else []),
            *made,
        ]
    return made


def criteria_html(summary: Summary) -> str:
    """Write the release criteria with what was found, and whether it is enough."""
    rows = []
    for one in summary["criteria"]:
        asked, value = one["criterion"], one["value"]
        word = {True: _("met"), False: _("not met"), None: _("unknown")}[one["passed"]]
        tone = {True: "good", False: "severe", None: "quiet"}[one["passed"]]
        sign = {">=": "≥", "<=": "≤"}[asked["comparison"]]
        rows.append(
            f'<tr><th scope="row">{escape(criterion_name(asked["name"]))}</th>'
            f"<td>{_value(value, asked['unit'])}</td><td>{sign} {_value(asked['limit'], asked['unit'])}</td>"
            f'<td><span class="islet-word islet-{tone}">{escape(word)}</span></td></tr>'
        )
    head = "".join(
        f'<th scope="col">{escape(text)}</th>' for text in (_("Criterion"), _("found"), _("asked for"), _("Outcome"))
    )
    return f'<div class="islet-table"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def size_classes_html(summary: Summary) -> str:
    """Write the table of size classes."""
    rows = [
        [
            f"{number(one['lower_um'], 0)} – {number(one['upper_um'], 0)}"
            if one["upper_um"] is not None
            else f"≥ {number(one['lower_um'], 0)}",
            number(one["islets_n"], 0),
            percent(one["count_fraction"]),
            number(one["ieq_continuous"], 1),
            number(one["ieq_ricordi"], 1),
            percent(one["ieq_fraction"]),
        ]
        for one in summary["size_classes"]
    ]
    head = [_("Diameter (µm)"), _("Islets"), _("Share"), _("IEQ"), _("IEQ, Ricordi"), _("Share of IEQ")]
    return table_html(head, rows)


def methods_html(summary: Summary) -> str:
    """Write the volume methods side by side."""
    rows = []
    chosen = summary["ieq"]["value"]
    for name, estimate in summary["ieq_by_method"].items():
        ratio = estimate["value"] / chosen if chosen and estimate["value"] is not None else None
        volume = (summary["volume_by_method_nl"].get(name) or {}).get("value")
        rows.append(
            [method_name(name), number(estimate["value"]), interval(estimate), number(volume), number(ratio, 2)]
        )
    return table_html([_("Method"), _("IEQ"), _("Interval"), _("Volume (nL)"), _("Ratio")], rows)


def all_numbers_html(summary: Summary) -> str:
    """Write every number with its interval and its method."""
    named = {
        _("IEQ"): summary["ieq"],
        _("Islets counted"): summary["count"],
        _("Purity by area"): summary["purity_area"],
        _("Purity by volume"): summary["purity_volume"],
        _("Mean diameter"): summary["mean_diameter"],
        _("Median diameter"): summary["median_diameter"],
        **{quantity_name(key): value for key, value in {**summary["fragmentation"], **summary["contact"]}.items()},
    }
    rows = [
        [name, _value(one["value"], one["unit"]), interval(one), one["method"]] for name, one in named.items() if one
    ]
    return f'<div class="islet-words">{table_html([_("Quantity"), _("Value"), _("Interval"), _("Method")], rows)}</div>'


def interval(estimate: Summary | None) -> str:
    """Write the interval of an estimate in its unit; a dash without one."""
    given = (estimate or {}).get("interval")
    if not estimate or not given:
        return ABSENT
    low, high = (_plain(given[end], estimate["unit"]) for end in ("low", "high"))
    return f"{low} – {high}"


def _plain(value: float, unit: str) -> str:
    if unit == "fraction":
        return percent(value)
    # Islets are counted whole.
    return number(value, 0 if unit == "islets" else None)


def _card(label: str, estimate: Summary, method: str = "", tone: Tone = "") -> str:
    level = (estimate.get("interval") or {}).get("level")
    detail = f"{interval(estimate)} ({percent(level)})" if level else ""
    value, unit = estimate["value"], estimate["unit"]
    if unit == "fraction" or value is None:
        return card_html(label, percent(value), detail, method=method, tone=tone)
    return card_html(label, number(value), detail, unit=unit_name(unit), method=method, tone=tone)


def _tone(summary: Summary, quantity: str) -> Tone:
    passed = {one["criterion"]["quantity"]: one["passed"] for one in summary["criteria"]}.get(quantity)
    return "" if passed is None else "good" if passed else "severe"


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return ABSENT
    return percent(value) if unit == "fraction" else f"{number(value)} {unit_name(unit)}".strip()
