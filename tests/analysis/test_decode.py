"""Pixels: every format and layout gives the picture that was written."""

import hashlib
import io
import time

import imagecodecs
import numpy as np
import pytest
from decode_corpus import HEIGHT_PX, WIDTH_PX, by_pillow, by_tifffile, picture, read, smooth_picture
from PIL import Image

RGB = picture()
GREY = picture(channels=1)[:, :, 0]
GREY_AS_RGB = np.dstack([GREY] * 3)
RGBA = picture(channels=4)


def test_a_micrograph_says_what_it_came_from() -> None:
    data = by_pillow(RGB, "PNG")
    micrograph = read(data)
    assert micrograph.name == "plate 7.tif"
    assert (micrograph.file_format, micrograph.bit_depth) == ("PNG", 8)
    assert micrograph.shape_px == (HEIGHT_PX, WIDTH_PX)
    assert micrograph.sha256 == hashlib.sha256(data).hexdigest()
    assert micrograph.warnings == ()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (by_pillow(RGB, "PNG"), RGB),
        (by_pillow(GREY, "PNG"), GREY_AS_RGB),
        (by_pillow(RGBA, "PNG"), RGBA[:, :, :3]),
        (by_pillow(picture(channels=2), "PNG"), np.dstack([picture(channels=2)[:, :, 0]] * 3)),
        (by_pillow(RGB, "BMP"), RGB),
        (by_pillow(GREY, "BMP"), GREY_AS_RGB),
        (by_pillow(RGBA, "BMP"), RGBA[:, :, :3]),
        (by_pillow(RGB, "TIFF"), RGB),
        (by_pillow(RGB, "TIFF", compression="tiff_lzw"), RGB),
    ],
    ids=["png", "png-grey", "png-alpha", "png-grey-alpha", "bmp", "bmp-grey", "bmp-alpha", "tiff", "tiff-lzw"],
)
def test_pillow_files_come_back_exactly(data: bytes, expected: np.ndarray) -> None:
    pixels = read(data).pixels
    np.testing.assert_array_equal(pixels, expected)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert not pixels.flags.writeable


@pytest.mark.parametrize(("mode", "file_format"), [("P", "PNG"), ("1", "PNG"), ("P", "TIFF"), ("P", "BMP")])
def test_palette_and_black_and_white(mode: str, file_format: str) -> None:
    image = Image.fromarray(smooth_picture()).convert(mode)
    np.testing.assert_array_equal(read(by_pillow(image, file_format)).pixels, np.asarray(image.convert("RGB")))


def test_a_bmp_from_top_to_bottom_is_upright() -> None:
    data = bytearray(by_pillow(RGB, "BMP"))
    data[22:26] = (-HEIGHT_PX).to_bytes(4, "little", signed=True)
    np.testing.assert_array_equal(read(bytes(data)).pixels, RGB[::-1])


@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 7}, {"tile": (16, 32)}, {"tile": (64, 64)}], ids=str)
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "adobe_deflate", "packbits", "zstd"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_layouts_come_back_exactly(layout: dict, compression: str | None, order: str) -> None:
    predictors = [False, True] if compression in ("lzw", "zlib") else [False]
    for predictor in predictors:
        for samples in (RGB, picture(np.uint16)):
            options = layout | {"compression": compression, "predictor": predictor, "byteorder": order}
            expected = RGB if samples is RGB else np.rint(samples / 257).astype(np.uint8)
            pixels = read(by_tifffile(samples, photometric="rgb", **options)).pixels
            np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("layout", [{}, {"tile": (16, 16)}], ids=str)
def test_tiff_planes_alpha_and_big_tiff(layout: dict) -> None:
    planes = np.moveaxis(RGBA, -1, 0)
    data = by_tifffile(
        planes, photometric="rgb", planarconfig="separate", extrasamples=["unassalpha"], bigtiff=True, **layout
    )
    np.testing.assert_array_equal(read(data).pixels, RGBA[:, :, :3])


def test_tiff_white_is_zero() -> None:
    np.testing.assert_array_equal(read(by_tifffile(GREY, photometric="miniswhite")).pixels, 255 - GREY_AS_RGB)


@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 16}, {"tile": (16, 32)}], ids=str)
@pytest.mark.parametrize("photometric", ["rgb", "ycbcr", "minisblack"])
def test_tiff_with_jpeg_inside(layout: dict, photometric: str) -> None:
    source = smooth_picture()[:, :, 0] if photometric == "minisblack" else smooth_picture()
    data = by_tifffile(source, photometric=photometric, compression="jpeg", **layout)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read(data).pixels, expected)


