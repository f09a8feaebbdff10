"""The page of three dimensions: modelled islets of a request, and z-stacks of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from isletnet.ui import bits
from isletnet.ui.correct import asked_image, choice_html
from isletnet.ui.i18n import _
from isletnet.ui.space.apart import start
from isletnet.ui.space.model_view import ModelView
from isletnet.ui.space.stack_view import StackView

if TYPE_CHECKING:
    from isletnet.ui.session import Session


def page(session: Session | None = None) -> None:
    """Show the page."""
    bits.show_page(_build, title="In three dimensions", active="view3d", session=session)


def _build(page: bits.Page) -> widgets.Widget:
    return widgets.VBox([_of_request(page), StackView(page).root])


def _of_request(page: bits.Page) -> widgets.Widget:
    session = page.session
    if not session.request_id:
        return bits.section(bits.html(choice_html(session, "view3d")), title=_("Islets of a request"))
    request = session.client.request(session.request_id)
    if request.status.state != "done":
        return bits.section(bits.html(bits.notice_html(_("This request has no result that could be shown."))))
    results = request.results()
    view = ModelView(page, request, results, asked_image(session, results))
    start(view.draw(), page.tell)
    return view.root
