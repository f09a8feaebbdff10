"""The page to correct: outlines under a person's hands, numbers that follow, versions with who and when."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from isletnet.ui import bits
from isletnet.ui.i18n import _, language, number, percent, when

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isletnet.client import Request, Results
    from isletnet.ui.editing.canvas import Canvas
    from isletnet.ui.editing.drawing import Drawing
    from isletnet.ui.editing.numbers import Numbers
    from isletnet.ui.session import Session

_LISTED_N = 20


class Corrector:
    """One image under correction; ``root`` is its widget."""

    def __init__(self, page: bits.Page, request: Request, results: Results, image: int) -> None:
        self._page, self._request, self._results = page, request, results
        self._images = widgets.Dropdown(options=[(one["name"], one["number"]) for one in results.images], value=image)
        self._versions = widgets.Dropdown(options=_version_names(results), value=results.version)
        self._links, self._cards, self._measured, self._history = (widgets.HTML() for _place in range(4))
        self._place = widgets.VBox([])
        self._note = widgets.Text(placeholder=_("Why, for the history (may stay empty)"))
        self._given = widgets.Checkbox(indent=False, description=_("Give this image for training"))
        self._is_filling = False
        save = bits.button(_("Save as new version"), page.guarded(self.save), kind="main")
        discard = bits.button(_("Discard changes"), page.guarded(self.discard))
        self.root = widgets.VBox(
            [
                bits.section(
                    bits.row(
                        bits.labelled(_("Image"), self._images),
                        bits.labelled(_("Version"), self._versions),
                        self._links,
                    ),
                    self._cards,
                ),
                bits.section(self._place),
                bits.section(
                    bits.row(bits.labelled(_("Note"), self._note, "long"), save, discard),
                    self._given,
                    bits.html(f"<p>{escape(consent_text())}</p>", "islet-quiet"),
                    self._measured,
                    title=_("Save"),
                ),
                bits.section(self._history, title=_("Versions")),
            ]
        )
        for field in (self._images, self._versions):
            field.observe(page.guarded(self._chosen), "value")
        self._given.observe(page.guarded(self._consent), "value")
        self.open(image)

    def open(self, image: int) -> None:
        """Open an image at the version of the results that are at hand."""
        from isletnet.ui.editing.canvas import Canvas
        from isletnet.ui.editing.drawing import Drawing
        from isletnet.ui.editing.numbers import rules_of
        from isletnet.ui.editing.opened import open_image

        opened = open_image(self._request, self._results, image)
        rules = rules_of(opened.record)
        self._image = image
        self._drawing: Drawing = Drawing(opened.codes, rules)
        self._before: Numbers = self._drawing.numbers
        place = self._page.session.place
        self._canvas: Canvas = Canvas(
            self._drawing,
            self._show_numbers,
            picture_url=f"{place.browser_api_url}/api/requests/{self._request.id}/images/{image}/picture.jpg",
            headers=self._page.session.browser_headers,
            size_px=opened.size_px,
            um_per_px=rules.um_per_px,
        )
        for old in self._place.children:
            old.close()
        self._place.children = [self._canvas]
        self._links.value = _links(self._request.id, image)
        self._measured.value = ""
        self._fill()
        self._show_numbers()

    def save(self) -> None:
        """Send the labels as a new version, and show what the service measured."""
        if self._drawing.is_saved:
            self._page.tell(_("There is nothing to save: the outlines are as they were opened or saved."), "info")
            return
        self._page.tell(_("Saving, and measuring everything anew …"), "info")
        done = self._request.correct(self._image, self._drawing.codes, kind="regions", note=self._note.value.strip())
        self._drawing.saved()
        self._canvas.saved()
        self._before = self._drawing.numbers
        self._results = self._request.results()
        self._note.value = ""
        self._measured.value = _measured_html(done.version, done.summary)
        self._fill()
        self._show_numbers()
        self._page.tell(
            _("Saved as version {version}. The report and all files follow it.", version=done.version), "good"
        )

    def discard(self) -> None:
        """Open the image again as it is at the service."""
        self.open(self._image)
        self._page.tell("")

    def _chosen(self, change: Mapping[str, Any]) -> None:
        if self._is_filling:
            return
        if not self._drawing.is_saved:
            self._is_filling = True
            change["owner"].value = change["old"]
            self._is_filling = False
            self._page.tell(_("There are changes that are not saved. Save or discard them first."), "warning")
            return
        self._page.tell("")
        if self._versions.value != self._results.version:
            self._results = self._request.results(version=self._versions.value)
        self.open(self._images.value)

    def _consent(self, change: Mapping[str, Any]) -> None:
        if self._is_filling:
            return
        granted = bool(change["new"])
        self._request.consent(self._image, granted=granted, text=consent_text() if granted else "")
        said = _("Thank you. This image is given for training.") if granted else _("This image was taken back.")
        self._page.tell(said, "good")

    def _fill(self) -> None:
        """Show what the service says, without taking that for a wish of the person."""
        self._is_filling = True
        status = self._request.refresh()
        self._versions.options = _version_names(self._results)
        self._versions.value = self._results.version
        self._given.value = any(one.training for one in status.images if one.number == self._image)
        self._history.value = _history_html(self._results, self._image)
        self._is_filling = False

    def _show_numbers(self) -> None:
        self._cards.value = _cards_html(self._drawing.numbers, self._before)


def page(session: Session | None = None) -> None:
    """Show the page."""
    bits.show_page(_build, title="Correct", active="correct", session=session)


def consent_text() -> str:
    """The wording that a person agrees to who gives an image for training."""
    return _(
        "I may give this image, and it shows nothing that tells who the donor or the patient is. It is kept with its "
        "outlines and used to train networks, until I take it back."
    )


def choice_html(session: Session, page_name: str) -> str:
    """List requests that are done, as links to a page."""
    found = session.client.requests(limit=_LISTED_N, state="done").requests
    if not found:
        return f"<p>{escape(_('There is no finished request yet. Analyse an image first.'))}</p>"
    items = "".join(
        f'<li><a href="{page_name}?request={one.request_id}&lang={language()}">'
        f"{escape(str(one.parameters.get('sample_name') or one.request_id[:8]))}</a> "
        f'<span class="islet-quiet">{escape(when(one.ended_utc or one.created_utc))}</span></li>'
        for one in found
    )
    return f"<p>{escape(_('Choose a request:'))}</p><ul>{items}</ul>"


def asked_image(session: Session, results: Results) -> int:
    """The image that the page's address names, or the first one."""
    numbers = [int(one["number"]) for one in results.images]
    asked = session.place.query.get("image", "")
    return int(asked) if asked.isdecimal() and int(asked) in numbers else numbers[0]


