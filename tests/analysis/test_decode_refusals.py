"""What is refused, with which error, and at which price."""

import io
import struct
import time
import tracemalloc
import zipfile
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from decode_corpus import (
    HEIGHT_PX,
    NAME,
    WIDTH_PX,
    by_pillow,
    by_tifffile,
    picture,
    read,
    read_or_refuse,
    smooth_picture,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from isletnet.errors import DamagedImageError, ImageTooLargeError, InputError, UnsupportedImageError

RGB = picture()


def png(width_px: int, height_px: int, packed: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def retagged(data: bytes, **values: int) -> bytes:
    """A TIFF whose tags lie: ``{"_256": 60000}`` sets the first value of tag 256 (as a LONG)."""
    changed = bytearray(data)
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    for position in range(first + 2, first + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", data, position)
        if (value := values.get(f"_{tag}")) is not None:
            struct.pack_into("<HII", changed, position + 2, 4, 1, value)
    return bytes(changed)


def many_pages(count: int, *, loop: bool = False) -> bytes:
    """Directories of one tag each; the last points to the first where there is a loop."""
    size = 2 + 12 + 4
    pages = [
        struct.pack("<HHHIII", 1, 256, 4, 1, 64, 8 + size * (k + 1) if k + 1 < count else 8 * loop)
        for k in range(count)
    ]
    return struct.pack("<2sHI", b"II", 42, 8) + b"".join(pages)


def resized_jpeg(width_px: int, height_px: int) -> bytes:
    data = bytearray(by_pillow(smooth_picture(), "JPEG"))
    start = data.index(b"\xff\xc0") + 5
    struct.pack_into(">HH", data, start, height_px, width_px)
    return bytes(data)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", by_pillow(RGB, "PNG"))
    return buffer.getvalue()


def scans_jpeg(count: int) -> bytes:
    data = by_pillow(smooth_picture(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + data[-2:]


def with_bytes(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


BMP = by_pillow(RGB, "BMP")
PLAIN = by_tifffile(RGB, photometric="rgb", metadata=None)
TILED = by_tifffile(RGB, photometric="rgb", metadata=None, tile=(16, 16), compression="zlib")
FLOATS = RGB.astype(np.float32)
NAN = np.where(FLOATS > 100, np.nan, FLOATS)
STACK = np.stack([RGB] * 12)

REFUSED = {
    "empty": (b"", DamagedImageError, "empty"),
    "text": (b"patient,age\n1,70\n", UnsupportedImageError, "begin with 70 61"),
    "svg": (b"<?xml version='1.0'?>\n<svg xmlns='x'></svg>", UnsupportedImageError, "SVG"),
    "html": (b"<html></html>", UnsupportedImageError, "HTML"),
    "gif": (by_pillow(Image.fromarray(RGB), "GIF"), UnsupportedImageError, "GIF"),
    "webp": (by_pillow(RGB, "WEBP"), UnsupportedImageError, "WebP"),
    "zip": (zipped(), UnsupportedImageError, "ZIP"),
    "pdf": (b"%PDF-1.7\n", UnsupportedImageError, "PDF"),
    "heic": (b"\x00\x00\x00\x18ftypheic", UnsupportedImageError, "HEIC"),
    "signature only": (b"\x89PNG\r\n\x1a\n", DamagedImageError, "PNG"),
    "jpeg start only": (b"\xff\xd8\xff", DamagedImageError, "JPEG"),
    "bmp start only": (b"BM", DamagedImageError, "BMP"),
    "tiff start only": (b"II*\x00", DamagedImageError, "TIFF"),
    "png bomb": (png(50_000, 50_000, b"x"), ImageTooLargeError, "50000 x 50000"),
    "png that lies": (png(12_000, 12_000, zlib.compress(bytes(999))), DamagedImageError, "cannot hold"),
    "png too little": (png(100, 100, zlib.compress(bytes(20_000))), DamagedImageError, "cannot be decoded"),
    "png animated": (
        png(20, 20, b"", (b"acTL", struct.pack(">II", 12, 0))),
        UnsupportedImageError,
        "animated PNG of 12",
    ),
    "png bad sum": (by_pillow(RGB, "PNG").replace(b"IDAT", b"IDAT\x00", 1), DamagedImageError, "PNG"),
    "jpeg bomb": (resized_jpeg(65_500, 65_500), ImageTooLargeError, "65500 x 65500"),
    "jpeg that lies": (resized_jpeg(12_000, 12_000), DamagedImageError, "cannot hold"),
    "jpeg cmyk": (by_pillow(Image.fromarray(RGB).convert("CMYK"), "JPEG"), UnsupportedImageError, "CMYK"),
    "jpeg scans": (scans_jpeg(2000), UnsupportedImageError, "scans"),
    "jpeg arithmetic": (by_pillow(RGB, "JPEG").replace(b"\xff\xc0", b"\xff\xc9"), UnsupportedImageError, "coding 9"),
    "bmp bomb": (with_bytes(BMP, 18, struct.pack("<ii", 30_000, -(2**31))), ImageTooLargeError, "2147483648"),
    "bmp rle": (with_bytes(BMP, 30, b"\x01"), UnsupportedImageError, "compression 1"),
    "bmp os2": (with_bytes(BMP, 14, b"\x0c"), UnsupportedImageError, "OS/2"),
    "tiff bomb": (retagged(PLAIN, _256=60_000, _257=60_000), ImageTooLargeError, "3600"),
    "tiff that lies": (retagged(PLAIN, _256=5_000, _257=5_000, _278=5_000), DamagedImageError, "should give 75000000"),
    "tiff few strips": (retagged(PLAIN, _257=4_000), DamagedImageError, "strips or tiles"),
    "tiff no strip": (retagged(PLAIN, _278=0), DamagedImageError, "no size"),
    "tiff giant tiles": (retagged(TILED, _322=2**20, _323=2**20), ImageTooLargeError, "tiles of 1048576"),
    "tiff zero tiles": (retagged(TILED, _322=0), DamagedImageError, "no size"),
    "tiff cut data": (retagged(PLAIN, _273=10**9), DamagedImageError, "cut short"),
    "tiff loop": (many_pages(3, loop=True), DamagedImageError, "loop"),
    "tiff 10k pages": (many_pages(10_000), UnsupportedImageError, "more than 1000 pages"),
    "tiff stack": (by_tifffile(STACK, photometric="rgb"), UnsupportedImageError, "a stack of 12 pages"),
    "tiff imagej stack": (by_tifffile(STACK[..., 0], imagej=True), UnsupportedImageError, "a stack of 12 pages"),
    "tiff stack in one": (
        by_tifffile(RGB, photometric="rgb", description="ImageJ=1.54f\nimages=12\n", metadata=None),
        UnsupportedImageError,
        "a stack of 12 pages",
    ),
    "tiff thumbnail": (by_tifffile(RGB, photometric="rgb", subfiletype=1), UnsupportedImageError, "raw"),
    "tiff no page": (b"II*\x00\x00\x00\x00\x00", DamagedImageError, "no page"),
    "tiff tags": (b"II*\x00\x08\x00\x00\x00\xff\xff", UnsupportedImageError, "tags"),
    "tiff float": (by_tifffile(FLOATS, photometric="rgb"), UnsupportedImageError, "32-bit floating-point"),
    "tiff nan": (by_tifffile(NAN, photometric="rgb"), UnsupportedImageError, "32-bit floating-point"),
    "tiff half": (by_tifffile(FLOATS.astype(np.float16), photometric="rgb"), UnsupportedImageError, "16-bit floating"),
    "tiff int32": (by_tifffile(RGB.astype(np.uint32), photometric="rgb"), UnsupportedImageError, "32-bit unsigned"),
    "tiff int16": (by_tifffile(RGB.astype(np.int16), photometric="rgb"), UnsupportedImageError, "16-bit signed"),
    "tiff one bit": (by_pillow(Image.fromarray(RGB).convert("1"), "TIFF"), UnsupportedImageError, "1-bit"),
    "tiff cmyk": (by_pillow(Image.fromarray(RGB).convert("CMYK"), "TIFF"), UnsupportedImageError, "photometric kind 5"),
    "tiff fax": (retagged(PLAIN, _259=4), UnsupportedImageError, "compression 4"),
    "tiff 5 channels": (
        by_tifffile(picture(channels=5), photometric="rgb", planarconfig="contig"),
        UnsupportedImageError,
        "came 5",
    ),
    "tiff deflate bomb": (
        retagged(by_tifffile(np.zeros((8000, 8000), np.uint8), compression="zlib"), _256=20, _257=20),
        DamagedImageError,
        "cannot be decoded",
    ),
    "tiff jpeg bomb": (
        by_tifffile(smooth_picture(), photometric="ycbcr", compression="jpeg").replace(
            struct.pack(">HH", HEIGHT_PX, WIDTH_PX), struct.pack(">HH", 65_500, 65_500)
        ),
        DamagedImageError,
        "65500 x 65500",
    ),
    "one row": (by_pillow(RGB[:1], "PNG"), UnsupportedImageError, "56 x 1 px"),
    "narrow": (by_tifffile(RGB[:, :15], photometric="rgb"), UnsupportedImageError, "15 x 40 px"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_typed_named_quick_and_small(case: str) -> None:
    data, error, fragment = REFUSED[case]
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(error) as caught:
        read(data)
    seconds = time.process_time() - start
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(caught.value).startswith(f"{NAME}: ")
    assert fragment in caught.value.message
    assert caught.value.subject == NAME
    assert seconds < 1
    # The one that lies within the limit may reserve the picture that it claims.
    assert peak_bytes < 90_000_000


def test_a_text_bomb_beside_good_pixels_is_not_unpacked() -> None:
    rows = b"".join(b"\x00" + row.tobytes() for row in RGB)
    bomb = (b"zTXt", b"comment\x00\x00" + zlib.compress(bytes(10**7)))
    start = time.process_time()
    pixels = read(png(WIDTH_PX, HEIGHT_PX, zlib.compress(rows), *[bomb] * 100)).pixels
    assert time.process_time() - start < 0.2
    np.testing.assert_array_equal(pixels, RGB)


def test_the_limit_is_a_setting() -> None:
    data = by_pillow(RGB, "PNG")
    assert read(data, max_pixels=HEIGHT_PX * WIDTH_PX).shape_px == (HEIGHT_PX, WIDTH_PX)
    with pytest.raises(ImageTooLargeError, match="56 x 40"):
        read(data, max_pixels=HEIGHT_PX * WIDTH_PX - 1)


def _with_exif() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return by_pillow(smooth_picture(), "JPEG", exif=exif)


SEEDS = {
    "png": by_pillow(RGB, "PNG"),
    "png16": imagecodecs.png_encode(picture(np.uint16)),
    "png-palette": by_pillow(Image.fromarray(RGB).convert("P"), "PNG"),
    "jpeg": _with_exif(),
    "jpeg-progressive": by_pillow(smooth_picture(), "JPEG", progressive=True),
    "bmp": by_pillow(RGB, "BMP"),
    "bmp-palette": by_pillow(RGB[:, :, 0], "BMP"),
    "tiff": PLAIN,
    "tiff-tiles": TILED,
    "tiff-lzw": by_tifffile(picture(np.uint16), photometric="rgb", metadata=None, compression="lzw", rowsperstrip=7),
    "tiff-packbits": by_tifffile(RGB, photometric="rgb", metadata=None, compression="packbits"),
    "tiff-jpeg": by_tifffile(smooth_picture(), photometric="ycbcr", metadata=None, compression="jpeg", tile=(16, 16)),
    "tiff-big": by_tifffile(RGB, photometric="rgb", metadata=None, bigtiff=True, byteorder=">"),
    "tiff-imagej": by_tifffile(RGB, imagej=True, resolution=(0.5, 0.5), metadata={"unit": "um"}),
    "tiff-ome": by_tifffile(RGB, ome=True, photometric="rgb", metadata={"axes": "YXS", "PhysicalSizeX": 2.0}),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_cut_file_is_half_filled(seed: str) -> None:
    data = SEEDS[seed]
    whole = read(data).pixels
    lengths = {*range(0, min(600, len(data))), *range(0, len(data), 97), *range(len(data) - 60, len(data))}
    accepted = []
    for length in sorted(lengths):
        result = read_or_refuse(data[:length])
        if isinstance(result, InputError):
            assert result.subject == NAME
        else:
            np.testing.assert_array_equal(result.pixels, whole)
            accepted.append(length)
    # Only bytes that no pixel needs may be absent: padding at the very end.
    assert all(length >= len(data) - 4 for length in accepted)


@pytest.mark.parametrize("seed", SEEDS)
@given(
    changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=12),
    head_bytes=st.sampled_from([40, 400, 2**16]),
)
@settings(max_examples=50, derandomize=True, deadline=None)
def test_mutated_files_give_a_picture_or_a_typed_error(seed: str, changes: list, head_bytes: int) -> None:
    data = bytearray(SEEDS[seed])
    for place, value in changes:
        data[place % min(head_bytes, len(data))] = value
    result = read_or_refuse(bytes(data), max_pixels=2_000_000)
    if isinstance(result, InputError):
        assert result.subject == NAME
    else:
        assert result.pixels.dtype == np.uint8
        assert result.pixels.shape[2] == 3
        assert 256 <= result.pixels[:, :, 0].size <= 2_000_000


def test_tifffile_agrees_that_the_tiff_seeds_are_good() -> None:
    for name in (name for name in SEEDS if name.startswith("tiff")):
        assert tifffile.imread(io.BytesIO(SEEDS[name])).shape == (HEIGHT_PX, WIDTH_PX, 3)
