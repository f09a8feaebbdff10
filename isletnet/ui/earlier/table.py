"""The table of requests on the history page: rows to sort and to choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import anywidget
import traitlets

from isletnet.client import Status
from isletnet.ui.bits import STYLES, esm
from isletnet.ui.earlier.charts import clock, day
from isletnet.ui.earlier.past import Finding, Mark, sample_of
from isletnet.ui.i18n import ABSENT, _, ngettext, number, percent


class RequestTable(anywidget.AnyWidget):
    """Shows rows and tells which are ``chosen``; ``is_seen`` becomes true when a browser shows it."""

    _esm = esm("bits.js", "history.js")
    _css = STYLES / "history.css"
    head = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows: traitlets.List[Any] = traitlets.List().tag(sync=True)
    texts = traitlets.Dict().tag(sync=True)
    chosen: traitlets.List[Any] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    is_seen = traitlets.Bool(False).tag(sync=True)


def make_table() -> RequestTable:
    """Make an empty table in the language of the page."""
    made = RequestTable(
        head=[
            _("Day"),
            _("Sample"),
            _("State"),
            _("IEQ in the pictures"),
            _("IEQ of the preparation"),
            _("Islets"),
            _("Purity"),
        ],
        texts={
            "choose": _("Choose"),
            "choose_all": _("Choose all"),
            "caption": _("Choose requests to compare, delete or give for training."),
            "empty": _("There is no request like this."),
        },
    )
    made.add_class("islet-requests")
    return made


def rows_of(requests: Sequence[Status], found: Mapping[str, Sequence[Finding]]) -> list[dict[str, Any]]:
    """Write the rows of the table; numbers stand where they have been fetched."""
    return [_row(status, found.get(status.request_id, ())) for status in requests]


def state_name(state: str) -> str:
    """Name the state of a request for people."""
    return {
        "queued": _("waiting"),
        "running": _("under way"),
        "done": _("finished"),
        "dead": _("failed"),
        "cancelled": _("cancelled"),
    }.get(state, state)


def _row(status: Status, found: Sequence[Finding]) -> dict[str, Any]:
    moment = status.submitted_utc or status.created_utc
    name = sample_of(status) or _("without a name")
    return {
        "id": status.request_id,
        "name": name,
        "cells": [
            _day_cell(moment),
            {"text": name, "sort": name, "href": f"analyse?request={quote(status.request_id)}"},
            _state_cell(status),
            *(_sum_cell(found, quantity) for quantity in ("ieq", "total_ieq", "count")),
            _purity_cell(found),
        ],
    }


def _state_cell(status: Status) -> dict[str, Any]:
    name = state_name(status.state)
    tone = {"dead": "severe", "cancelled": "quiet", "done": "good"}.get(status.state, "info")
    small = percent(status.progress_fraction) if status.state == "running" else ""
    if status.version:
        small = _("corrected")
    return {"text": name, "sort": name, "tone": tone, "small": small}


def _sum_cell(found: Sequence[Finding], quantity: str) -> dict[str, Any]:
    """Write a number; a request of several samples has none of its own."""
    marks = [finding.marks[quantity] for finding in found if quantity in finding.marks]
    if len(found) > 1:
        return {"text": ngettext("{n} sample", "{n} samples", len(found)), "tone": "quiet"}
    # Islets are counted whole.
    return _mark_cell(marks[0], 0 if quantity == "count" else None) if marks else {"text": ABSENT}


def _mark_cell(mark: Mark, decimals: int | None) -> dict[str, Any]:
    has_interval = mark.low is not None and mark.high is not None
    small = f"{number(mark.low, decimals)}–{number(mark.high, decimals)}" if has_interval else ""
    return {"text": number(mark.value, decimals), "sort": mark.value, "small": small}


def _purity_cell(found: Sequence[Finding]) -> dict[str, Any]:
    marks = [finding.marks["purity"] for finding in found if "purity" in finding.marks]
    return (
        {"text": percent(marks[0].value), "sort": marks[0].value} if len(found) == len(marks) == 1 else {"text": ABSENT}
    )


def _day_cell(moment: datetime | None) -> dict[str, Any]:
    if moment is None:
        return {"text": ABSENT}
    return {"text": day(moment), "small": clock(moment), "sort": moment.timestamp()}