def _build(page: bits.Page) -> widgets.Widget:
    session = page.session
    if not session.request_id:
        return bits.section(bits.html(choice_html(session, "correct")))
    request = session.client.request(session.request_id)
    if request.status.state != "done":
        return bits.section(bits.html(bits.notice_html(_("This request has no result that could be corrected."))))
    results = request.results()
    return Corrector(page, request, results, asked_image(session, results)).root


def _links(request_id: str, image: int) -> str:
    query = f"request={request_id}&image={image}&lang={language()}"
    return (
        f'<a class="islet-button" href="analyse?{query}">{escape(_("Result"))}</a> '
        f'<a class="islet-button" href="view3d?{query}">{escape(_("In three dimensions"))}</a>'
    )


def _version_names(results: Results) -> list[tuple[str, int]]:
    names = [(_("0: the network"), 0)]
    return names + [(f"{one.version}: {one.actor}, {when(one.utc)}", one.version) for one in results.versions]


def _cards_html(now: Numbers, before: Numbers) -> str:
    cards = [
        _card(_("Islets counted"), number(now.islets_n), number(before.islets_n)),
        _card(_("IEQ (spheres)"), number(now.ieq), number(before.ieq)),
        _card(_("Purity by area"), percent(now.purity_fraction, 1), percent(before.purity_fraction, 1)),
    ]
    return f'<div class="islet-cards islet-low" aria-live="polite">{"".join(cards)}</div>'


def _card(label: str, now: str, before: str) -> str:
    return bits.card_html(label, now, "" if now == before else _("was {value}", value=before))


def _measured_html(version: int, summary: Mapping[str, Any]) -> str:
    rows = [
        (name, _shown(summary[key], is_share), _between(summary[key], is_share))
        for name, key, is_share in (
            (_("Islets counted"), "count", False),
            ("IEQ", "ieq", False),
            (_("Purity by area"), "purity_area", True),
        )
    ]
    head = ("", _("Value"), _("Interval"))
    return bits.table_html(head, rows, caption=_("Measured by the service, version {version}", version=version))


def _shown(estimate: Mapping[str, Any], is_share: bool) -> str:
    return percent(estimate["value"], 1) if is_share else number(estimate["value"])


def _between(estimate: Mapping[str, Any], is_share: bool) -> str:
    interval = estimate.get("interval")
    if not interval:
        return number(None)
    write = (lambda value: percent(value, 1)) if is_share else number
    return f"{write(interval['low'])} – {write(interval['high'])}"


def _history_html(results: Results, image: int) -> str:
    rows = [("0", _("the network"), "", "")]
    rows += [(str(one.version), one.actor, when(one.utc), one.note) for one in results.versions if one.image == image]
    return f'<div class="islet-left">{bits.table_html((_("Version"), _("Who"), _("When"), _("Note")), rows)}</div>'
