"""Labels from files: the numbers as stored, and refusals that say what to do."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from isletnet.analysis.formats.label_files import read_labels
from isletnet.errors import DamagedImageError, InputError, ParameterError, UnsupportedImageError
from isletnet.exports.labels import classes_tiff, islets_tiff

SHAPE = (40, 60)
NUMBERS = np.random.default_rng(5).integers(0, 120, SHAPE)


def tiff(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i1", "i2", "i4"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "predictor": True},
        {"tile": (16, 16), "compression": "lzw"},
        {"byteorder": ">", "rowsperstrip": 7},
        {"bigtiff": True},
    ],
)
def test_whole_numbers_come_back_as_stored(kind: str, options: dict[str, object]):
    stored = NUMBERS.astype(kind)
    labels = read_labels(tiff(stored, photometric="minisblack", **options), shape_px=SHAPE)
    np.testing.assert_array_equal(labels, stored)


def test_negative_and_large_numbers_stay_what_they_are():
    stored = np.where(NUMBERS > 60, -NUMBERS, 2_000_000_000 + NUMBERS).astype(np.int32)
    np.testing.assert_array_equal(read_labels(tiff(stored, photometric="minisblack"), shape_px=SHAPE), stored)


def test_own_files_are_read():
    classes, islets = (NUMBERS % 3).astype(np.uint8), (NUMBERS * 1000).astype(np.int32)
    np.testing.assert_array_equal(read_labels(classes_tiff(classes, um_per_px=1.5), shape_px=SHAPE), classes)
    np.testing.assert_array_equal(read_labels(islets_tiff(islets, um_per_px=None), shape_px=SHAPE), islets)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_png(kind: type[np.uint8] | type[np.uint16]):
    stored = NUMBERS.astype(kind)
    np.testing.assert_array_equal(read_labels(imagecodecs.png_encode(stored), shape_px=SHAPE), stored)


REFUSED = {
    "nothing": (b"", UnsupportedImageError, "TIFF or PNG"),
    "a JPEG": (b"\xff\xd8\xff\xe0", UnsupportedImageError, "TIFF or PNG"),
    "colours": (tiff(np.zeros((*SHAPE, 3), np.uint8), photometric="rgb"), UnsupportedImageError, "grey numbers"),
    "fractions": (tiff(np.zeros(SHAPE, np.float32)), UnsupportedImageError, "floating-point"),
    "64 bits": (tiff(np.zeros(SHAPE, np.uint64)), UnsupportedImageError, "64-bit"),
    "inverted": (tiff(np.zeros(SHAPE, np.uint8), photometric="miniswhite"), UnsupportedImageError, "grey numbers"),
    "turned": (
        tiff(np.zeros(SHAPE, np.uint8), extratags=[(274, "H", 1, 6, True)], photometric="minisblack"),
        UnsupportedImageError,
        "upright",
    ),
    "a stack": (tiff(np.zeros((3, *SHAPE), np.uint8), photometric="minisblack"), UnsupportedImageError, "stack"),
    "turned by a quarter": (tiff(np.zeros(SHAPE[::-1], np.uint8)), ParameterError, "60 x 40 px, but have 40 x 60"),
    "too large": (tiff(np.zeros((400, 600), np.uint8)), ParameterError, "60 x 40 px; they are larger"),
    "cut short": (tiff(NUMBERS.astype(np.uint8))[:-900], DamagedImageError, "cut short"),
    "a coloured PNG": (png(Image.new("RGB", SHAPE[::-1])), UnsupportedImageError, "grey PNG"),
    "a PNG with a palette": (png(Image.new("P", SHAPE[::-1])), UnsupportedImageError, "grey PNG"),
    "a broken PNG": (imagecodecs.png_encode(NUMBERS.astype(np.uint8))[:-200], DamagedImageError, "whole PNG"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_everything_else_is_refused(name: str):
    data, error, words = REFUSED[name]
    with pytest.raises(error, match=words) as caught:
        read_labels(data, shape_px=SHAPE)
    assert isinstance(caught.value, InputError)
    assert caught.value.subject == "labels"


def test_lossy_numbers_are_refused():
    data = tiff(np.zeros((64, 64), np.uint8), photometric="minisblack", compression="jpeg", tile=(64, 64))
    with pytest.raises(UnsupportedImageError, match="without loss"):
        read_labels(data, shape_px=(64, 64))


def test_a_claim_beyond_the_picture_is_refused_before_it_is_decoded():
    # 400 megapixels of zeros in some hundred kilobytes.
    huge = imagecodecs.png_encode(np.zeros((2000, 2000), np.uint8))
    claim = huge[:16] + (20_000).to_bytes(4, "big") * 2 + huge[24:]
    with pytest.raises(ParameterError, match="they are larger"):
        read_labels(claim, shape_px=SHAPE)
