"""BMP to samples: 8 bits with palette, 24 and 32 bits, not compressed. What a camera program writes.

The header's pixels per metre are not trusted: programs fill in screen values.
"""

from __future__ import annotations

import struct

import numpy as np

from isletnet.analysis.formats.raster import FileScale, Raster, check_size
from isletnet.errors import DamagedImageError, UnsupportedImageError

_PLAIN, _MASKS = 0, 3
_BGR_MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF)
_FILE_HEADER = 14


def read_bmp(data: bytes, max_pixels: int) -> Raster:
    """Decode a BMP to RGB.

    Raises
    ------
    DamagedImageError
        Cut short.
    UnsupportedImageError
        Another depth, or compressed.
    ImageTooLargeError
        More than ``max_pixels`` pixels.
    """
    if len(data) < _FILE_HEADER + 40:
        raise DamagedImageError(f"expected a whole BMP, came {len(data)} bytes, less than its header")
    offset, header, width_px, signed_height_px = struct.unpack_from("<IIii", data, 10)
    bits, compression = struct.unpack_from("<HI", data, 28)
    colours = struct.unpack_from("<I", data, 46)[0]
    height_px = abs(signed_height_px)
    if header < 40:
        raise UnsupportedImageError("this BMP is of an outdated kind (OS/2); save it as PNG or TIFF")
    check_size(width_px, height_px, max_pixels)
    masked = compression == _MASKS and bits == 32 and struct.unpack_from("<III", data, 54) == _BGR_MASKS
    if bits not in (8, 24, 32) or not (compression == _PLAIN or masked):
        raise UnsupportedImageError(
            f"expected a plain BMP of 8, 24 or 32 bits, this has {bits} bits and compression {compression}; "
            "save it as PNG or TIFF"
        )
    stride = (width_px * bits + 31) // 32 * 4
    if offset + stride * height_px > len(data):
        raise DamagedImageError(
            f"expected a BMP of {offset + stride * height_px} bytes, came {len(data)}; copy or export it again"
        )
    rows = np.frombuffer(data, np.uint8, stride * height_px, offset).reshape(height_px, stride)
    if signed_height_px > 0:
        rows = rows[::-1]
    if bits == 8:
        samples = _palette(data, header, colours)[rows[:, :width_px]]
    else:
        samples = rows[:, : width_px * bits // 8].reshape(height_px, width_px, bits // 8)[:, :, 2::-1]
    return Raster(samples=samples, file_format="BMP", scale=FileScale(detail="a BMP holds no trustworthy pixel size"))


def _palette(data: bytes, header: int, colours: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    entries = min(colours or 256, 256)
    stored = np.frombuffer(data, np.uint8, entries * 4, _FILE_HEADER + header).reshape(entries, 4)
    palette = np.zeros((256, 3), np.uint8)
    palette[:entries] = stored[:, 2::-1]
    return palette
