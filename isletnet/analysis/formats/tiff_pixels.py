"""The pixels of a TIFF page, strip by strip or tile by tile into one array.

A segment that gives fewer samples than its place needs is damage; nothing is filled in.
"""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from isletnet.analysis.formats.jpeg import check_filled, read_header
from isletnet.analysis.formats.raster import Raster
from isletnet.analysis.formats.tiff import Directory, Tag, read_directories
from isletnet.analysis.formats.tiff_calibration import imagej_planes, read_scale
from isletnet.analysis.formats.tiff_layout import (
    BLACK_IS_ZERO,
    CODECS,
    JPEG,
    LIGHT,
    NUMBERS,
    PALETTE,
    PLAIN,
    RGB,
    SIGNED,
    WHITE_IS_ZERO,
    YCBCR,
    Layout,
    check_layout,
)
from isletnet.errors import DamagedImageError, UnsupportedImageError


def read_tiff(data: bytes, max_pixels: int) -> Raster:
    """Decode the one picture of a TIFF. Thumbnails, pyramid levels and masks beside it are left alone.

    Raises
    ------
    DamagedImageError
        Cut short, or directories and segments that contradict each other.
    UnsupportedImageError
        A stack, or samples, colours or a compression that are not read.
    ImageTooLargeError
        More than ``max_pixels`` pixels, the padding of tiles included.
    """
    return read_page(_only_page(data), max_pixels)


def read_page(page: Directory, max_pixels: int) -> Raster:
    """Decode one page of a TIFF.

    Raises
    ------
    DamagedImageError, UnsupportedImageError, ImageTooLargeError
        Like `read_tiff`.
    """
    layout = check_layout(page, max_pixels, LIGHT)
    samples = _read_samples(page, layout)
    if layout.photometric == PALETTE:
        samples = _colour_map(page)[samples[:, :, 0]]
    orientation = page.integer(Tag.ORIENTATION, 1)
    return Raster(
        samples=samples,
        file_format="TIFF",
        scale=read_scale(page),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        white_is_zero=layout.photometric == WHITE_IS_ZERO,
    )


def read_tiff_labels(data: bytes, max_pixels: int) -> NDArray[Any]:
    """Decode a picture whose samples are numbers of things: grey, whole numbers of 8 to 32 bits, stored upright.

    Returns
    -------
    numpy.ndarray
        Signed or unsigned integers ``(height, width)``, as stored.

    Raises
    ------
    DamagedImageError
        Like `read_tiff`.
    UnsupportedImageError
        Also where samples are colours, inverted, turned or lossily compressed.
    ImageTooLargeError
        Like `read_tiff`.
    """
    page = _only_page(data)
    layout = check_layout(page, max_pixels, NUMBERS)
    if (
        (layout.channels, layout.photometric) != (1, BLACK_IS_ZERO)
        or layout.compression == JPEG
        or page.integer(Tag.ORIENTATION, 1) != 1
    ):
        raise UnsupportedImageError(
            "expected labels as grey numbers, upright and compressed without loss, came others; save them from ImageJ "
            "or with tifffile as one channel of 8, 16 or 32 bits"
        )
    samples = _read_samples(page, layout)[:, :, 0]
    is_signed = page.integer(Tag.SAMPLE_FORMAT, 1) == SIGNED
    return samples.view(f"i{layout.bytes_per_sample}") if is_signed else samples


def _only_page(data: bytes) -> Directory:
    pages = [page for page in read_directories(data) if page.is_picture]
    planes = max(len(pages), imagej_planes(pages[0]) if pages else 0)
    if planes != 1:
        raise UnsupportedImageError(
            f"expected one picture, came a stack of {planes} pages; export one plane "
            "(or merge the channels to RGB) and send that"
            if planes
            else "expected a picture, came only thumbnails (a raw camera file?); export it as a TIFF of 8 bits"
        )
    return pages[0]


def _read_samples(page: Directory, layout: Layout) -> NDArray[Any]:
    dtype = np.dtype(f"u{layout.bytes_per_sample}")
    planes, rows, columns = layout.grid
    offsets, byte_counts = _segments(page, layout, planes * rows * columns)
    tables = page.raw(Tag.JPEG_TABLES, 1 << 16)
    samples = np.empty((layout.height_px, layout.width_px, layout.channels), dtype)
    for index, (offset, byte_count) in enumerate(zip(offsets, byte_counts, strict=True)):
        plane, place = divmod(index, rows * columns)
        row, column = divmod(place, columns)
        top, left = row * layout.segment_height_px, column * layout.segment_width_px
        target = samples[top : top + layout.segment_height_px, left : left + layout.segment_width_px]
        if layout.is_planar:
            target = target[:, :, plane : plane + 1]
        stored_rows = layout.segment_height_px if layout.is_tiled else target.shape[0]
        if layout.compression == JPEG:
            segment = _jpeg_segment(page.data[offset : offset + byte_count], stored_rows, tables, layout)
        else:
            segment = _plain_segment(page, offset, byte_count, stored_rows, layout)
        target[...] = segment[: target.shape[0], : target.shape[1]]
    return samples


