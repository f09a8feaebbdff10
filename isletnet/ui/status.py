"""The status page: how every part of the service is, for those who run it. It refreshes itself while it is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from isletnet.client import AccessError, ServiceError
from isletnet.ui import bits, friendly, health
from isletnet.ui.i18n import ABSENT, _, number, when

EVERY_S = 5.0


class Ticker(anywidget.AnyWidget):
    """Counts ``tick`` up every ``every_s`` seconds while a browser shows the page."""

    _esm = bits.esm("ticker.js")
    _css = bits.STYLES / "status.css"
    every_s = traitlets.Float(EVERY_S).tag(sync=True)
    is_on = traitlets.Bool(True).tag(sync=True)
    tick = traitlets.Int(0).tag(sync=True)


class Watch:
    """Asks the service and shows what it says; ``root`` is its widget."""

    def __init__(self, page: bits.Page) -> None:
        self._page = page
        self._ticker = Ticker()
        self._overview, self._rest = widgets.HTML(), widgets.HTML()
        self._is_live = widgets.Checkbox(value=True, description=_("Refresh by itself"), indent=False)
        self._ticker.observe(page.guarded(lambda _change: self.refresh()), "tick")
        self._is_live.observe(self._switch, "value")
        now = bits.button(_("Refresh now"), page.guarded(self.refresh))
        self.root = widgets.VBox([self._ticker, bits.row(self._is_live, now), self._overview, self._rest])
        self.root.add_class("islet-watch")

    def refresh(self) -> None:
        """Ask how the service is; a service that does not answer is told as such, and asked again."""
        try:
            status = self._page.session.client.status()
        except AccessError:
            self._overview.value = bits.notice_html(
                _("Only administrators see how the service is. Sign in with a key that may."), "info"
            )
            self._rest.value = ""
            self._ticker.is_on = False
            self._page.shell.needs_key = True
            return
        except ServiceError as error:
            text = friendly.sentence(error)
            self._overview.value = bits.notice_html(f"{text} {when(datetime.now(UTC))}", "severe")
            return
        self._overview.value, self._rest.value = overview_html(status), rest_html(status)

    def _switch(self, change: Mapping[str, Any]) -> None:
        self._ticker.is_on = change["new"]


def page() -> None:
    """Show the page."""
    bits.show_page(build, title="Status", active="status")


def build(page: bits.Page) -> widgets.Widget:
    """Make the body of the page, with what the service says now."""
    watch = Watch(page)
    watch.refresh()
    return watch.root


def overview_html(status: Mapping[str, Any]) -> str:
    """Write the sentence that counts, the numbers of the last hour, and how full the machine is."""
    text, tone = health.headline(status)
    queue, hour = status.get("queue", {}), status.get("last_hour", {})
    failed_n = hour.get("failed_calls_n", 0) + hour.get("requests_dead_n", 0)
    cards = (
        bits.card_html(
            _("Waiting"),
            number(queue.get("waiting_n")),
            _("the oldest for {age}", age=health.age(queue.get("oldest_age_s"))) if queue.get("open_n") else "",
        ),
        bits.card_html(_("Under way"), number(queue.get("running_n"))),
        bits.card_html(
            _("Images in the last hour"),
            number(hour.get("images_n")),
            _("{n} megapixels", n=number(hour.get("megapixels"))),
        ),
        bits.card_html(
            _("Failed in the last hour"),
            number(failed_n),
            _("of {n} calls", n=number(hour.get("calls_n"))),
            tone="severe" if failed_n else "good",
        ),
    )
    gauges = "".join(bits.progress_html(one.name, one.fraction, one.text, one.tone) for one in health.gauges(status))
    machine = _("Machine {host}", host=status.get("machine", {}).get("host", ABSENT))
    moment = when(datetime.fromisoformat(status["utc"]))
    return (
        f"{bits.notice_html(text, tone)}"
        f"{_quiet(_('As of {moment}', moment=moment))}"
        f'<div class="islet-cards">{"".join(cards)}</div>'
        f"{_section(machine, gauges + _gpus_html(status))}"
    )


def rest_html(status: Mapping[str, Any]) -> str:
    """Write the parts, chores, errors, processes and versions."""
    rows = "".join(
        f'<tr><th scope="row">{escape(line.name)}</th>'
        f'<td class="islet-state"><span class="islet-notice islet-{line.tone}">{escape(line.state)}</span></td>'
        f"<td>{escape(line.detail)}</td></tr>"
        for line in health.parts(status)
    )
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in (_("Part"), _("State"), _("What it says")))
    parts = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return (
        _section(_("Parts"), f'<div class="islet-table islet-left" tabindex="0">{parts}</div>')
        + _section(
            _("Housekeeping"),
            _table((_("Chore"), _("Last run"), _("Result")), health.chores(status), _("Nothing yet.")),
        )
        + _section(
            _("Latest errors"),
            _table((_("When"), _("Of"), _("Why")), health.errors(status), _("None in the last hour.")),
        )
        + _section(
            _("Processes"),
            _table(
                (_("Name"), _("Memory"), _("Processor time"), _("Open files")), health.processes(status), _("Unknown.")
            ),
        )
        + _section(_("Versions"), _table((_("What"), _("Version")), health.versions(status), _("Unknown.")))
    )


def _gpus_html(status: Mapping[str, Any]) -> str:
    nothing = _("No GPU is known on this machine.")
    head = (_("GPU"), _("Busy"), _("Memory"), _("Temperature"))
    here = _table(head, health.gpus(status), nothing)
    elsewhere = health.gpus_elsewhere(status)
    return here + (_quiet(_("Ray counts GPUs on other machines: {machines}.", machines=elsewhere)) if elsewhere else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> str:
    if not rows:
        return _quiet(nothing)
    return f'<div class="islet-left">{bits.table_html(head, rows)}</div>'


def _quiet(text: str) -> str:
    return f'<p class="islet-quiet">{escape(text)}</p>'


def _section(title: str, content: str) -> str:
    return f'<div class="islet-section"><h2>{escape(title)}</h2>{content}</div>'
