"""What the page of three dimensions shows: a field for a stack, its slices, and files to take home."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from isletnet.ui.bits import STYLES, esm
from isletnet.ui.i18n import _

LARGEST_STACK_BYTES = 500_000_000
_PIECE_BYTES = 1_000_000


class StackField(anywidget.AnyWidget):
    """A field to choose or drop one file, which comes into a folder piece by piece.

    Parameters
    ----------
    target
        Where it is written.
    on_file
        Is called with the file's name once it is there whole.
    """

    _esm = esm("bits.js", "stack_field.js")
    _css = STYLES / "space.css"
    texts = traitlets.Dict().tag(sync=True)
    largest_bytes = traitlets.Int(LARGEST_STACK_BYTES).tag(sync=True)

    def __init__(self, target: Path, on_file: Callable[[str], None]) -> None:
        super().__init__(
            texts={
                "choose": _("Choose a z-stack, or drop it here"),
                "kinds": _("TIFF or OME-TIFF with a page for each slice"),
                "too_large": _("This file is larger than {most} MB.", most=LARGEST_STACK_BYTES // 1_000_000),
                "arrived": _("{name} is here."),
            }
        )
        self._target, self._on_file = target, on_file
        self.on_msg(self._hear)

    def _hear(self, _widget: Any, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        if message.get("kind") != "piece" or not buffers:
            return
        at, piece = int(message["at"]), bytes(buffers[0])
        # What does not follow on what is there comes from an earlier choice of file.
        if at and (not self._target.is_file() or self._target.stat().st_size != at):
            return
        if at + len(piece) > LARGEST_STACK_BYTES or len(piece) > 2 * _PIECE_BYTES:
            return
        with self._target.open("ab" if at else "wb") as file:
            file.write(piece)
        self.send({"kind": "got", "at": at + len(piece)})
        if at + len(piece) == int(message["size"]):
            self._on_file(str(message["name"])[:200])


class Slices(anywidget.AnyWidget):
    """The slices of a stack to leaf through; each is fetched when it is looked at."""

    _esm = esm("slices.js")
    texts = traitlets.Dict().tag(sync=True)
    slices_n = traitlets.Int(0).tag(sync=True)

    def __init__(self, folder: Path, slices_n: int) -> None:
        super().__init__(
            slices_n=slices_n,
            texts={"slice": _("Slice {number} of {total}"), "place": _("Slice"), "picture": _("Slice with outlines")},
        )
        self._folder = folder
        self.on_msg(self._hear)

    def _hear(self, _widget: Any, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        number = int(message.get("number", -1))
        if 0 <= number < self.slices_n:
            picture = (self._folder / f"{number:04d}.jpg").read_bytes()
            self.send({"kind": "slice", "number": number}, buffers=[picture])


class Files(anywidget.AnyWidget):
    """Buttons that hand files of a folder to the browser; ``files`` maps a file to the button's text."""

    _esm = esm("files.js")
    files = traitlets.Dict().tag(sync=True)
    stem = traitlets.Unicode().tag(sync=True)

    def __init__(self, folder: Path, files: Mapping[str, str], stem: str) -> None:
        super().__init__(files=dict(files), stem=stem)
        self._folder = folder
        self.on_msg(self._hear)

    def _hear(self, _widget: Any, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        name, at = str(message.get("name")), int(message.get("at", 0))
        if name not in self.files:
            return
        with (self._folder / name).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(min(max(at, 0), size))
            piece = file.read(_PIECE_BYTES)
        self.send({"kind": "piece", "name": name, "at": at, "size": size}, buffers=[piece])


def frame_html(scene: str, title: str) -> str:
    """Show a page that stands alone in a frame."""
    return f'<iframe class="islet-scene" title="{escape(title)}" srcdoc="{escape(scene)}"></iframe>'
