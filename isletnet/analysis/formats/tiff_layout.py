"""How the pixels of a TIFF page are stored: every gate that stands before the first of them is decoded."""

from __future__ import annotations

from dataclasses import dataclass

import imagecodecs

from isletnet.analysis.formats.raster import check_size
from isletnet.analysis.formats.tiff import Directory, Tag
from isletnet.errors import DamagedImageError, ImageTooLargeError, UnsupportedImageError

PLAIN, JPEG = 1, 7
CODECS = {
    5: imagecodecs.lzw_decode,
    8: imagecodecs.zlib_decode,
    32946: imagecodecs.zlib_decode,
    32773: imagecodecs.packbits_decode,
    50000: imagecodecs.zstd_decode,
}
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
_COLOUR_CHANNELS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, YCBCR: 3}
SIGNED = 2
_SAMPLE_KINDS = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Which samples are read, and what is said of others."""

    bits: frozenset[int]
    kinds: frozenset[int]
    expected: str
    why_not: str
    remedy: str


LIGHT = Samples(
    bits=frozenset({8, 16}),
    kinds=frozenset({1, 4}),
    expected="8- or 16-bit unsigned samples",
    why_not="whose range says nothing of light",
    remedy="ImageJ: Image > Type > RGB Color",
)
NUMBERS = Samples(
    bits=frozenset({8, 16, 32}),
    kinds=frozenset({1, SIGNED, 4}),
    expected="whole numbers of 8, 16 or 32 bits",
    why_not="which number nothing",
    remedy="ImageJ: Image > Type > 16-bit",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the pixels of a page are stored."""

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
        """Channels in one segment."""
        return 1 if self.is_planar else self.channels


def check_layout(page: Directory, max_pixels: int, samples: Samples) -> Layout:
    """Read and check all that a page says of its pixels, before memory is taken for them.

    Raises
    ------
    DamagedImageError
        Strips or tiles without a size.
    UnsupportedImageError
        Samples other than ``samples``, or colours or a compression that are not read.
    ImageTooLargeError
        More than ``max_pixels`` pixels, the padding of tiles included.
    """
    width_px, height_px = page.integer(Tag.WIDTH, 0), page.integer(Tag.HEIGHT, 0)
    check_size(width_px, height_px, max_pixels)
    channels = page.integer(Tag.SAMPLES_PER_PIXEL, 1)
    bytes_per_sample = _bytes_per_sample(page, channels, samples)
    compression = page.integer(Tag.COMPRESSION, PLAIN)
    photometric = page.integer(Tag.PHOTOMETRIC, BLACK_IS_ZERO)
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
    layout = Layout(
        width_px=width_px,
        height_px=height_px,
        channels=channels,
        bytes_per_sample=bytes_per_sample,
        compression=compression,
        photometric=photometric,
        has_predictor=predictor == 2 and compression != JPEG,
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


def _bytes_per_sample(page: Directory, channels: int, samples: Samples) -> int:
    if not 1 <= channels <= 4:
        raise UnsupportedImageError(
            f"expected 1 to 4 channels (grey or RGB, with or without alpha), came {channels}; export it as RGB"
        )
    bits: set[int] = set(page.integers(Tag.BITS_PER_SAMPLE, channels).tolist()) or {1}
    kinds: set[int] = set(page.integers(Tag.SAMPLE_FORMAT, channels).tolist()) or {1}
    if len(bits) > 1 or not bits <= samples.bits or not kinds <= samples.kinds:
        came = " and ".join(f"{b}-bit" for b in sorted(bits))
        kind = " and ".join(_SAMPLE_KINDS.get(k, f"format {k}") for k in sorted(kinds))
        raise UnsupportedImageError(
            f"expected {samples.expected}, came {came} {kind} ones, {samples.why_not}; convert it to 8 or 16 bits "
            f"({samples.remedy}) and save it again"
        )
    return bits.pop() // 8


def _check_kind(
    page: Directory, channels: int, bytes_per_sample: int, compression: int, photometric: int, predictor: int
) -> None:
    if compression not in (PLAIN, JPEG, *CODECS):
        raise UnsupportedImageError(
            f"expected a TIFF that is not compressed or by LZW, Deflate, PackBits, JPEG or Zstandard, came "
            f"compression {compression}; save it with one of these"
        )
    colours = _COLOUR_CHANNELS.get(photometric, 5)
    readable = (
        colours <= channels <= colours + 1
        and (photometric != YCBCR or compression == JPEG)
        and (photometric != PALETTE or bytes_per_sample == 1)
        and (compression != JPEG or bytes_per_sample == 1)
        and predictor in (1, 2)
        and page.integer(Tag.FILL_ORDER, 1) == 1
    )
    if not readable:
        raise UnsupportedImageError(
            f"expected grey, palette or RGB samples in the usual order, came photometric kind {photometric} with "
            f"{channels} channels of {bytes_per_sample * 8} bits, predictor {predictor}, compression {compression}; "
            "convert it to RGB and save it again"
        )
