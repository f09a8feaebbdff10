"""Overlays as PNG, written and read in less than half of the usual time.

The noise of a micrograph hardly compresses whatever filter comes first, so each row is kept as its difference from the
row above, the cheapest filter, and libdeflate packs them.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_UP = 2  # the filter's number in PNG
_BODY_START = 41  # after the signature, the header and the head of the one chunk of data


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """Write a picture as PNG.

    Parameters
    ----------
    picture
        RGB uint8 ``(height, width, 3)``.

    Returns
    -------
    bytes
        The same bytes for the same picture.
    """
    height, width = picture.shape[:2]
    samples = picture.reshape(height, -1)
    filtered = bytearray(height * (1 + 3 * width))
    rows = np.frombuffer(filtered, dtype=np.uint8).reshape(height, 1 + 3 * width)
    rows[:, 0] = _UP
    rows[0, 1:] = samples[0]
    np.subtract(samples[1:], samples[:-1], out=rows[1:, 1:])
    return _file(width, height, bytes(imagecodecs.deflate_encode(filtered, level=1, raw=False)))


def png_pixels(content: bytes) -> NDArray[np.uint8]:
    """Read a PNG of any writer, those of `png_bytes` faster.

    Parameters
    ----------
    content
        The whole file.

    Returns
    -------
    ndarray
        RGB uint8 ``(height, width, 3)``.

    Raises
    ------
    OSError, SyntaxError
        It is no picture, or a damaged one.
    """
    own = _own_pixels(content)
    if own is not None:
        return own
    with Image.open(BytesIO(content)) as opened:
        return np.asarray(opened.convert("RGB"))


def _own_pixels(content: bytes) -> NDArray[np.uint8] | None:
    """Decode what `png_bytes` wrote; None for anything else, also for a damaged file of its own."""
    if len(content) < _BODY_START:
        return None
    width, height = struct.unpack_from(">II", content, 16)
    (body_bytes,) = struct.unpack_from(">I", content, 33)
    body = content[_BODY_START : _BODY_START + body_bytes]
    if content != _file(width, height, body):
        return None
    unpacked = imagecodecs.deflate_decode(body, raw=False, out=height * (1 + 3 * width))
    rows = np.frombuffer(unpacked, dtype=np.uint8).reshape(height, 1 + 3 * width)
    if (rows[:, 0] != _UP).any():
        return None
    samples = rows[:, 1:].copy()
    # Row by row: NumPy's own running sum down the columns takes ten times as long.
    for above, row in zip(samples, samples[1:], strict=False):
        np.add(row, above, out=row)
    return samples.reshape(height, width, 3)


def _file(width: int, height: int, body: bytes) -> bytes:
    """Put a PNG of 8-bit RGB together."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