def _segments(page: Directory, layout: Layout, expected: int) -> tuple[list[int], list[int]]:
    tags = (Tag.TILE_OFFSETS, Tag.TILE_BYTE_COUNTS) if layout.is_tiled else (Tag.STRIP_OFFSETS, Tag.STRIP_BYTE_COUNTS)
    offsets, byte_counts = (page.integers(tag, expected).tolist() for tag in tags)
    if len(offsets) < expected or len(byte_counts) < expected:
        raise DamagedImageError(
            f"a TIFF of {layout.width_px} x {layout.height_px} px needs {expected} strips or tiles, this lists "
            f"{min(len(offsets), len(byte_counts))}; export it again"
        )
    for offset, byte_count in zip(offsets, byte_counts, strict=True):
        if not byte_count or offset + byte_count > len(page.data):
            raise DamagedImageError(
                f"pixels of the TIFF should lie at bytes {offset} to {offset + byte_count}, the file has "
                f"{len(page.data)}; it is cut short: copy it again"
            )
    return offsets, byte_counts


def _plain_segment(page: Directory, offset: int, byte_count: int, stored_rows: int, layout: Layout) -> NDArray[Any]:
    row_samples = layout.segment_width_px * layout.segment_channels
    needed = stored_rows * row_samples
    if layout.compression == PLAIN:
        plain: bytes | bytearray | memoryview = memoryview(page.data)[offset : offset + byte_count]
    else:
        # Some writers pad the last strip to full height.
        room = layout.segment_height_px * row_samples * layout.bytes_per_sample
        plain = CODECS[layout.compression](page.data[offset : offset + byte_count], out=room)
    if len(plain) < needed * layout.bytes_per_sample:
        raise DamagedImageError(
            f"a part of the TIFF should give {needed * layout.bytes_per_sample} bytes, it gave {len(plain)}; "
            "the file is damaged: copy or export it again"
        )
    segment = np.frombuffer(plain, f"{page.order}u{layout.bytes_per_sample}", needed)
    segment = segment.reshape(stored_rows, layout.segment_width_px, layout.segment_channels)
    if not layout.has_predictor:
        return segment
    restored: NDArray[Any] = imagecodecs.delta_decode(segment.astype(segment.dtype.newbyteorder("=")), axis=-2)
    return restored


def _jpeg_segment(coded: bytes, stored_rows: int, tables: bytes, layout: Layout) -> NDArray[Any]:
    header = read_header(coded)
    if (
        header.width_px != layout.segment_width_px
        or not stored_rows <= header.height_px <= layout.segment_height_px
        or header.channels != layout.segment_channels
    ):
        raise DamagedImageError(
            f"a JPEG part of the TIFF should have {layout.segment_width_px} x {stored_rows} px and "
            f"{layout.segment_channels} channels, it has {header.width_px} x {header.height_px} px and "
            f"{header.channels}; export it again"
        )
    check_filled(header)
    # A JFIF mark inside says YCbCr, whatever the TIFF around it says.
    is_rgb = layout.photometric == RGB and layout.segment_channels == 3 and b"JFIF" not in coded[:20]
    is_ycbcr = layout.photometric == YCBCR and layout.segment_channels == 3
    space = "RGB" if is_rgb else "YCBCR" if is_ycbcr else None
    segment: NDArray[Any] = imagecodecs.jpeg8_decode(
        coded, tables=tables or None, colorspace=space, outcolorspace="RGB" if space else None
    )
    return segment.reshape(header.height_px, header.width_px, header.channels)


def _colour_map(page: Directory) -> NDArray[np.uint8]:
    colours = page.integers(Tag.COLOUR_MAP, 3 * 256)
    if colours.size != 3 * 256:
        raise DamagedImageError(f"expected a TIFF palette of 768 values, came {colours.size}; save it as RGB")
    # Writers store 255 as 65280 or 65535; the high byte is right for both.
    return np.ascontiguousarray((colours.reshape(3, 256).T >> 8).astype(np.uint8))
