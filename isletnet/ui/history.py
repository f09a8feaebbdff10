"""The history page: one's own requests, searched, compared, followed over time, deleted, given for training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import ipywidgets as widgets

from isletnet.client import Status
from isletnet.ui import bits
from isletnet.ui.earlier.charts import Dated, Named, beside_each_other, day, has_cut, over_time
from isletnet.ui.earlier.past import Agreement, Finding, Mark, agreement, fetch_results, findings, matching
from isletnet.ui.earlier.table import make_table, rows_of
from isletnet.ui.i18n import _, language, ngettext, number, percent

_PAGE_N = 50
_FETCHED_AT_ONCE_N = 10
# Below it, chance alone hardly explains the differences.
_CHANCE = 0.05
# Beyond it nobody says that counts agree; a hundred islets vary by 0.25 by chance.
_CLOSE_CV = 0.3


class History:
    """What the page shows and does; ``root`` is its widget."""

    def __init__(self, page: bits.Page) -> None:
        self._page = page
        self._requests: tuple[Status, ...] = ()
        self._next: str | None = None
        self._found: dict[str, tuple[Finding, ...]] = {}
        self._table = make_table()
        self._words = widgets.Text(placeholder=_("Sample or number of the request"), continuous_update=False)
        self._kind = widgets.Dropdown(options=_kinds(), value="all")
        self._quantity = widgets.Dropdown(options=_quantities(), value="total_ieq")
        self._older = bits.button(_("Show older ones"), page.guarded(self.load))
        self._question = widgets.VBox([])
        self._compared, self._trend = widgets.HTML(), widgets.HTML()
        self._actions = (
            bits.button(_("Give for training …"), page.guarded(self.ask_training)),
            bits.button(_("Take back from training"), page.guarded(self.withdraw)),
            bits.button(_("Delete …"), page.guarded(self.ask_delete), kind="danger"),
        )
        for field in (self._words, self._kind):
            field.observe(page.guarded(lambda _change: self.show()), "value")
        self._quantity.observe(page.guarded(lambda _change: self.draw()), "value")
        self._table.observe(page.guarded(lambda _change: self.draw()), "chosen")
        self._table.observe(page.guarded(lambda _change: self.fetch()), "is_seen")
        self.root = widgets.VBox(
            [
                bits.section(
                    bits.row(bits.labelled(_("Search"), self._words, "long"), bits.labelled(_("State"), self._kind)),
                    self._table,
                    bits.row(*self._actions, self._older),
                    self._question,
                ),
                bits.section(
                    bits.row(bits.labelled(_("Quantity"), self._quantity)),
                    self._compared,
                    self._trend,
                    title=_("Comparison and trend"),
                ),
            ]
        )

    def load(self) -> None:
        """Ask for the next requests, the newest first."""
        answer = self._page.session.client.requests(limit=_PAGE_N, before=self._next)
        self._requests, self._next = (*self._requests, *answer.requests), answer.next
        self._older.layout.display = "" if self._next else "none"
        self.show()
        if self._table.is_seen:
            self.fetch()

    def show(self) -> None:
        """Show the requests that match the search."""
        shown = self._shown()
        ids = {status.request_id for status in shown}
        self._table.rows = rows_of(shown, self._found)
        self._table.chosen = [one for one in self._table.chosen if one in ids]
        self.draw()

    def fetch(self) -> None:
        """Fetch the numbers of finished requests, some at a time, so that they can be seen as they come."""
        wanted = [one for one in self._requests if one.state == "done" and one.request_id not in self._found]
        for place in range(0, len(wanted), _FETCHED_AT_ONCE_N):
            some = wanted[place : place + _FETCHED_AT_ONCE_N]
            results = fetch_results(self._page.session.client, [one.request_id for one in some])
            self._found |= {
                one.request_id: findings(one, results[one.request_id]) if one.request_id in results else ()
                for one in some
            }
            self.show()

    def draw(self) -> None:
        """Draw the comparison of what is chosen, and the trend of what is shown."""
        chosen = self._chosen()
        has_choice = bool(chosen)
        for one in self._actions:
            one.disabled = not has_choice
        quantity = self._quantity.value
        title = dict((value, name) for name, value in _quantities())[quantity]
        self._compared.value = _comparison(self._of(chosen), quantity, title)
        self._trend.value = _trend(self._of(self._shown()), quantity, title)

    def ask_delete(self) -> None:
        """Ask whether to delete what is chosen."""
        n = len(self._chosen())
        text = ngettext(
            "Delete {n} request with its images and results? There is no way back.",
            "Delete {n} requests with their images and results? There is no way back.",
            n,
        )
        self._ask(text, _("Delete for ever"), self.delete, kind="danger")

    def delete(self) -> None:
        """Delete what is chosen."""
        for status in self._chosen():
            self._page.session.client.request(status.request_id).delete()
            self._requests = tuple(one for one in self._requests if one.request_id != status.request_id)
        self.show()

    def ask_training(self) -> None:
        """Ask for the consent to keep the chosen images for training."""
        self._ask(consent_text(), _("I agree, give them"), self.give, tone="info")

    def give(self) -> None:
        """Give the finished images of what is chosen for training."""
        self._consent(granted=True)

    def withdraw(self) -> None:
        """Take the images of what is chosen back from training."""
        self._consent(granted=False)

    def _consent(self, *, granted: bool) -> None:
        images_n = 0
        for status in self._chosen():
            request = self._page.session.client.request(status.request_id)
            for image in request.status.images:
                if image.state == "done" and image.training is not granted:
                    request.consent(image.number, granted=granted, text=consent_text() if granted else "")
                    images_n += 1
        text = (
            ngettext(
                "{n} image was given for training. Thank you.",
                "{n} images were given for training. Thank you.",
                images_n,
            )
            if granted
            else ngettext("{n} image was taken back.", "{n} images were taken back.", images_n)
        )
        self._page.tell(text, "good")

    def _ask(
        self, text: str, yes: str, act: Callable[[], None], *, kind: str = "main", tone: bits.Tone = "warning"
    ) -> None:
        """Show a question below the table, and do it when the answer is yes."""

        def close() -> None:
            self._question.children = []

        def agree() -> None:
            close()
            act()

        sure = bits.button(yes, self._page.guarded(agree), kind="danger" if kind == "danger" else "main")
        keep = bits.button(_("Leave it"), close)
        self._question.children = [bits.html(bits.notice_html(text, tone)), bits.row(sure, keep)]

    def _shown(self) -> tuple[Status, ...]:
        return matching(self._requests, words=self._words.value, kind=self._kind.value)

    def _chosen(self) -> tuple[Status, ...]:
        ids = set(self._table.chosen)
        return tuple(status for status in self._requests if status.request_id in ids)

    def _of(self, requests: Sequence[Status]) -> tuple[Finding, ...]:
        found = [one for status in requests for one in self._found.get(status.request_id, ())]
        return tuple(sorted(found, key=lambda one: one.utc))


def page() -> None:
    """Show the page."""
    bits.show_page(build, title="History", active="history")


def build(page: bits.Page) -> widgets.Widget:
    """Make the body of the page, with the newest requests in it."""
    made = History(page)
    made.load()
    return made.root


def consent_text() -> str:
    """Say what a person agrees to who gives images for training."""
    return _(
        "I may give these images, and they show nothing that tells who the donor or the patient is. They are kept with "
        "their outlines and used to train networks, until I take them back."
    )


def _kinds() -> list[tuple[str, str]]:
    return [(_("all"), "all"), (_("finished"), "done"), (_("under way"), "open"), (_("failed or cancelled"), "failed")]


def _quantities() -> list[tuple[str, str]]:
    return [
        (_("IEQ of the preparation"), "total_ieq"),
        (_("IEQ per kg of the recipient"), "ieq_per_kg"),
        (_("IEQ in the pictures"), "ieq"),
        (_("Islets in the pictures"), "count"),
        (_("Purity by area"), "purity"),
        (_("Mean diameter in µm"), "diameter"),
    ]


def _comparison(found: Sequence[Finding], quantity: str, title: str) -> str:
    rows = [
        Named(name=f"{_name(one)}, {day(one.utc)}", mark=one.marks[quantity]) for one in found if quantity in one.marks
    ]
    heading = f"<h3>{escape(_('Comparison'))}</h3>"
    if len(rows) < 2:
        return heading + _quiet(_("Choose two or more finished requests above to see them beside each other."))
    told = agreement([row.mark for row in rows])
    chart = beside_each_other(rows, title=title) + _of_arrows([row.mark for row in rows])
    return heading + chart + (_verdict(told) if told else "")


def _verdict(told: Agreement) -> str:
    first = _(
        "Mean of {n} counts: {mean}. They differ by {cv} (coefficient of variation).",
        n=told.counts_n,
        mean=number(told.mean),
        cv=percent(told.cv_fraction, 1),
    )
    if told.p_value is None:
        return bits.notice_html(first, "info")
    if told.p_value >= _CHANCE and told.cv_fraction > _CLOSE_CV:
        second = _("Their intervals are so wide that this may be chance. Count more islets to know.")
        return bits.notice_html(f"{first} {second}", "info")
    if told.p_value >= _CHANCE:
        second = _("As repeated counts of one preparation they agree: their intervals explain the differences.")
        return bits.notice_html(f"{first} {second}", "good")
    second = _("They differ more than their intervals explain. If it is the same preparation, count again.")
    return bits.notice_html(f"{first} {second}", "warning")


def _trend(found: Sequence[Finding], quantity: str, title: str) -> str:
    points = [Dated(utc=one.utc, name=_name(one), mark=one.marks[quantity]) for one in found if quantity in one.marks]
    heading = f"<h3>{escape(_('Trend over isolations'))}</h3>"
    if not points:
        return heading + _quiet(_("No finished request above has this number."))
    median = _quiet(_("The dashed line is the median of all that are shown."))
    return heading + over_time(points, title=title) + median + _of_arrows([point.mark for point in points])


def _of_arrows(marks: Sequence[Mark]) -> str:
    if not has_cut(marks):
        return ""
    return _quiet(_("An arrow: the interval goes on. Rest the pointer on the dot to read it, or see the table above."))


def _name(finding: Finding) -> str:
    return finding.sample or _("without a name")


def _quiet(text: str) -> str:
    return f'<p class="islet-quiet" lang="{language()}">{escape(text)}</p>'
