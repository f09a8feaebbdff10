"""The pixels of a TIFF page: every gate first, then strip by strip or tile by tile into one array.

A segment that gives fewer samples than its place needs is damage; nothing is filled in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from isletnet.analysis.formats.jpeg import check_filled, read_header
from isletnet.analysis.formats.raster import Raster, check_size
from isletnet.analysis.formats.tiff import Directory, Tag, read_directories
from isletnet.analysis.formats.tiff_calibration import imagej_planes, read_scale
from isletnet.errors import DamagedImageError, ImageTooLargeError, UnsupportedImageError

_PLAIN, _JPEG = 1, 7
_CODECS = {
    5: imagecodecs.lzw_decode,
    8: imagecodecs.zlib_decode,
    32946: imagecodecs.zlib_decode,
    32773: imagecodecs.packbits_decode,
    50000: imagecodecs.zstd_decode,
}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_COLOUR_CHANNELS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _YCBCR: 3}
_SAMPLE_KINDS = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    width_px: int
    height_px: int
    channels: int
    bytes_per_sample: int
    compression: int
    photometric: int
    has_predictor: bool
    is_planar: bool
    is_tiled: bool
    segment_width_px: int
    segment_height_px: int

    @property
    def grid(self) -> tuple[int, int, int]:
        """Planes, rows and columns of segments."""
        return (
            self.channels if self.is_planar else 1,
            -(-self.height_px // self.segment_height_px),
            -(-self.width_px // self.segment_width_px),
        )

    @property
    def segment_channels(self) -> int:
        return 1 if self.is_planar else self.channels


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
    pages = [page for page in read_directories(data) if page.is_picture]
    planes = max(len(pages), imagej_planes(pages[0]) if pages else 0)
    if planes != 1:
        raise UnsupportedImageError(
            f"expected one picture, came a stack of {planes} pages; export one plane "
            "(or merge the channels to RGB) and send that"
            if planes
            else "expected a picture, came only thumbnails (a raw camera file?); export it as a TIFF of 8 bits"
        )
    page = pages[0]
    layout = _layout(page, max_pixels)
    samples = _read_samples(page, layout)
    if layout.photometric == _PALETTE:
        samples = _colour_map(page)[samples[:, :, 0]]
    orientation = page.integer(Tag.ORIENTATION, 1)
    return Raster(
        samples=samples,
        file_format="TIFF",
        scale=read_scale(page),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        white_is_zero=layout.photometric == _WHITE_IS_ZERO,
    )


def _layout(page: Directory, max_pixels: int) -> _Layout:
    width_px, height_px = page.integer(Tag.WIDTH, 0), page.integer(Tag.HEIGHT, 0)
    check_size(width_px, height_px, max_pixels)
    channels = page.integer(Tag.SAMPLES_PER_PIXEL, 1)
    bytes_per_sample = _bytes_per_sample(page, channels)
    compression = page.integer(Tag.COMPRESSION, _PLAIN)
    photometric = page.integer(Tag.PHOTOMETRIC, _BLACK_IS_ZERO)
    predictor = page.integer(Tag.PREDICTOR, 1)
    _check_kind(page, channels, bytes_per_sample, compression, photometric, predictor)
    is_tiled = Tag.TILE_WIDTH in page.entries
    if is_tiled:
        segment_width_px, segment_height_px = page.integer(Tag.TILE_WIDTH, 0), page.integer(Tag.TILE_HEIGHT, 0)
    else:
        segment_width_px = width_px
        segment_height_px = min(page.integer(Tag.ROWS_PER_STRIP, height_px), height_px)
    if not segment_width_px or not segment_height_px:
        raise DamagedImageError("the TIFF says that its strips or tiles have no size; export it again")
    layout = _Layout(
        width_px=width_px,
        height_px=height_px,
        channels=channels,
        bytes_per_sample=bytes_per_sample,
        compression=compression,
        photometric=photometric,
        has_predictor=predictor == 2 and compression != _JPEG,
        is_planar=page.integer(Tag.PLANAR_CONFIGURATION, 1) == 2 and channels > 1,
        is_tiled=is_tiled,
        segment_width_px=segment_width_px,
        segment_height_px=segment_height_px,
    )
    _, rows, columns = layout.grid
    padded = rows * columns * segment_width_px * segment_height_px
    if is_tiled and padded > max(max_pixels, 4 * width_px * height_px):
        raise ImageTooLargeError(
            f"expected at most {max_pixels / 1e6:.6g} megapixels, the tiles of {segment_width_px} x "
            f"{segment_height_px} px come to {padded / 1e6:.6g}; save the picture with smaller tiles or strips"
        )
    return layout


def _bytes_per_sample(page: Directory, channels: int) -> int:
    if not 1 <= channels <= 4:
        raise UnsupportedImageError(
            f"expected 1 to 4 channels (grey or RGB, with or without alpha), came {channels}; export it as RGB"
        )
    bits: set[int] = set(page.integers(Tag.BITS_PER_SAMPLE, channels).tolist()) or {1}
    kinds: set[int] = set(page.integers(Tag.SAMPLE_FORMAT, channels).tolist()) or {1}
    if not (bits == {8} or bits == {16}) or not kinds <= {1, 4}:
        came = " and ".join(f"{b}-bit" for b in sorted(bits))
        kind = " and ".join(_SAMPLE_KINDS.get(k, f"format {k}") for k in sorted(kinds))
        raise UnsupportedImageError(
            f"expected 8- or 16-bit unsigned samples, came {came} {kind} ones, whose range says nothing of light; "
            "convert it to 8 or 16 bits (ImageJ: Image > Type > RGB Color) and save it again"
        )
    return bits.pop() // 8


def _check_kind(
    page: Directory, channels: int, bytes_per_sample: int, compression: int, photometric: int, predictor: int
) -> None:
    if compression not in (_PLAIN, _JPEG, *_CODECS):
        raise UnsupportedImageError(
            f"expected a TIFF that is not compressed or by LZW, Deflate, PackBits, JPEG or Zstandard, came "
            f"compression {compression}; save it with one of these"
        )
    colours = _COLOUR_CHANNELS.get(photometric, 5)
    readable = (
        colours <= channels <= colours + 1
        and (photometric != _YCBCR or compression == _JPEG)
        and (photometric != _PALETTE or bytes_per_sample == 1)
        and (compression != _JPEG or bytes_per_sample == 1)
        and predictor in (1, 2)
        and page.integer(Tag.FILL_ORDER, 1) == 1
    )
    if not readable:
        raise UnsupportedImageError(
            f"expected grey, palette or RGB samples in the usual order, came photometric kind {photometric} with "
            f"{channels} channels of {bytes_per_sample * 8} bits, predictor {predictor}, compression {compression}; "
            "convert it to RGB and save it again"
        )


def _read_samples(page: Directory, layout: _Layout) -> NDArray[Any]:
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
        if layout.compression == _JPEG:
            segment = _jpeg_segment(page.data[offset : offset + byte_count], stored_rows, tables, layout)
        else:
            segment = _plain_segment(page, offset, byte_count, stored_rows, layout)
        target[...] = segment[: target.shape[0], : target.shape[1]]
    return samples


def _segments(page: Directory, layout: _Layout, expected: int) -> tuple[list[int], list[int]]:
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


def _plain_segment(page: Directory, offset: int, byte_count: int, stored_rows: int, layout: _Layout) -> NDArray[Any]:
    row_samples = layout.segment_width_px * layout.segment_channels
    needed = stored_rows * row_samples
    if layout.compression == _PLAIN:
        plain: bytes | bytearray | memoryview = memoryview(page.data)[offset : offset + byte_count]
    else:
        # Some writers pad the last strip to full height.
        room = layout.segment_height_px * row_samples * layout.bytes_per_sample
        plain = _CODECS[layout.compression](page.data[offset : offset + byte_count], out=room)
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


def _jpeg_segment(coded: bytes, stored_rows: int, tables: bytes, layout: _Layout) -> NDArray[Any]:
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
    is_rgb = layout.photometric == _RGB and layout.segment_channels == 3 and b"JFIF" not in coded[:20]
    is_ycbcr = layout.photometric == _YCBCR and layout.segment_channels == 3
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
