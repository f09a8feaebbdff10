"""Light and scale: the background is found under tissue, in any light; the scale guess is fair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isletnet.analysis.preprocess import (
    background_log_levels,
    cell_positions,
    estimate_background,
    guess_um_per_px,
    resample,
)
from isletnet.schemas import CELL_PX, FLOOR_LEVELS


def draw_dish(levels: tuple[float, float, float], islet: tuple[float, float, float], share: float) -> np.ndarray:
    """Draw a flat field with islets (a disc and a wide bar) that cover about ``share`` of it."""
    pixels = np.empty((320, 400, 3))
    pixels[:] = levels
    y, x = np.mgrid[:320, :400]
    pixels[(y - 160) ** 2 + (x - 300) ** 2 < 40**2] = islet
    pixels[: int(320 * share), :150] = islet
    return np.rint(pixels).astype(np.uint8)


@pytest.mark.parametrize(
    ("levels", "islet"),
    [
        ((200, 195, 2), (215, 70, 2)),
        ((210, 215, 205), (150, 40, 60)),
        ((80, 140, 230), (75, 50, 120)),
        ((28, 16, 1), (80, 5, 1)),
        ((77, 35, 1), (165, 10, 1)),
    ],
    ids=["yellow", "white", "blue", "dark", "dark and bright islets"],
)
@pytest.mark.parametrize("share", [0.0, 0.9])
def test_background_is_the_empty_field_under_any_light(levels, islet, share) -> None:
    found = np.exp(background_log_levels(draw_dish(levels, islet, share))) - FLOOR_LEVELS
    assert np.abs(found - np.array(levels)).max() < 0.04 * max(levels) + 1


def test_background_follows_uneven_light() -> None:
    y, x = np.mgrid[-1:1:320j, -1:1:400j]
    light = 180 * np.exp(0.15 * x - 0.1 * (x**2 + y**2))
    pixels = np.stack([light, light * 0.95, light * 0.01], axis=-1)
    inside = (y - 0.2) ** 2 + (x + 0.3) ** 2 < 0.1
    pixels[inside] *= (1.05, 0.35, 1.0)
    found = np.exp(background_log_levels(pixels.astype(np.uint8))) - FLOOR_LEVELS
    expected = light[CELL_PX // 2 :: CELL_PX, CELL_PX // 2 :: CELL_PX]
    assert np.abs(found[..., 0] / expected - 1).max() < 0.05


def test_background_at_another_working_scale_is_the_same_surface() -> None:
    pixels = draw_dish((200, 195, 2), (215, 70, 2), 0.5)
    whole, coarse = estimate_background(pixels), estimate_background(pixels, 0.5)
    at = cell_positions(0, 5, 5)
    assert np.abs(whole.cells(at, at) - coarse.cells(at, at)).max() < 0.03


@given(st.integers(16, 90), st.integers(16, 90), st.sampled_from([0.25, 0.5, 1.0, 1.7, 3.0]))
def test_resample_keeps_flat_pictures_flat_and_scales_sides(height, width, factor) -> None:
    picture = np.full((height, width, 3), (10, 120, 250), dtype=np.uint8)
    result = resample(picture, factor)
    assert result.shape == (max(1, round(height * factor)), max(1, round(width * factor)), 3)
    assert (result == picture[0, 0]).all()


def test_resample_down_averages_areas() -> None:
    picture = np.zeros((40, 40), dtype=np.uint8)
    picture[::2] = 200
    assert set(np.unique(resample(picture, 0.5))) == {100}


@pytest.mark.parametrize("um_per_px", [0.8, 2.0, 4.0])
def test_scale_guess_is_within_a_factor_of_two_for_usual_islets(um_per_px) -> None:
    y, x = np.mgrid[:900, :1200]
    pixels = np.full((900, 1200, 3), (200, 195, 2), dtype=np.uint8)
    for row, column, diameter_um in [(200, 300, 180), (600, 500, 200), (400, 900, 160), (700, 1000, 120)]:
        pixels[(y - row) ** 2 + (x - column) ** 2 < (diameter_um / 2 / um_per_px) ** 2] = (215, 70, 2)
    assert 0.5 < guess_um_per_px(pixels) / um_per_px < 2


def test_scale_guess_without_islets_is_a_usual_scale() -> None:
    assert guess_um_per_px(np.full((100, 100, 3), 180, np.uint8)) == 2.0
