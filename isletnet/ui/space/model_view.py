"""The islets of a picture as modelled solids."""

from __future__ import annotations

import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets

from isletnet.ui import bits
from isletnet.ui.i18n import _, ngettext, number
from isletnet.ui.space.apart import run_apart, start
from isletnet.ui.space.widgets import Files, frame_html

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isletnet.client import Request, Results


class ModelView:
    """A picture's islets to turn; ``root`` is its widget."""

    def __init__(self, page: bits.Page, request: Request, results: Results, image: int) -> None:
        self._page, self._request, self._results = page, request, results
        self._folder = tempfile.TemporaryDirectory(prefix="isletnet-space-")
        self._images = widgets.Dropdown(options=[(one["name"], one["number"]) for one in results.images], value=image)
        self._images.observe(page.guarded(self._chosen), "value")
        self._place = widgets.VBox([])
        note = _(
            "A model, not a measurement: over each outline stands the union of the balls that fit into it. "
            "A picture from above says nothing of heights."
        )
        self.root = bits.section(
            bits.row(bits.labelled(_("Image"), self._images)),
            bits.html(f"<p>{escape(note)}</p>"),
            self._place,
            title=_("Islets of this request"),
        )

    async def draw(self) -> None:
        """Fetch the outlines of the chosen image, and show its solids."""
        image = int(self._images.value)
        self._place.children = [bits.html(bits.notice_html(_("Drawing …")))]
        shown: list[widgets.Widget] = []
        try:
            shown = await self._shown(image)
        finally:
            if image == self._images.value:
                self._place.children = shown

    async def _shown(self, image: int) -> list[widgets.Widget]:
        record = next(one["record"] for one in self._results.images if one["number"] == image)
        # A folder for each drawing: another image may be chosen while one is at work.
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        for name in ("islets.tif", "picture.jpg"):
            path = self._request.download(f"images/{image}/{name}", folder, version=self._results.version)
            path.replace(folder / name)
        um_per_px = record["summary"]["um_per_px"]
        size_px = [record["image"]["width_px"], record["image"]["height_px"]]
        unit = "px" if um_per_px is None else "µm"
        label = _("diameter ({unit})", unit=unit)
        smallest_um = record["provenance"]["parameters"]["smallest_islet_um"]
        scale = {"um_per_px": um_per_px, "size_px": size_px, "smallest_um": smallest_um}
        job = {"task": "model", **scale, "value_label": label}
        outcome = await run_apart(folder, job)
        if not outcome["islets_n"]:
            return [bits.html(bits.notice_html(_("There is no islet in this image.")))]
        said = ngettext("{n} islet", "{n} islets", outcome["islets_n"])
        sizes = f"{number(outcome['smallest'], 0)} – {number(outcome['largest'], 0)} {unit}"
        scene = (folder / "scene.html").read_text(encoding="utf-8")
        return [
            bits.html(frame_html(scene, _("Islets in three dimensions"))),
            bits.html(f"<p>{escape(said)}, {escape(_('diameters'))} {escape(sizes)}</p>"),
            Files(folder, {"islets.stl": "STL", "islets.obj": "OBJ"}, stem=str(record["image"]["name"])),
        ]

    def _chosen(self, _change: Mapping[str, object]) -> None:
        start(self.draw(), self._page.tell)
