"""The directories of a TIFF, read from bytes alone and with every count bounded before it is believed.

Classic and BigTIFF, both byte orders. Written for hostile files: no tag makes this read another file, follow a
loop or take memory beyond the file's own size. Format: Adobe TIFF 6.0 (1992) and the BigTIFF extension.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isletnet.errors import DamagedImageError, UnsupportedImageError

SIGNATURES = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
MAX_PAGES = 1000
MAX_TAGS = 512
_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_RATIONAL = 5


class Tag(IntEnum):
    """The tags that are looked at."""

    NEW_SUBFILE_TYPE = 254
    SUBFILE_TYPE = 255
    WIDTH = 256
    HEIGHT = 257
    BITS_PER_SAMPLE = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    DESCRIPTION = 270
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES_PER_PIXEL = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTE_COUNTS = 279
    X_RESOLUTION = 282
    Y_RESOLUTION = 283
    PLANAR_CONFIGURATION = 284
    RESOLUTION_UNIT = 296
    PREDICTOR = 317
    COLOUR_MAP = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_BYTE_COUNTS = 325
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347


@dataclass(frozen=True, slots=True, eq=False)
class Directory:
    """One page: ``entries`` maps a tag to its type, count and the place of its value field in ``data``."""

    data: bytes
    order: str
    is_big: bool
    entries: dict[int, tuple[int, int, int]]

    def integers(self, tag: int, at_most: int) -> NDArray[Any]:
        """Up to ``at_most`` unsigned integers of a tag; empty where the tag is absent or of another type."""
        kind, count, position = self._locate(tag)
        if kind not in _INTEGERS:
            return np.empty(0, np.uint64)
        return np.frombuffer(self.data, self.order + _INTEGERS[kind], min(count, at_most), position)

    def integer(self, tag: int, default: int) -> int:
        """First integer of a tag."""
        values = self.integers(tag, 1)
        return int(values[0]) if values.size else default

    def raw(self, tag: int, at_most: int) -> bytes:
        """Up to ``at_most`` bytes of a tag."""
        kind, count, position = self._locate(tag)
        return self.data[position : position + min(count * _ITEM_BYTES.get(kind, 0), at_most)]

    def rational(self, tag: int) -> float | None:
        """First fraction of a tag; None where it is absent or its denominator is 0."""
        kind, count, position = self._locate(tag)
        if kind != _RATIONAL or not count:
            return None
        numerator, denominator = struct.unpack_from(self.order + "II", self.data, position)
        return float(numerator / denominator) if denominator else None

    @property
    def is_picture(self) -> bool:
        """False for a reduced copy (thumbnail, pyramid level) or a mask of another page."""
        return not (self.integer(Tag.NEW_SUBFILE_TYPE, 0) & 0b101 or self.integer(Tag.SUBFILE_TYPE, 1) == 2)

    def _locate(self, tag: int) -> tuple[int, int, int]:
        kind, count, position = self.entries.get(tag, (0, 0, 0))
        size = count * _ITEM_BYTES.get(kind, 0)
        if size > (8 if self.is_big else 4):
            (position,) = struct.unpack_from(self.order + ("Q" if self.is_big else "I"), self.data, position)
        if position + size > len(self.data):
            raise DamagedImageError(
                f"TIFF tag {tag} points to byte {position + size}, the file has {len(self.data)}; copy it again"
            )
        return kind, count, position


def read_directories(data: bytes) -> tuple[Directory, ...]:
    """Walk the chain of pages of a TIFF (or of EXIF, which is one). Sub-directories are not followed.

    Raises
    ------
    DamagedImageError
        The chain runs outside of the file, in a loop, or is empty.
    UnsupportedImageError
        More than `MAX_PAGES` pages, or `MAX_TAGS` tags in one.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    version = _unpack(f"{order}H", data, 2)[0] if order else None
    if order is None or version not in (42, 43):
        raise DamagedImageError("expected a TIFF header (II or MM, then 42 or 43), it is broken; export it again")
    is_big = version == 43
    link = order + ("Q" if is_big else "I")
    (offset,) = _unpack(link, data, 8 if is_big else 4)
    directories: list[Directory] = []
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise DamagedImageError(f"the pages of the TIFF run in a loop (byte {offset}); export it again")
        if len(directories) == MAX_PAGES:
            raise UnsupportedImageError(f"expected one picture, came a stack of more than {MAX_PAGES} pages")
        seen.add(offset)
        (count,) = _unpack(order + ("Q" if is_big else "H"), data, offset)
        if count > MAX_TAGS:
            raise UnsupportedImageError(f"expected at most {MAX_TAGS} tags in a TIFF page, this says {count}")
        first, entry_bytes = offset + (8 if is_big else 2), 20 if is_big else 12
        (next_offset,) = _unpack(link, data, first + count * entry_bytes)
        entries = {}
        for position in range(first, first + count * entry_bytes, entry_bytes):
            tag, kind, items = struct.unpack_from(order + ("HHQ" if is_big else "HHI"), data, position)
            entries[tag] = (kind, items, position + (12 if is_big else 8))
        directories.append(Directory(data, order, is_big, entries))
        offset = next_offset
    if not directories:
        raise DamagedImageError("the TIFF holds no page; export it again")
    return tuple(directories)


def _unpack(layout: str, data: bytes, position: int) -> tuple[int, ...]:
    if position + struct.calcsize(layout) > len(data):
        raise DamagedImageError(
            f"expected a whole TIFF, a page at byte {position} lies outside of its {len(data)} bytes; copy it again"
        )
    return struct.unpack_from(layout, data, position)