def test_tiff_with_jpeg_of_rgb_and_with_a_jfif_mark_that_says_otherwise() -> None:
    source = smooth_picture()
    rgb = by_tifffile(source, photometric="rgb", compression="jpeg", compressionargs={"outcolorspace": "RGB"})
    ycbcr = by_tifffile(source, photometric="rgb", compression="jpeg")
    photometric = bytes([6, 1, 3, 0, 1, 0, 0, 0])
    assert photometric + b"\x02" in rgb
    assert photometric + b"\x06" in ycbcr
    mislabelled = ycbcr.replace(photometric + b"\x06", photometric + b"\x02")
    for data in (rgb, mislabelled):
        assert np.abs(read(data).pixels.astype(int) - source).max() <= 6


def test_tiff_with_jpeg_tables() -> None:
    data = by_pillow(smooth_picture(), "TIFF", compression="jpeg", quality=95)
    assert np.abs(read(data).pixels.astype(int) - smooth_picture()).max() <= 6


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"keep_rgb": True}, {"restart_marker_rows": 1}], ids=str
)
def test_jpeg_is_what_pillow_reads(options: dict) -> None:
    data = by_pillow(smooth_picture(), "JPEG", quality=95, **options)
    assert np.abs(read(data).pixels.astype(int) - smooth_picture()).max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_orientation_is_undone(orientation: int, file_format: str) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :16], upright[:16, 32:], upright[16:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    # How each orientation stores the upright picture, from the table of EXIF 2.32: the visual place of row 0, column 0.
    stored = {
        1: upright,
        2: np.fliplr(upright),
        3: np.rot90(upright, 2),
        4: np.flipud(upright),
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    if file_format == "JPEG":
        exif = Image.Exif()
        exif[274] = orientation
        data = by_pillow(stored, "JPEG", quality=95, subsampling=0, exif=exif)
    else:
        data = by_tifffile(stored, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    assert np.abs(read(data).pixels.astype(int) - upright).max() <= 4


def test_a_second_picture_behind_a_jpeg_is_not_looked_at() -> None:
    first, second = by_pillow(smooth_picture(), "JPEG"), by_pillow(255 - smooth_picture(), "JPEG")
    np.testing.assert_array_equal(read(first + second).pixels, read(first).pixels)


def test_broken_exif_costs_no_picture() -> None:
    data = by_pillow(smooth_picture(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f")
    assert read(data).shape_px == (HEIGHT_PX, WIDTH_PX)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_bits_use_the_range_of_the_camera(bits: int) -> None:
    samples = picture(np.uint16, most=2**bits - 1)
    expected = np.rint(samples * (255 / (2**bits - 1))).astype(np.uint8)
    for data in (by_tifffile(samples, photometric="rgb"), imagecodecs.png_encode(samples)):
        micrograph = read(data)
        np.testing.assert_array_equal(micrograph.pixels, expected)
        assert micrograph.bit_depth == 16


def test_hot_pixels_and_alpha_do_not_darken_twelve_bits() -> None:
    samples = picture(np.uint16, 4, most=4095)
    samples[:, :, 3] = 65535
    samples[20, 30, 1] = 65535
    pixels = read(by_tifffile(samples, photometric="rgb", extrasamples=["unassalpha"])).pixels
    assert pixels[20, 30, 1] == 255
    np.testing.assert_array_equal(pixels[:20], np.rint(samples[:20, :, :3] * (255 / 4095)).astype(np.uint8))


def test_eight_bits_times_257_are_the_same_picture() -> None:
    np.testing.assert_array_equal(read(by_tifffile(RGB.astype(np.uint16) * 257, photometric="rgb")).pixels, RGB)


def test_thumbnails_pyramids_and_masks_are_left_alone() -> None:
    with_copy = by_tifffile(RGB, photometric="rgb", subifds=1)
    np.testing.assert_array_equal(read(with_copy).pixels, RGB)
    image, small = Image.fromarray(RGB), Image.fromarray(RGB[::2, ::2])
    data = bytearray(by_pillow(image, "TIFF", save_all=True, append_images=[small], tiffinfo={254: 0}))
    second = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[second : second + 2], "little")
    second = int.from_bytes(data[second + 2 + 12 * count :][:4], "little")
    entry = data.index((254).to_bytes(2, "little"), second)
    data[entry + 8] = 1
    np.testing.assert_array_equal(read(bytes(data)).pixels, RGB)


def test_decoding_is_near_the_codec() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    for data, codec in (
        (by_pillow(noise, "PNG"), imagecodecs.png_decode),
        (by_pillow(noise, "JPEG"), imagecodecs.jpeg8_decode),
    ):
        alone = min(_seconds(lambda data=data, codec=codec: codec(data)) for _ in range(5))
        ours = min(_seconds(lambda data=data: read(data)) for _ in range(5))
        assert ours < 2 * alone + 0.01


def _seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
