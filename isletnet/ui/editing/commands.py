"""What the canvas asks for, done on a drawing: each message becomes a patch and what the canvas shall hear of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isletnet.errors import ParameterError
from isletnet.ui.editing import regions
from isletnet.ui.editing.outlines import outlines, packed, ring_of, tissue_png
from isletnet.ui.i18n import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from isletnet.ui.editing.drawing import Drawing
    from isletnet.ui.editing.regions import Map, Patch

_MOST_POINTS_N = 20_000
_LARGEST_RADIUS_PX = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A message to the canvas, and the bytes that go with it."""

    content: dict[str, Any]
    buffers: tuple[bytes, ...] = ()


def everything(drawing: Drawing) -> Reply:
    """Tell all outlines, and where tissue is."""
    heads, points = packed(outlines(drawing.codes))
    content = {"kind": "all", "heads": heads, **_steps(drawing)}
    return Reply(content=content, buffers=(points, tissue_png(drawing.codes)))


def look(drawing: Drawing, message: Mapping[str, Any]) -> Reply:
    """Tell the outline of the exocrine tissue at a point; there may be none."""
    point = _point(message)
    part = regions.part_of_tissue(drawing.codes, point)
    heads, points = packed([ring_of(part[1], part[0])] if part else [])
    return Reply(content={"kind": "tissue", "heads": heads, "point": point}, buffers=(points,))


def change(drawing: Drawing, message: Mapping[str, Any], buffers: Sequence[Any]) -> Reply:
    """Do an edit, or take one back or make it again.

    Parameters
    ----------
    drawing
        Is changed.
    message
        ``kind`` is ``undo``, ``redo`` or ``edit``; an edit has a ``tool``, and ``numbers``, ``point`` or ``radius_px``
        where the tool needs them.
    buffers
        The points that were drawn, float32 x, y.

    Returns
    -------
    Reply
        What changed, and a word about it; nothing but the word when nothing did.

    Raises
    ------
    ParameterError
        The edit cannot be done; the sentence is for the person.
    """
    kind = message.get("kind")
    if kind == "undo":
        patch, said = drawing.undo(), _("Taken back")
    elif kind == "redo":
        patch, said = drawing.redo(), _("Made again")
    else:
        patch, said = _edit(drawing, message, buffers)
    if patch is None:
        return Reply(content={"kind": "changed", "gone": [], "heads": [], "said": said, **_steps(drawing)})
    codes = drawing.codes
    numbers = patch.numbers
    there = frozenset(number for number in numbers if drawing.area_px(number))
    heads, points = packed(outlines(codes, there, box=patch.box))
    tissue = (tissue_png(codes),) if patch.changes_tissue else ()
    content = {"kind": "changed", "gone": sorted(numbers - there), "heads": heads, "said": said, **_steps(drawing)}
    return Reply(content=content, buffers=(points, *tissue))


def _edit(drawing: Drawing, message: Mapping[str, Any], buffers: Sequence[Any]) -> tuple[Patch | None, str]:
    tool = message.get("tool")
    if tool in ("delete", "tissue", "merge", "islet"):
        return _with_selected(drawing, str(tool), message)
    points = _points(buffers)
    if tool in ("add", "add_tissue", "redraw") and len(points) < 3:
        return None, _("Draw around it.")

    def make(codes: Map) -> Patch:
        if tool == "redraw":
            return regions.redrawn(codes, _numbers(message)[0], points)
        if tool == "split":
            return regions.split(codes, points)
        if tool == "erase":
            radius_px = float(np.clip(float(message.get("radius_px", 1.0)), 0.5, _LARGEST_RADIUS_PX))
            return regions.erased(codes, points, radius_px=radius_px)
        if tool in ("add", "add_tissue"):
            return regions.added(codes, points, tissue=tool == "add_tissue")
        raise ParameterError(f"a tool of the editor was expected, came {tool!r}", subject="tool")

    patch = drawing.edit(make)
    done = {
        "add": _("Islet added"),
        "add_tissue": _("Exocrine tissue added"),
        "redraw": _("Islet redrawn"),
        "split": _("Islet split"),
        "erase": _("Erased"),
    }
    idle = {
        "split": _("Nothing was split. Draw the line right across an islet."),
        "erase": _("There was nothing to erase."),
    }
    tool = str(tool)
    return patch, done[tool] if patch else idle.get(tool, _("Nothing changed. Islets that are there keep their area."))


def _with_selected(drawing: Drawing, tool: str, message: Mapping[str, Any]) -> tuple[Patch | None, str]:
    if "point" in message:
        point = _point(message)
        if tool == "islet":
            return drawing.edit(lambda codes: regions.tissue_as_islet(codes, point)), _("Tissue became an islet")
        if tool == "delete":
            return drawing.edit(lambda codes: regions.tissue_deleted(codes, point)), _("Exocrine tissue deleted")
    numbers = _numbers(message)
    n = len(numbers)
    if tool == "delete":
        said = ngettext("{n} islet deleted", "{n} islets deleted", n)
        return drawing.edit(lambda codes: regions.deleted(codes, numbers)), said
    if tool == "merge" and n > 1:
        said = ngettext("{n} islet merged", "{n} islets merged", n)
        return drawing.edit(lambda codes: regions.merged(codes, numbers)), said
    if tool == "tissue":
        said = ngettext("{n} islet became exocrine tissue", "{n} islets became exocrine tissue", n)
        return drawing.edit(lambda codes: regions.as_tissue(codes, numbers)), said
    return None, _("Select at least two islets.")


def _steps(drawing: Drawing) -> dict[str, Any]:
    return {"undo_n": drawing.undo_n, "redo_n": drawing.redo_n, "is_saved": drawing.is_saved}


def _numbers(message: Mapping[str, Any]) -> list[int]:
    numbers = sorted({int(number) for number in message.get("numbers", ())})
    if not numbers or numbers[0] < regions.FIRST_ISLET or numbers[-1] > regions.LARGEST_NUMBER:
        raise ParameterError(_("Select an islet first."))
    return numbers


def _point(message: Mapping[str, Any]) -> tuple[float, float]:
    x, y = message["point"]
    return float(x), float(y)


def _points(buffers: Sequence[Any]) -> NDArray[np.float64]:
    flat = np.frombuffer(buffers[0], "<f4") if buffers else np.empty(0, np.float32)
    points = flat[: len(flat) // 2 * 2].reshape(-1, 2).astype(np.float64)
    if not 1 <= len(points) <= _MOST_POINTS_N or not np.isfinite(points).all():
        raise ParameterError(_("This could not be drawn. Try again."))
    return points
