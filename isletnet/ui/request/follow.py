"""How far a request is: the browser listens to the service; this process hears of the end only."""

from __future__ import annotations

import anywidget
import traitlets

from isletnet.ui import friendly
from isletnet.ui.bits import esm
from isletnet.ui.i18n import _
from isletnet.ui.session import Session


class Follow(anywidget.AnyWidget):
    """Progress of a request, image by image; ``ended`` becomes the state in which it ended."""

    _esm = esm("bits.js", "follow.js")
    api_url = traitlets.Unicode().tag(sync=True)
    headers: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    texts: traitlets.Dict[str, object] = traitlets.Dict().tag(sync=True)
    problems: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    request_id = traitlets.Unicode().tag(sync=True)
    ended = traitlets.Unicode().tag(sync=True)


def make_follow(session: Session, request_id: str) -> Follow:
    """Make the view of a request on its way."""
    return Follow(
        api_url=session.place.browser_api_url,
        headers=session.browser_headers,
        texts=_texts(),
        problems=friendly.problems(),
        request_id=request_id,
    )


def state_words() -> dict[str, str]:
    """Give the word for each state of a request."""
    return {
        "draft": _("Not submitted yet"),
        "queued": _("Waiting for its turn"),
        "running": _("Being analysed"),
        "done": _("Done"),
        "dead": _("Failed"),
        "cancelled": _("Cancelled"),
        "deleted": _("Deleted"),
    }


def _texts() -> dict[str, object]:
    return {
        "progress": _("Progress"),
        "states": state_words(),
        "images": {
            "waiting": _("waits"),
            "running": _("is being analysed"),
            "done": _("done"),
            "failed": _("failed"),
        },
        "leave": _("You may close this page. The analysis goes on, and this link brings you back:"),
        "link": _("Link to this request"),
        "copy": _("Copy"),
        "copied": _("Copied"),
        "cancel": _("Stop the analysis"),
        "line_lost": _("The line is broken. It goes on by itself."),
    }
