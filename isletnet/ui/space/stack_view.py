"""A z-stack of one's own: found, measured, and shown with its slices beside its surfaces."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from isletnet.errors import ParameterError
from isletnet.ui import bits
from isletnet.ui.i18n import _, number
from isletnet.ui.space.apart import JobError, run_apart, start
from isletnet.ui.space.widgets import Files, Slices, StackField, frame_html

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isletnet.client import Client

_LISTED_N = 200


class StackView:
    """Takes a stack and shows what is in it; ``root`` is its widget."""

    def __init__(self, page: bits.Page) -> None:
        self._page = page
        self._scratch = tempfile.TemporaryDirectory(prefix="isletnet-space-")
        self._file, self._name, self._runs_n, self._is_busy = Path(self._scratch.name) / "stack.tif", "", 0, False
        self._kind = widgets.Dropdown(options=_kinds(), value="intensity")
        self._across = _field(_("µm per pixel"), _("from the file"))
        self._along = _field(_("µm between slices"), _("from the file"))
        self._smallest = _field(_("Smallest islet (µm)"), "50")
        self._go = bits.button(
            _("Find and measure"), page.guarded(lambda: start(self.measure(), page.tell)), kind="main"
        )
        self._go.disabled = True
        self._said, self._place = widgets.HTML(), widgets.VBox([])
        self.root = bits.section(
            StackField(self._file, self._arrived),
            bits.row(bits.labelled(_("Kind"), self._kind), self._across, self._along, self._smallest, self._go),
            self._said,
            self._place,
            title=_("A z-stack of your own"),
        )

    async def measure(self) -> None:
        """Find the islets of the stack that has arrived, and show them."""
        if self._is_busy:
            return
        self._is_busy, self._go.disabled = True, True
        self._page.tell("")
        try:
            await self._measure()
        finally:
            self._is_busy, self._go.disabled = False, False
            self._said.value = ""

    async def _measure(self) -> None:
        self._runs_n += 1
        folder = self._file.parent / str(self._runs_n)
        folder.mkdir()
        shutil.copyfile(self._file, folder / "stack.tif")
        job = {
            "kind": self._kind.value,
            "name": self._name,
            "um_per_px": _length(self._across),
            "um_per_slice": _length(self._along),
            "smallest_um": _length(self._smallest) or 50.0,
            "value_label": _("volume (IEQ)"),
        }
        self._say(_("Reading the stack …"))
        if job["kind"] == "micrographs":
            cut = await run_apart(folder, {"task": "cut", **job})
            client = self._page.session.client
            await asyncio.to_thread(found_by_service, client, folder, cut["um_per_px"], job["smallest_um"], self._say)
        self._say(_("Finding, measuring and drawing …"))
        outcome = await run_apart(folder, {"task": "stack", **job})
        for old in self._place.children:
            old.close()
        self._place.children = self._shown(folder, outcome)

    def _shown(self, folder: Path, outcome: dict[str, Any]) -> tuple[widgets.Widget, ...]:
        scene = bits.html(frame_html((folder / "scene.html").read_text(encoding="utf-8"), _("Surfaces")))
        pair = widgets.Box([Slices(folder / "shown", outcome["shape"][0]), scene])
        pair.add_class("islet-pair")
        files = {"islets.stl": "STL", "islets.obj": "OBJ", "labels.ome.tif": "OME-TIFF", "solids.csv": "CSV"}
        return (
            bits.html(_cards(outcome["solids"])),
            bits.html(f'<p class="islet-quiet">{escape(_voxel_text(outcome))}</p>'),
            pair,
            Files(folder, files, stem=Path(self._name).stem or "stack"),
            bits.html(_table(outcome["solids"])),
        )

    def _arrived(self, name: str) -> None:
        self._name = name
        self._go.disabled = self._is_busy

    def _say(self, text: str) -> None:
        self._said.value = bits.notice_html(text)


def found_by_service(
    client: Client, folder: Path, um_per_px: float, smallest_um: float, say: Callable[[str], None]
) -> None:
    """Let the service find islets in ``slices/*.png``; its labels go to ``found``, and the request is deleted."""
    paths = sorted((folder / "slices").iterdir())
    parameters = {"um_per_px": um_per_px, "smallest_particle_um": smallest_um, "uncertainty": "none"}
    say(_("Sending {n} slices to the service …", n=len(paths)))
    request = client.submit(paths, parameters)
    try:
        request.wait(
            lambda progress: say(_("Finding islets in the slices: {share} %", share=round(100 * progress.fraction)))
        )
        if request.status.state != "done" or request.status.failed:
            raise JobError(_("The service could not find islets in these slices."))
        (folder / "found").mkdir()
        for place, path in enumerate(paths):
            request.download(f"images/{place}/islets.tif", folder).replace(folder / "found" / f"{path.stem}.tif")
    finally:
        request.delete()


def _kinds() -> list[tuple[str, str]]:
    return [
        (_("Grey, bright islets on dark (confocal)"), "intensity"),
        (_("Colour, stained islets (network of the service)"), "micrographs"),
        (_("Numbers of islets (labels)"), "labels"),
    ]


def _field(text: str, placeholder: str) -> widgets.Widget:
    return bits.labelled(text, widgets.Text(placeholder=placeholder), "short")


def _length(field: widgets.Text) -> float | None:
    text = field.value.strip().replace(",", ".")
    try:
        value = float(text) if text else None
    except ValueError:
        value = -1.0
    if value is not None and not 0 < value < float("inf"):
        raise ParameterError(_("{name}: write a number above 0, or leave it empty.", name=field.description))
    return value


def _cards(solids: Sequence[dict[str, Any]]) -> str:
    sphericity = sum(one["sphericity"] for one in solids) / len(solids)
    cards = (
        bits.card_html(_("Islets in the stack"), number(len(solids))),
        bits.card_html(_("Volume"), f"{number(sum(one['ieq'] for one in solids))} IEQ", _("in space, by voxels")),
        bits.card_html(
            _("From one projection"), f"{number(sum(one['ieq_sphere'] for one in solids))} IEQ", _("as spheres")
        ),
        bits.card_html(_("Sphericity"), number(sphericity, 2), _("mean; 1 is a ball")),
    )
    return f'<div class="islet-cards">{"".join(cards)}</div>'


def _voxel_text(outcome: dict[str, Any]) -> str:
    slices, height, width = outcome["shape"]
    across, along = number(outcome["um_per_px"]), number(outcome["um_per_slice"])
    return _(
        "{slices} slices of {width} × {height} px; voxels of {across} × {across} × {along} µm",
        slices=slices,
        width=width,
        height=height,
        across=across,
        along=along,
    )


def _table(solids: Sequence[dict[str, Any]]) -> str:
    head = (
        _("Islet"),
        _("Volume (nl)"),
        "IEQ",
        _("Surface (µm²)"),
        _("Sphericity"),
        _("Height (µm)"),
        _("Width (µm)"),
        _("IEQ from one projection"),
        _("Cut"),
    )
    rows = [
        (
            str(one["number"]),
            number(one["volume_um3"] / 1e6, 3),
            number(one["ieq"], 2),
            number(one["surface_um2"], 0),
            number(one["sphericity"], 2),
            number(one["height_um"], 0),
            number(one["width_um"], 0),
            number(one["ieq_sphere"], 2),
            _("yes") if one["touches_border"] else "",
        )
        for one in solids[:_LISTED_N]
    ]
    return bits.table_html(head, rows, caption=_("Each islet; one that the stack's border cuts is understated"))
