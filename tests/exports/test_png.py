"""PNG of our own: other programs read the same pixels, and theirs are read too."""

from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sample_results import drawn_labels, drawn_pixels

from isletnet.exports.png import png_bytes, png_pixels

NOISE = np.random.default_rng(3).integers(0, 256, (37, 53, 3)).astype(np.uint8)
PICTURES = {
    "noise": NOISE,
    "micrograph": drawn_pixels(drawn_labels()),
    "one pixel": NOISE[:1, :1],
    "one row": NOISE[:1],
    "one column": NOISE[:, :1],
    "a part of another": NOISE[3:20, 5:30],
}


@pytest.fixture(params=PICTURES)
def picture(request: pytest.FixtureRequest) -> NDArray[np.uint8]:
    return PICTURES[request.param]


def test_other_readers_see_the_same_pixels(picture: NDArray[np.uint8]) -> None:
    content = png_bytes(picture)
    opened = Image.open(BytesIO(content))
    assert (opened.format, opened.mode) == ("PNG", "RGB")
    np.testing.assert_array_equal(np.asarray(opened), picture)
    np.testing.assert_array_equal(imagecodecs.png_decode(content), picture)


def test_what_was_written_comes_back(picture: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(png_pixels(png_bytes(picture)), picture)


@pytest.mark.parametrize("filter_name", ["NONE", "SUB", "UP", "PAETH"])
def test_files_of_other_writers_are_read(picture: NDArray[np.uint8], filter_name: str) -> None:
    chosen = getattr(imagecodecs.PNG.FILTER, filter_name)
    np.testing.assert_array_equal(png_pixels(imagecodecs.png_encode(picture, filter=chosen)), picture)


def test_a_grey_file_becomes_rgb() -> None:
    grey = np.ascontiguousarray(NOISE[..., 0])
    np.testing.assert_array_equal(png_pixels(imagecodecs.png_encode(grey)), NOISE[..., [0, 0, 0]])


def test_it_is_about_as_small_as_a_thorough_writer_makes_it() -> None:
    picture = PICTURES["micrograph"]
    assert len(png_bytes(picture)) < 1.25 * len(imagecodecs.png_encode(picture, level=9))


def test_damage_is_told() -> None:
    content = png_bytes(NOISE)
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for damaged in (content[:20], content[: len(content) // 2], bytes(flipped), b""):
        with pytest.raises((OSError, SyntaxError)):
            png_pixels(damaged)
