"""PNG to samples.

The density in a pHYs chunk is not trusted: cameras and editors fill in screen or print values (72, 96, 300 dpi),
which say nothing of the microscope.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import imagecodecs
import numpy as np

from isletnet.analysis.formats.raster import FileScale, Raster, check_size
from isletnet.errors import DamagedImageError, UnsupportedImageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 200_000
# Deflate never packs tighter than 1032 bytes into one.
DEFLATE_RATIO = 1032
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Pixels need these alone. The rest (profiles, compressed text) is not handed to the codec at all.
_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    end: int
    payload: int


def read_png(data: bytes, max_pixels: int) -> Raster:
    """Decode a PNG of 1 to 16 bits. A palette becomes RGB, low depths become 8 bits.

    Raises
    ------
    DamagedImageError
        Cut short, or its header claims more than its data can hold.
    UnsupportedImageError
        An animation, or smaller than a picture can be.
    ImageTooLargeError
        More than ``max_pixels`` pixels.
    """
    chunks = _chunks(data)
    if chunks[0].kind != b"IHDR" or chunks[0].payload != 13:
        raise DamagedImageError("expected a PNG that begins with its header (IHDR), it does not; export it again")
    width_px, height_px, depth, colour = struct.unpack_from(">IIBB", data, chunks[0].start + 8)
    check_size(width_px, height_px, max_pixels)
    frames = next((struct.unpack_from(">I", data, c.start + 8)[0] for c in chunks if c.kind == b"acTL"), 1)
    if frames > 1:
        raise UnsupportedImageError(f"expected one picture, came an animated PNG of {frames} frames; export one frame")
    packed = sum(chunk.payload for chunk in chunks if chunk.kind == b"IDAT")
    expected = height_px * (width_px * depth * _CHANNELS.get(colour, 1) // 8)
    if packed * DEFLATE_RATIO < expected:
        raise DamagedImageError(
            f"the PNG header says {width_px} x {height_px} px, but {packed} bytes of data cannot hold them; "
            "the file is damaged or made up"
        )
    bare = SIGNATURE + b"".join(data[chunk.start : chunk.end] for chunk in chunks if chunk.kind in _NEEDED)
    samples = imagecodecs.png_decode(bare)
    if samples.shape[:2] != (height_px, width_px):
        raise DamagedImageError(f"the PNG header says {width_px} x {height_px} px, the data gave {samples.shape}")
    return Raster(
        samples=np.atleast_3d(samples),
        file_format="PNG",
        scale=FileScale(detail="a PNG holds no trustworthy pixel size"),
    )


def _chunks(data: bytes) -> list[_Chunk]:
    chunks: list[_Chunk] = []
    position = len(SIGNATURE)
    while position + 12 <= len(data) and len(chunks) < MAX_CHUNKS:
        payload, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + payload
        chunks.append(_Chunk(kind, position, end, payload))
        if end > len(data):
            break
        if kind == b"IEND":
            return chunks
        position = end
    raise DamagedImageError(
        f"expected a whole PNG, it breaks off or goes astray after {len(chunks)} chunks ({len(data)} bytes); "
        "copy or export it again"
    )
