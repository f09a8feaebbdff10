"""The canvas of the editor: draws in the browser, and asks the kernel for every change of labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from isletnet.ui import friendly
from isletnet.ui.bits import STYLES, esm
from isletnet.ui.editing import commands
from isletnet.ui.i18n import _, language

if TYPE_CHECKING:
    from isletnet.ui.editing.drawing import Drawing


class Canvas(anywidget.AnyWidget):
    """A micrograph with islets to edit.

    Parameters
    ----------
    drawing
        What is edited.
    on_change
        Is called after every edit.
    picture_url, headers
        Where the browser fetches the micrograph, and what it sends along.
    size_px
        Width and height of the micrograph.
    um_per_px
        Pixel size; None without calibration.
    """

    _esm = esm("bits.js", "editor_view.js", "editor_tools.js", "editor.js")
    _css = STYLES / "editor.css"
    picture_url = traitlets.Unicode().tag(sync=True)
    headers = traitlets.Dict().tag(sync=True)
    size_px: traitlets.List[Any] = traitlets.List().tag(sync=True)
    um_per_px = traitlets.Float(None, allow_none=True).tag(sync=True)
    language = traitlets.Unicode().tag(sync=True)
    texts = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        drawing: Drawing,
        on_change: Callable[[], None],
        *,
        picture_url: str,
        headers: Mapping[str, str],
        size_px: tuple[int, int],
        um_per_px: float | None,
    ) -> None:
        super().__init__(
            picture_url=picture_url,
            headers=dict(headers),
            size_px=list(size_px),
            um_per_px=um_per_px,
            language=language(),
            texts=_texts(),
        )
        self._drawing, self._on_change = drawing, on_change
        self.on_msg(self._hear)

    def saved(self) -> None:
        """Tell the browser that all is saved, so that it lets the person go."""
        self.send({"kind": "saved"})

    def _hear(self, _widget: Any, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        try:
            self._answer(message, buffers)
        except Exception as error:  # the last line before the page
            friendly.log(error)
            self.send({"kind": "refused", "said": friendly.sentence(error)})

    def _answer(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        kind = message.get("kind")
        if kind == "ready":
            reply = commands.everything(self._drawing)
        elif kind == "look":
            reply = commands.look(self._drawing, message)
        else:
            reply = commands.change(self._drawing, message, buffers)
        self.send(reply.content, buffers=list(reply.buffers))
        if kind in ("edit", "undo", "redo"):
            self._on_change()


def _texts() -> dict[str, str]:
    return {
        "picture": _("Micrograph with the outlines of islets. The keys are listed below it."),
        "no_picture": _("The picture could not be fetched. The outlines can be edited all the same."),
        "tools": _("Tools"),
        "select": _("Select"),
        "several": _("Several"),
        "add": _("Add islet"),
        "add_tissue": _("Add tissue"),
        "redraw": _("Redraw"),
        "split": _("Split"),
        "erase": _("Erase"),
        "brush": _("Brush"),
        "delete": _("Delete"),
        "merge": _("Merge"),
        "class": _("Change class"),
        "undo": _("Undo"),
        "redo": _("Redo"),
        "closer": _("Zoom in"),
        "farther": _("Zoom out"),
        "whole": _("Whole picture"),
        "outlines": _("Outlines"),
        "hint_select": _("Tap an islet. Drag to move the picture; wheel or two fingers zoom."),
        "hint_add": _("Draw around the islet that is missing."),
        "hint_add_tissue": _("Draw around exocrine tissue that is missing."),
        "hint_redraw": _("Draw the new outline of the selected islet."),
        "hint_redraw_none": _("Select one islet first, then draw its new outline."),
        "hint_split": _("Draw a line right across an islet."),
        "hint_erase": _("Wipe over what is no tissue."),
        "selected_one": _("1 islet selected, diameter {diameter}"),
        "selected_many": _("{n} islets selected"),
        "selected_tissue": _("Exocrine tissue selected"),
        "keys": _("Keys"),
        "keys_text": _(
            "V select, A add islet, T add tissue, R redraw, S split, E erase; Del delete, M merge, C change class; "
            "Ctrl+Z undo, Ctrl+Y redo; + − 0 zoom; N and P go from islet to islet. Without a mouse: arrows move the "
            "cross, Enter selects; when drawing, Space sets a point and Enter ends. Esc gives up."
        ),
        "leave": _("There are changes that are not saved."),
    }
