"""The page on which images are sent, followed and read."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as widgets

from isletnet.client import DeletedError, MissingError, Status
from isletnet.ui import friendly
from isletnet.ui.bits import Page, html, notice_html, show_page
from isletnet.ui.i18n import _
from isletnet.ui.request.follow import make_follow
from isletnet.ui.request.intake import make_intake


def page() -> None:
    """Show the page: the form, or the request that the address names."""
    show_page(build, title="Analyse", active="analyse")


def build(page: Page) -> widgets.Widget:
    """Make the body of the page.

    Parameters
    ----------
    page
        Where notices go; its session says who looks, and at which request.
    """
    body = widgets.VBox()
    if page.session.request_id:
        _show_request(page, body, page.session.request_id)
        return body
    intake = make_intake(page.session)

    def follow(change: dict[str, str]) -> None:
        _show_request(page, body, change["new"], refused=intake.refused)

    intake.observe(page.guarded(follow), "request_id")
    body.children = [intake]
    return body


def _show_request(page: Page, body: widgets.VBox, request_id: str, *, refused: Sequence[str] = ()) -> None:
    notices = [html(notice_html(sentence, "severe")) for sentence in refused]
    try:
        status = page.session.client.request(request_id).status
    except (DeletedError, MissingError) as error:
        body.children = [html(notice_html(friendly.sentence(error), "warning") + _again())]
        return
    if status.ended:
        body.children = [*notices, _ended(page, status)]
        return
    follow = make_follow(page.session, request_id)

    def end(change: dict[str, str]) -> None:
        body.children = [*notices, _ended(page, page.session.client.request(request_id).status)]

    follow.observe(page.guarded(end), "ended")
    body.children = [*notices, follow]


def _ended(page: Page, status: Status) -> widgets.Widget:
    if status.state == "done":
        # Its words and tables are not needed to send images.
        from isletnet.ui.request.results import show_results

        results = page.session.client.request(status.request_id).results()
        return widgets.VBox([show_results(page.session, results), html(_again())])
    if status.state == "dead":
        each = "".join(
            notice_html(f"{image.name}: {friendly.problem(image.code, image.message)}", "severe")
            for image in status.failed
        )
        # A request whose images all failed has the reason of one of them.
        is_told = status.code in {image.code for image in status.failed}
        said = "" if is_told else notice_html(friendly.problem(status.code, status.message), "severe")
        return html(said + each + _again())
    words = {"cancelled": _("This analysis was stopped."), "deleted": _("This was deleted.")}
    return html(notice_html(words.get(status.state, status.state), "info") + _again())


def _again() -> str:
    return f'<p class="islet-no-print"><a class="islet-button" href="analyse">{_("Analyse other images")}</a></p>'
