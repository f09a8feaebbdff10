"""Every warning fires on a picture made for it, and keeps quiet on good ones."""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from isletnet.analysis import quality
from isletnet.analysis.checks import features, kind, picture
from isletnet.analysis.checks.bubbles import find_bubbles

YELLOW, RED = (208, 200, 2), (222, 62, 2)
SHAPE = (600, 800)
Draw = Callable[[np.random.Generator], NDArray[np.uint8]]
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]


def field(
    *, light: tuple[int, int, int] = YELLOW, islet: tuple[int, int, int] = RED, blur_px: float = 1.5
) -> NDArray[np.uint8]:
    """Draw nine red islets of different sizes in even light with a little noise."""
    values = np.ones((*SHAPE, 3)) * light
    for number in range(9):
        row, column = 110 + 190 * (number // 3), 140 + 260 * (number % 3)
        values[np.hypot(ROWS - row, COLUMNS - column) <= 20 + 4 * number] = islet
    values = ndimage.gaussian_filter(values, (blur_px, blur_px, 0))
    noise = np.random.default_rng(5).normal(0, 1.5, values.shape)
    return np.clip(values + noise, 0, 255).astype(np.uint8)


def codes(pixels: NDArray[np.uint8], um_per_px: float | None = 2.0) -> set[str]:
    return {warning.code for warning in quality.check_picture(pixels, um_per_px=um_per_px)}


def with_bubble(pixels: NDArray[np.uint8], row: int, column: int, radius: float) -> NDArray[np.uint8]:
    """Darken a ring, a fifth of the radius thick."""
    distance = np.hypot(ROWS - row, COLUMNS - column)
    passed = 1 - 0.7 * np.exp(-(((distance - radius) / (0.1 * radius)) ** 2))
    return np.clip(pixels * passed[..., None], 0, 255).astype(np.uint8)


@pytest.mark.parametrize("light", [YELLOW, (225, 222, 214), (150, 175, 215)])
def test_a_good_picture_in_any_light_has_no_warning(light: tuple[int, int, int]) -> None:
    islet = (light[0], int(light[1] * 0.35), int(light[2] * 0.4))
    assert codes(field(light=light, islet=islet)) == set()


def test_real_micrographs_have_no_warning(real_data: Path) -> None:
    with (real_data / "calibration.csv").open() as file:
        scales = {row["name"]: float(row["um_per_px"]) for row in csv.DictReader(file)}
    found = {
        name: codes(np.asarray(Image.open(real_data / "images" / f"{name}.png")), um_per_px)
        for name, um_per_px in scales.items()
    }
    assert found == {name: set() for name in scales}


def test_blurred_real_micrographs_are_out_of_focus(real_data: Path) -> None:
    pixels = np.asarray(Image.open(real_data / "images" / "gtExoIsl_21_left.png"))
    blurred = ndimage.gaussian_filter(pixels, (8, 8, 0))
    warnings = quality.check_picture(blurred, um_per_px=2.0)
    assert [warning.code for warning in warnings] == ["out_of_focus"]
    # The optics' own 3.6 px and the added 8 px join in quadrature.
    assert warnings[0].evidence["edge_spread_px"] == pytest.approx(math.hypot(3.6, 8), rel=0.15)


@pytest.mark.parametrize("blur_px", [2.0, 4.0, 8.0])
def test_edge_spread_is_the_gaussian_that_blurred_the_edge(blur_px: float) -> None:
    pixels = field(blur_px=blur_px)
    small, factor = features.thumbnail(pixels)
    edges = features.edge_spread_px(pixels, small, factor)
    assert edges is not None
    assert edges[0] == pytest.approx(blur_px, rel=0.2)
    assert edges[1] == pytest.approx(200 - 62, rel=0.12)


def test_focus_is_judged_in_micrometres_where_they_are_known() -> None:
    assert picture.out_of_focus((7.0, 100.0), None) is not None
    assert picture.out_of_focus((7.0, 100.0), 0.5) is None
    warning = picture.out_of_focus((13.0, 100.0), 2.0)
    assert warning is not None
    assert (warning.severity, warning.evidence["edge_spread_um"]) == ("severe", 26.0)
    assert picture.out_of_focus((13.0, 5.0), 2.0) is None
    assert picture.out_of_focus(None, 2.0) is None


def test_clipped_light_is_told_from_a_single_full_channel() -> None:
    pixels = field(light=(255, 200, 0), islet=(255, 30, 0))
    small, _ = features.thumbnail(pixels)
    assert picture.clipped(small) is None
    over = picture.clipped(features.thumbnail(field(light=(300, 290, 2)))[0])
    assert over is not None
    assert over.severity == "severe"
    assert over.evidence["over_exposed_fraction"] > 0.8
    black = small.copy()
    black[:20] = 0
    under = picture.clipped(black)
    assert under is not None
    assert under.evidence["under_exposed_fraction"] == pytest.approx(20 / small.shape[0])
    assert "under" in under.message


def test_uneven_light_is_measured_and_islets_do_not_disturb_it() -> None:
    ratio = 2.6
    shade = np.exp(-np.log(ratio) * COLUMNS / SHAPE[1])[..., None]
    warnings = quality.check_picture((field() * shade).astype(np.uint8), um_per_px=2.0)
    (uneven,) = (warning for warning in warnings if warning.code == "uneven_light")
    # The light is measured with an offset of 8 levels, which takes a little off the ratio.
    assert uneven.evidence["brightest_over_darkest"] == pytest.approx((200 + 8) / (200 / ratio + 8), rel=0.08)
    assert "uneven_light" not in codes((field() * np.sqrt(shade)).astype(np.uint8))


@pytest.mark.parametrize("shape", [(16, 6000), (6000, 16)])
def test_light_is_fitted_on_a_picture_of_a_single_thumbnail_row_too(shape: tuple[int, int]) -> None:
    ratio = np.linspace(1, 0.5, max(shape)).reshape([side if side == max(shape) else 1 for side in shape])
    small, _ = features.thumbnail((np.full((*shape, 3), 200) * ratio[..., None]).astype(np.uint8))
    surface = features.background_surface(features.log_colours(small))
    assert math.exp(surface.max() - surface.min()) == pytest.approx((200 + 8) / (100 + 8), rel=0.05)


def test_an_empty_field_has_low_contrast() -> None:
    small, _ = features.thumbnail(field(islet=YELLOW), longest_px=kind.KIND_PX)
    colours = features.log_colours(small)
    assert picture.low_contrast(colours, features.background_surface(colours)) is not None
    stained = features.log_colours(features.thumbnail(field(), longest_px=kind.KIND_PX)[0])
    assert picture.low_contrast(stained, features.background_surface(stained)) is None


def test_colours_outside_the_training_range_are_named() -> None:
    statistics = quality.colour_statistics(field())
    own = {name: [value, value] for name, value in statistics.items()}
    assert picture.colours_unlike_training(statistics, own) is None
    other = own | {"background_light": [statistics["background_light"] + 1.0, statistics["background_light"] + 2.0]}
    warning = picture.colours_unlike_training(statistics, other)
    assert warning is not None
    assert set(warning.evidence) == {"background_light"}
    assert "background light" in warning.message
    assert "colours_unlike_training" in {
        found.code for found in quality.check_picture(field(), um_per_px=2.0, training_colours=other)
    }


@pytest.mark.parametrize(("row", "column", "radius"), [(300, 300, 60), (200, 400, 25), (300, 20, 70)])
def test_bubbles_are_found_where_they_are_also_at_the_border(row: int, column: int, radius: float) -> None:
    pixels = with_bubble(field(), row, column, radius)
    (warning,) = (w for w in quality.check_picture(pixels, um_per_px=2.0) if w.code == "bubble_suspected")
    assert warning.evidence["centre_y_px"] == pytest.approx(row, abs=6)
    assert warning.evidence["centre_x_px"] == pytest.approx(column, abs=6)
    assert warning.evidence["largest_diameter_px"] == pytest.approx(2 * radius, rel=0.3)


def test_islets_exocrine_tissue_and_red_rings_are_no_bubbles() -> None:
    small, _ = features.thumbnail(field())
    assert find_bubbles(small) == ()
    exocrine, _ = features.thumbnail(field(islet=(150, 140, 2)))
    assert find_bubbles(exocrine) == ()
    ring = np.abs(np.hypot(ROWS - 300, COLUMNS - 300) - 60) < 8
    red_ring = np.where(ring[..., None], np.array(RED), field()).astype(np.uint8)
    assert find_bubbles(features.thumbnail(red_ring)[0]) == ()


@pytest.mark.parametrize(
    ("um_per_px", "code"),
    [(None, "calibration_missing"), (0.05, "calibration_implausible"), (50.0, "calibration_implausible")],
)
def test_a_missing_or_impossible_pixel_size_is_told(um_per_px: float | None, code: str) -> None:
    assert codes(field(), um_per_px) == {code}


def grainy(rng: np.random.Generator) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


def page(rng: np.random.Generator) -> NDArray[np.uint8]:
    ink = np.kron(rng.random((60, 160)) < 0.4, np.ones((10, 5))) * ((ROWS // 10) % 2)
    return (250 - 230 * ink[..., None] * np.ones(3)).astype(np.uint8)


def red_fluorescence(rng: np.random.Generator) -> NDArray[np.uint8]:
    glow = ndimage.gaussian_filter((field()[..., 1] < 130).astype(float), 6) * 220
    return np.dstack([glow + rng.uniform(0, 3, SHAPE), glow * 0.05, glow * 0.02]).astype(np.uint8)


def histology(rng: np.random.Generator) -> NDArray[np.uint8]:
    nuclei = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 3) > 0.06
    cloth = 1 + 0.6 * ndimage.gaussian_filter(rng.standard_normal(SHAPE), 12)
    pink, violet = np.array([225, 140, 190]), np.array([110, 60, 140])
    return np.clip(np.where(nuclei[..., None], violet, pink) * cloth[..., None], 0, 255).astype(np.uint8)


@pytest.mark.parametrize("draw", [grainy, page, red_fluorescence, histology])
def test_pictures_that_are_no_islet_micrographs_are_refused_first(draw: Draw) -> None:
    warnings = quality.check_picture(draw(np.random.default_rng(3)), um_per_px=2.0)
    assert warnings[0].code == "not_islet_micrograph"
    assert warnings[0].severity == "severe"
    assert warnings[0].evidence["islet_micrograph_probability"] < picture.NOT_ISLETS_BELOW


@pytest.mark.parametrize(
    "name", ["astronaut", "coffee", "camera", "page", "text", "immunohistochemistry", "retina", "rocket"]
)
def test_pictures_of_other_things_are_refused(name: str) -> None:
    pixels = np.asarray(Image.fromarray(getattr(skimage.data, name)()).convert("RGB"))
    assert "not_islet_micrograph" in codes(pixels)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    shape=st.one_of(
        st.tuples(st.integers(16, 70), st.integers(16, 70)), st.sampled_from([(16, 6000), (6000, 16), (17, 900)])
    ),
    level=st.integers(0, 255),
    noise=st.sampled_from([0, 1, 60]),
    seed=st.integers(0, 1000),
)
def test_any_picture_is_judged_without_a_crash_and_with_finite_evidence(
    shape: tuple[int, int], level: int, noise: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.clip(level + rng.integers(-noise, noise + 1, (*shape, 3)), 0, 255).astype(np.uint8)
    before = pixels.copy()
    warnings = quality.check_picture(pixels, um_per_px=None)
    assert all(math.isfinite(value) for warning in warnings for value in warning.evidence.values())
    assert (pixels == before).all()
    order = [quality.SEVERITY_ORDER.index(warning.severity) for warning in warnings]
    assert order == sorted(order)
