"""JPEG to samples, with the header walked first, because the codec fills a cut file with grey and says nothing.

The density in JFIF or EXIF is not trusted: cameras write 72 or 96 dpi whatever the microscope.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import imagecodecs
import numpy as np

from isletnet.analysis.formats.raster import FileScale, Raster, check_size
from isletnet.analysis.formats.tiff import Tag, read_directories
from isletnet.errors import DamagedImageError, InputError, UnsupportedImageError

# A progressive file has about ten scans. Thousands of them over a large picture are an attack on time.
MAX_SCANS = 100
_SOI, _EOI, _SOS, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)
_STANDALONE = frozenset(range(0xD0, 0xD8)) | {0x01}
# Inside coded data, FF 00 is a byte FF and FF D0..D7 are restarts; anything else ends the scan.
_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegHeader:
    """What a JPEG says of itself, its bytes of coded data, and the fewest that its size needs."""

    width_px: int
    height_px: int
    channels: int
    orientation: int
    coded_bytes: int
    fewest_bytes: int


def read_jpeg(data: bytes, max_pixels: int) -> Raster:
    """Decode a grey or colour JPEG, baseline or progressive.

    Raises
    ------
    DamagedImageError
        Cut short, or its header claims more than its data can hold.
    UnsupportedImageError
        CMYK, 12 bits, lossless or arithmetic coding.
    ImageTooLargeError
        More than ``max_pixels`` pixels.
    """
    header = read_header(data)
    check_size(header.width_px, header.height_px, max_pixels)
    check_filled(header)
    return Raster(
        samples=np.atleast_3d(imagecodecs.jpeg8_decode(data)),
        file_format="JPEG",
        scale=FileScale(detail="a JPEG holds no trustworthy pixel size"),
        orientation=header.orientation,
    )


def read_header(data: bytes) -> JpegHeader:
    """Walk the segments of a JPEG to its end marker; nothing is decoded.

    Raises
    ------
    DamagedImageError
        No end marker, no frame or no scan.
    UnsupportedImageError
        A kind of JPEG that is not read.
    """
    frame: tuple[int, int, list[tuple[int, int]]] | None = None
    orientation, position, coded_bytes, scans = 1, 2, 0, 0
    while True:
        position = data.find(b"\xff", position)
        while 0 <= position < len(data) and data[position] == 0xFF:
            position += 1
        if not 0 < position < len(data):
            raise DamagedImageError(
                f"expected a whole JPEG, it breaks off without an end mark after {len(data)} bytes; "
                "copy or export it again"
            )
        marker = data[position]
        position += 1
        if marker == _EOI:
            break
        if marker in _STANDALONE:
            continue
        (length,) = _unpack(">H", data, position)
        payload = data[position + 2 : position + length]
        if marker in _FRAMES:
            frame = _frame(marker, payload)
        elif marker == _APP1 and payload.startswith(b"Exif\x00\x00"):
            orientation = _exif_orientation(payload[6:])
        position += length
        if marker == _SOS:
            scans += 1
            end = _SCAN_END.search(data, position)
            coded_bytes += (end.start() if end else len(data)) - position
            position = end.start() if end else len(data)
        if scans > MAX_SCANS:
            raise UnsupportedImageError(f"expected at most {MAX_SCANS} scans in a JPEG, this has more; save it again")
    if frame is None or not scans:
        raise DamagedImageError("expected a JPEG with a picture, it ends before any; export it again")
    width_px, height_px, sampling = frame
    return JpegHeader(
        width_px=width_px,
        height_px=height_px,
        channels=len(sampling),
        orientation=orientation,
        coded_bytes=coded_bytes,
        fewest_bytes=_blocks(width_px, height_px, sampling) // 8,
    )


def check_filled(header: JpegHeader) -> None:
    """Refuse a JPEG whose coded data cannot fill its size."""
    if header.coded_bytes < header.fewest_bytes:
        raise DamagedImageError(
            f"the JPEG header says {header.width_px} x {header.height_px} px, but {header.coded_bytes} bytes of data "
            "cannot hold them; the file is cut short or made up"
        )


def _frame(marker: int, payload: bytes) -> tuple[int, int, list[tuple[int, int]]]:
    bits, height_px, width_px, channels = _unpack(">BHHB", payload, 0)
    if marker not in _HUFFMAN_FRAMES or bits != 8:
        raise UnsupportedImageError(
            f"expected an ordinary JPEG of 8 bits, this has {bits} bits and coding {marker - 0xC0}; "
            "save it as PNG or TIFF"
        )
    if channels not in (1, 3):
        raise UnsupportedImageError(
            f"expected a grey or RGB JPEG, this has {channels} channels (CMYK?); convert it to RGB and save it again"
        )
    factors = _unpack(f">{channels * 3}B", payload, 6)[1::3]
    return width_px, height_px, [(factor >> 4, factor & 15) for factor in factors]


def _blocks(width_px: int, height_px: int, sampling: list[tuple[int, int]]) -> int:
    """8 x 8 blocks of all channels: each takes one bit of coded data at the very least."""
    across, down = (max(1, *(pair[axis] for pair in sampling)) for axis in (0, 1))
    return sum(-(-width_px * h // (8 * across)) * -(-height_px * v // (8 * down)) for h, v in sampling)


def _exif_orientation(exif: bytes) -> int:
    """Read one tag of EXIF; nothing else of it (place, owner, thumbnail) is looked at or kept."""
    try:
        return read_directories(exif)[0].integer(Tag.ORIENTATION, 1)
    except InputError:
        return 1


def _unpack(layout: str, data: bytes, position: int) -> tuple[int, ...]:
    if position + struct.calcsize(layout) > len(data):
        raise DamagedImageError(f"expected a whole JPEG, a segment breaks off at byte {position}; copy it again")
    return struct.unpack_from(layout, data, position)
