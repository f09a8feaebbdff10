"""The shared real micrographs decode to the grid of their labels."""

import csv
from pathlib import Path

import numpy as np
import pytest
from decode_corpus import NAME, by_pillow, read, read_or_refuse
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from isletnet.analysis.decode import decode
from isletnet.errors import InputError


@pytest.fixture(scope="session")
def names(real_data: Path) -> list[str]:
    with (real_data / "calibration.csv").open(encoding="utf-8") as table:
        return [row["name"] for row in csv.DictReader(table)]


def test_shapes_and_pixels(real_data: Path, names: list[str]) -> None:
    assert len(names) == 5
    for name in names:
        data = (real_data / "images" / f"{name}.png").read_bytes()
        micrograph = decode(data, name=name)
        with Image.open(real_data / "labels" / f"{name}.png") as labels:
            assert micrograph.shape_px == (labels.height, labels.width)
        with Image.open(real_data / "images" / f"{name}.png") as image:
            np.testing.assert_array_equal(micrograph.pixels, np.asarray(image.convert("RGB")))
        assert micrograph.calibration.source == "guess"


def test_every_format_gives_the_same_micrograph(real_data: Path, names: list[str]) -> None:
    with Image.open(real_data / "images" / f"{names[0]}.png") as image:
        cut = image.convert("RGB").crop((300, 200, 700, 500))
    expected = np.asarray(cut)
    for file_format, options in (("TIFF", {"compression": "tiff_lzw"}), ("BMP", {}), ("PNG", {})):
        np.testing.assert_array_equal(read(by_pillow(cut, file_format, **options)).pixels, expected)
    jpeg = read(by_pillow(cut, "JPEG", quality=95, subsampling=0)).pixels
    assert np.abs(jpeg.astype(int) - expected).mean() < 2


@given(changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=20, derandomize=True, deadline=None)
def test_mutated_real_headers(real_data: Path, names: list[str], changes: list[tuple[int, int]]) -> None:
    data = bytearray((real_data / "images" / f"{names[0]}.png").read_bytes())
    for place, value in changes:
        data[place] = value
    result = read_or_refuse(bytes(data))
    if isinstance(result, InputError):
        assert result.subject == NAME
    else:
        assert result.pixels.shape[2] == 3
