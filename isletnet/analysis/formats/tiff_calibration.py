"""The pixel size that a TIFF states: OME-XML first, then ImageJ, then the plain resolution tags.

Only micrometres are taken from these texts; names, dates and whatever else a file says are never kept.
"""

from __future__ import annotations

import re
from typing import Any
from xml.parsers import expat

from isletnet.analysis.formats.raster import FileScale
from isletnet.analysis.formats.tiff import Directory, Tag

# Beyond these no camera on a microscope for islets reaches; also the limits for a caller.
SMALLEST_UM_PER_PX, LARGEST_UM_PER_PX = 0.01, 100.0
# Plain tags and inches mostly hold 72, 96 or 300 dpi of a screen or printer: 85 um and more a pixel. A scanner's 2400
# dpi is 10.6 um. Only what is finer can come from a microscope.
LARGEST_PLAIN_UM_PER_PX = 10.0
MOST_TEXT_BYTES = 1 << 20
_UM_PER_UNIT = {
    "nm": 1e-3,
    "um": 1.0,
    "\u00b5m": 1.0,
    "\u03bcm": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "in": 25_400.0,
    "inch": 25_400.0,
}
_PRINTERS_UNITS = ("cm", "in", "inch")
# 4 and 5 are no part of TIFF 6.0, but some writers use them.
_RESOLUTION_UNITS = {2: "inch", 3: "cm", 4: "mm", 5: "um"}
_IMAGEJ_LINE = re.compile(rb"^(unit|images|slices|channels|frames|spacing)=([^\r\n]{1,40})\r?$", re.MULTILINE)


def read_scale(page: Directory) -> FileScale:
    """Pixel size of a page. A size of exactly 1 is what programs write when they know none, and is not taken."""
    text = page.raw(Tag.DESCRIPTION, MOST_TEXT_BYTES).rstrip(b"\x00 \r\n")
    per_unit = page.rational(Tag.X_RESOLUTION), page.rational(Tag.Y_RESOLUTION)
    tried = []
    if b"OME" in text[:2000] and b"<" in text[:20]:
        tried.append(_ome_scale(text))
    if unit := imagej_fields(text).get("unit"):
        tried.append(_resolution_scale("ImageJ", unit, *per_unit))
    if unit := _RESOLUTION_UNITS.get(page.integer(Tag.RESOLUTION_UNIT, 1)):
        tried.append(_resolution_scale("TIFF resolution", unit, *per_unit))
    found = next((scale for scale in tried if scale.x_um is not None), None)
    return found or FileScale(detail="; ".join(scale.detail for scale in tried) or "the TIFF states no pixel size")


def imagej_planes(page: Directory) -> int:
    """Planes of an ImageJ stack, which may have a single directory for all of them; 1 where nothing is said."""
    images = imagej_fields(page.raw(Tag.DESCRIPTION, MOST_TEXT_BYTES)).get("images", "1")
    return int(images) if images.isdecimal() and len(images) < 10 else 1


def imagej_fields(text: bytes) -> dict[str, str]:
    """Read unit, size and spacing of a stack from the description that ImageJ writes; empty for other texts."""
    if not text.startswith(b"ImageJ="):
        return {}
    return {key.decode(): _decode(value).strip() for key, value in _IMAGEJ_LINE.findall(text)}


def _decode(text: bytes) -> str:
    # ImageJ writes Latin-1, others UTF-8.
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _resolution_scale(origin: str, unit: str, x_per_unit: float | None, y_per_unit: float | None) -> FileScale:
    if not x_per_unit:
        return FileScale(detail=f"{origin}: no resolution beside the unit")
    return _scale(origin, unit, 1 / x_per_unit, 1 / (y_per_unit or x_per_unit))


def _ome_scale(text: bytes) -> FileScale:
    pixels = ome_pixels(text)
    try:
        x_units = float(pixels["PhysicalSizeX"])
        y_units = float(pixels.get("PhysicalSizeY", x_units))
    except (KeyError, ValueError):
        return FileScale(detail="OME: no PhysicalSizeX")
    unit = pixels.get("PhysicalSizeXUnit", "um")
    if pixels.get("PhysicalSizeYUnit", unit) != unit:
        return FileScale(detail="OME: different units for X and Y")
    return _scale("OME", unit, x_units, y_units)


def length_um(value: float, unit: str) -> float | None:
    """Turn a length of a file into um; None for a unit that is no length."""
    unit = unit.strip()
    um = _UM_PER_UNIT.get(unit if len(unit) <= 2 else unit.lower())
    return None if um is None else value * um


def _scale(origin: str, unit: str, x_units: float, y_units: float) -> FileScale:
    unit = unit.strip()
    unit = unit if len(unit) <= 2 else unit.lower()
    if unit not in _UM_PER_UNIT:
        return FileScale(detail=f"{origin}: a unit that is no length")
    x_um, y_um = x_units * _UM_PER_UNIT[unit], y_units * _UM_PER_UNIT[unit]
    largest = LARGEST_PLAIN_UM_PER_PX if unit in _PRINTERS_UNITS else LARGEST_UM_PER_PX
    came = f"{origin}: {x_um:.6g} um per px"
    if not all(SMALLEST_UM_PER_PX <= size <= largest for size in (x_um, y_um)):
        return FileScale(detail=f"{came} is no plausible calibration")
    if x_um == 1.0:
        return FileScale(detail=f"{came}, exactly 1, is what programs write without a calibration")
    return FileScale(x_um=x_um, y_um=y_um, detail=came)


class _PixelsFound(Exception):  # noqa: N818 - it stops the parser, it is no error
    def __init__(self, attributes: dict[str, str]) -> None:
        self.attributes = attributes


class _DoctypeFound(Exception):  # noqa: N818
    """OME needs no document type; with one come entities, which may be bombs or name other files."""


def ome_pixels(text: bytes) -> dict[str, str]:
    """Read the attributes of the first ``Pixels`` of OME-XML; empty for other texts, and where entities may come."""

    def on_start(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(":")[2] == "Pixels":
            raise _PixelsFound(attributes)

    def on_doctype(*_: Any) -> None:
        raise _DoctypeFound

    parser = expat.ParserCreate()
    parser.StartElementHandler = on_start
    parser.StartDoctypeDeclHandler = on_doctype
    try:
        parser.Parse(text, True)
    except _PixelsFound as found:
        return found.attributes
    except (expat.ExpatError, _DoctypeFound):
        pass
    return {}
