"""Tiles: they cover the picture once, equal the whole, and come back in its own grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi

from isletnet.analysis.segment import _source_range, _spans, segment, winning_classes
from isletnet.schemas import CELL_PX, EXOCRINE, ISLET


def colour_predictor(rgb: np.ndarray, log_background: np.ndarray) -> np.ndarray:
    """Decide by blurred colour: a predictor that looks 12 px far, as a real one looks further than a pixel."""
    assert rgb.shape[0] % CELL_PX == 0
    assert rgb.shape[1] % CELL_PX == 0
    assert log_background.shape == (rgb.shape[0] // CELL_PX, rgb.shape[1] // CELL_PX, 3)
    smooth = ndi.gaussian_filter(rgb.astype(np.float64), (3, 3, 0), truncate=4.0, mode="constant")
    return np.rint(smooth).astype(np.uint8)


def no_background(first_row: int, first_column: int, rows: int, columns: int) -> np.ndarray:
    return np.zeros((rows, columns, 3), np.float32)


def noise_picture(height: int, width: int, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(ndi.gaussian_filter(rng.normal(0, 900, (height, width, 3)), (6, 6, 0)) + 120, 0, 255).astype(
        np.uint8
    )


@given(st.integers(1, 3000), st.sampled_from([256, 512, 2048]), st.sampled_from([0, 64, 128]))
def test_spans_cover_once_and_start_on_cells(length, tile_px, halo_px) -> None:
    spans = list(_spans(length, tile_px, halo_px))
    assert spans[0][0] == 0
    assert spans[-1][1] == length
    assert all(a[1] == b[0] for a, b in zip(spans, spans[1:], strict=False))
    for start, end, outer_start, outer_end in spans:
        assert start % CELL_PX == 0
        assert outer_start % CELL_PX == 0
        assert end - start <= tile_px + CELL_PX
        assert outer_start == max(0, start - halo_px)
        assert outer_end == min(length, end + halo_px)


@given(st.integers(20, 400), st.floats(0.2, 4.0))
def test_source_ranges_cover_once(source, factor) -> None:
    working = max(CELL_PX, round(source * factor))
    edges = [*range(0, working, 64), working]
    ranges = [_source_range(a, b, working, source) for a, b in zip(edges, edges[1:], strict=False)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == source
    assert all(a[1] == b[0] for a, b in zip(ranges, ranges[1:], strict=False))


@pytest.mark.parametrize("factor", [1.0, 0.25, 0.61, 1.5], ids=str)
def test_tiles_equal_the_whole(factor) -> None:
    pixels = noise_picture(*(np.array([613, 777]) / max(factor, 0.4)).astype(int))
    whole = segment(
        pixels, colour_predictor, no_background, factor=factor, islet_threshold=0.5, halo_px=64, tile_px=4096
    )
    tiled = segment(
        pixels, colour_predictor, no_background, factor=factor, islet_threshold=0.5, tile_px=128, halo_px=64
    )
    difference = np.abs(whole.islet_probability.astype(int) - tiled.islet_probability)
    assert difference.max() <= 1
    # Three noise channels tie often, and a tie may turn on one level of rounding.
    assert (whole.classes != tiled.classes).mean() < (0.005 if factor != 1.0 else 1e-9)
    assert len(np.unique(whole.classes)) == 3


def test_background_cells_are_asked_for_where_the_tile_lies() -> None:
    asked = []

    def background(first_row: int, first_column: int, rows: int, columns: int) -> np.ndarray:
        asked.append((first_row, first_column, rows, columns))
        return np.zeros((rows, columns, 3), np.float32)

    segment(
        noise_picture(200, 330), colour_predictor, background, factor=1.0, islet_threshold=0.5, tile_px=160, halo_px=32
    )
    rows, columns = [(0, 9), (5, 8)], [(0, 9), (5, 11), (12, 9)]
    assert asked == [(r, c, rows_n, columns_n) for r, rows_n in rows for c, columns_n in columns]


@pytest.mark.parametrize("factor", [1.0, 0.3, 2.0], ids=str)
def test_result_has_the_pictures_own_grid_and_place(factor) -> None:
    pixels = np.zeros((160, 240, 3), np.uint8)
    pixels[..., 0] = 200
    pixels[40:100, 60:140] = (0, 255, 0)
    pixels[120:150, 180:230] = (0, 0, 255)
    result = segment(pixels, lambda rgb, _: rgb, no_background, factor=factor, islet_threshold=0.5, halo_px=32)
    for code, rows, columns in ((ISLET, (40, 100), (60, 140)), (EXOCRINE, (120, 150), (180, 230))):
        y, x = np.nonzero(result.classes == code)
        assert np.abs(np.array([y.min(), y.max() + 1]) - rows).max() <= 2
        assert np.abs(np.array([x.min(), x.max() + 1]) - columns).max() <= 2


def test_input_is_not_modified() -> None:
    pixels = noise_picture(100, 90)
    pixels.flags.writeable = False
    segment(pixels, colour_predictor, no_background, factor=0.7, islet_threshold=0.5, halo_px=32)


def test_threshold_decides_on_islets_and_the_rest_goes_to_the_likelier() -> None:
    rows = [(100, 155, 0), (0, 155, 100), (100, 152, 3), (40, 152, 63), (51, 153, 51), (128, 0, 127), (127, 0, 128)]
    probabilities = np.array(rows, np.uint8)[None]
    assert winning_classes(probabilities, 0.6)[0].tolist() == [1, 1, 0, 2, 1, 0, 2]
    assert winning_classes(probabilities, 0.5)[0].tolist() == [1, 1, 1, 1, 1, 0, 2]
