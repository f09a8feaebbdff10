"""Small things that all pages share: the frame of a page, boxes, cards, tables, buttons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal

import anywidget
import ipywidgets as widgets
import traitlets
from IPython.display import display

from isletnet.client import AccessError
from isletnet.ui import friendly
from isletnet.ui.i18n import LANGUAGES, _, language
from isletnet.ui.session import Session, open_session

Tone = Literal["", "good", "info", "warning", "severe"]

STYLES = Path(__file__).parent / "style"
_JS = Path(__file__).parent / "js"


def esm(*names: str) -> str:
    """Join files of ``js/`` into one module for anywidget; only the last one has a default export."""
    return "\n".join((_JS / name).read_text(encoding="utf-8") for name in names)


class Shell(anywidget.AnyWidget):
    """The head of every page: name, links, language, light or dark, and the field for a key."""

    _esm = esm("bits.js", "shell.js")
    title = traitlets.Unicode().tag(sync=True)
    links: traitlets.List[Any] = traitlets.List().tag(sync=True)
    texts = traitlets.Dict().tag(sync=True)
    language = traitlets.Unicode().tag(sync=True)
    languages = traitlets.Dict().tag(sync=True)
    person = traitlets.Unicode().tag(sync=True)
    needs_key = traitlets.Bool(False).tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)
    key = traitlets.Unicode().tag(sync=True)


class Page:
    """A page that is shown: `session`, and places for notices and for what the page is about."""

    def __init__(self, session: Session, title: str, active: str) -> None:
        self.session = session
        self.shell = Shell(
            title=title, links=_links(active), texts=_shell_texts(), language=language(), languages=dict(LANGUAGES)
        )
        self._notices = widgets.HTML()
        self.body = widgets.VBox()
        css = widgets.HTML(f"<style>{(STYLES / 'isletnet.css').read_text(encoding='utf-8')}</style>")
        self.root = widgets.VBox([css, self.shell, self._notices, self.body])
        self.root.add_class("isletnet")
        self.body.add_class("islet-main")
        css.add_class("islet-hidden")

    def tell(self, text: str, tone: Tone = "severe") -> None:
        """Show a sentence at the top of the page; an empty one takes it away."""
        self._notices.value = notice_html(text, tone) if text else ""

    def guarded(self, callback: Callable[..., Any]) -> Callable[..., None]:
        """Wrap a callback: what goes wrong is told at the top of the page."""
        return friendly.guarded(self.tell)(callback)


def show_page(
    build: Callable[[Page], widgets.Widget], *, title: str, active: str, session: Session | None = None
) -> Page:
    """Show a page: its head at once, then what ``build`` makes, after signing in where the service wants a key.

    Parameters
    ----------
    build
        Makes the body; errors in it become a sentence on the page.
    title
        English title of the page; it is translated here.
    active
        Which link of the head this is: ``analyse``, ``correct``, ``view3d``, ``history`` or ``status``.
    session
        For tests; otherwise that of this kernel.
    """
    session = session or open_session()
    page = Page(session, _(title), active)

    def enter(key: str) -> None:
        try:
            session.sign_in(key)
        except AccessError as error:
            page.shell.needs_key = True
            page.shell.problem = friendly.sentence(error) if key else ""
            return
        page.tell("")
        page.shell.needs_key, page.shell.person = False, "" if session.name == "local" else session.name
        page.body.children = [build(page)]

    page.shell.observe(page.guarded(lambda change: enter(change["new"])), "key")
    display(page.root)  # type: ignore[no-untyped-call]
    page.guarded(enter)("")
    return page


def html(text: str, *classes: str) -> widgets.HTML:
    """Show HTML as it is; escape what people or files wrote before."""
    widget = widgets.HTML(text)
    for name in classes:
        widget.add_class(name)
    return widget


def heading(text: str) -> widgets.HTML:
    """Make the heading of a section."""
    return html(f"<h2>{escape(text)}</h2>")


def section(*children: widgets.Widget, title: str = "") -> widgets.VBox:
    """Make a box with a heading around widgets that belong together."""
    box = widgets.VBox([*([heading(title)] if title else []), *children])
    box.add_class("islet-section")
    return box


def row(*children: widgets.Widget) -> widgets.Box:
    """Put widgets beside each other; they wrap on a narrow screen."""
    box = widgets.Box(list(children))
    box.add_class("islet-row")
    return box


def labelled(text: str, field: widgets.Widget, size: Literal["short", "long", ""] = "") -> widgets.Widget:
    """Put a name before a field."""
    field.description, field.style.description_width = text, "initial"
    if size:
        field.add_class(f"islet-{size}")
    return field


def button(text: str, on_click: Callable[[], Any], *, kind: Literal["", "main", "danger"] = "") -> widgets.Button:
    """Make a button; wrap ``on_click`` with `Page.guarded` before."""
    made = widgets.Button(description=text)
    made.add_class("islet-button")
    if kind:
        made.add_class(f"islet-{kind}")
    made.on_click(lambda _button: on_click())
    return made


def notice_html(text: str, tone: Tone = "info") -> str:
    """Write a box with a sentence, for people and for screen readers."""
    role = "alert" if tone == "severe" else "status"
    return f'<div class="islet-notice islet-{tone or "info"}" role="{role}">{escape(text)}</div>'


def warnings_html(warnings: Iterable[Mapping[str, Any]]) -> str:
    """Write the warnings of a summary in plain language, the gravest first."""
    order = {"severe": 0, "warning": 1, "info": 2}
    ranked = sorted(warnings, key=lambda one: order.get(one.get("severity", "warning"), 1))
    return "".join(
        notice_html(friendly.warning(one["code"], one["message"], one.get("evidence")), one.get("severity", "warning"))
        for one in ranked
    )


def card_html(label: str, value: str, detail: str = "", *, unit: str = "", tone: Tone = "", method: str = "") -> str:
    """Write a headline number: label, value and unit, what stands below, and the method."""
    below = f'<span class="islet-card-detail">{escape(detail)}</span>' if detail else ""
    how = f'<span class="islet-card-method">{escape(method)}</span>' if method else ""
    in_unit = f' <span class="islet-card-unit">{escape(unit)}</span>' if unit else ""
    return (
        f'<div class="islet-card islet-{tone}"><span class="islet-card-label">{escape(label)}</span>'
        f'<span class="islet-card-value">{escape(value)}{in_unit}</span>{below}{how}</div>'
    )


def cards(*card: str) -> widgets.HTML:
    """Put headline numbers beside each other."""
    return html(f'<div class="islet-cards">{"".join(card)}</div>')


def progress_html(name: str, fraction: float, text: str, tone: Tone = "") -> str:
    """Write a row with a name, a bar and a word about it."""
    share = round(100 * min(max(fraction, 0.0), 1.0))
    return (
        f'<div class="islet-progress islet-{tone}"><span class="islet-progress-name">{escape(name)}</span>'
        f'<progress max="100" value="{share}" aria-label="{escape(name)}"></progress>'
        f'<span class="islet-progress-text">{escape(text)}</span></div>'
    )


def table_html(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> str:
    """Write a table of texts; all columns but the first are set right."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="islet-table" tabindex="0"><table>{title}<thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _links(active: str) -> list[dict[str, Any]]:
    pages = {
        "analyse": _("Analyse"),
        "correct": _("Correct"),
        "view3d": _("3D"),
        "history": _("History"),
        "status": _("Status"),
    }
    return [{"href": name, "text": text, "active": name == active} for name, text in pages.items()]


def _shell_texts() -> dict[str, str]:
    return {
        "skip": _("Skip to the content"),
        "language": _("Language"),
        "theme": _("Light or dark"),
        "key": _("Your key"),
        "sign_in": _("Sign in"),
        "key_why": _("The service wants to know who you are. Your administrator gives you a key."),
        "sign_out": _("Sign out"),
        "asleep": _("This page was not used for long and has gone to sleep. What you submitted is safe."),
        "reload": _("Load it again"),
    }
