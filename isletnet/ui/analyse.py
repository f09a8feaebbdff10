"""The page on which images are sent, followed and read."""

from __future__ import annotations

import ipywidgets as widgets

from isletnet.client import DeletedError, MissingError
from isletnet.ui import friendly
from isletnet.ui.bits import Page, html, notice_html, show_page
from isletnet.ui.follow import make_follow
from isletnet.ui.i18n import _
from isletnet.ui.intake import make_intake
from isletnet.ui.results import show_results


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
        body.children = [_request(page, body, page.session.request_id)]
    else:
        intake = make_intake(page.session)

        def follow(change: dict[str, str]) -> None:
            page.tell("")
            body.children = [_request(page, body, change["new"])]

        intake.observe(page.guarded(follow), "request_id")
        body.children = [intake]
    return body


def _request(page: Page, body: widgets.VBox, request_id: str) -> widgets.Widget:
    try:
        status = page.session.client.request(request_id).status
    except (DeletedError, MissingError) as error:
        return html(notice_html(friendly.sentence(error), "warning") + _again())
    if status.ended:
        return _ended(page, request_id)
    follow = make_follow(page.session, request_id)

    def end(change: dict[str, str]) -> None:
        body.children = [_ended(page, request_id)]

    follow.observe(page.guarded(end), "ended")
    return follow


def _ended(page: Page, request_id: str) -> widgets.Widget:
    request = page.session.client.request(request_id)
    status = request.status
    if status.state == "done":
        shown = show_results(page.session, request.results())
        return widgets.VBox([shown, html(_again())])
    if status.state == "dead":
        said = notice_html(friendly.problem(status.code, status.message), "severe")
        each = "".join(
            notice_html(f"{image.name}: {friendly.problem(image.code, image.message)}", "warning")
            for image in status.failed
        )
        return html(said + each + _again())
    words = {"cancelled": _("This analysis was stopped."), "deleted": _("This was deleted.")}
    return html(notice_html(words.get(status.state, status.state), "info") + _again())


def _again() -> str:
    return f'<p class="islet-no-print"><a class="islet-button" href="analyse">{_("Analyse other images")}</a></p>'
