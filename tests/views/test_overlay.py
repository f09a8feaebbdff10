"""The overlay: lines where the outlines are, and the micrograph elsewhere."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sample_results import drawn_labels, drawn_pixels, empty_result, made_table
from scipy import ndimage

from isletnet.schemas import EXOCRINE, ISLET, LabelledIslets
from isletnet.views.overlay import CASING_RGB, EXOCRINE_RGB, ISLET_RGB, SMALL_RGB, overlay, scale_bar_um

LABELLED = drawn_labels((300, 400))
PIXELS = drawn_pixels(LABELLED)
TABLE = made_table(LABELLED, 2.0)


def drawn(**chosen: float) -> NDArray[np.uint8]:
    return overlay(PIXELS, LABELLED, TABLE.iloc[:0] if chosen.pop("no_rows", 0) else TABLE, **chosen)  # type: ignore[arg-type]


def edge_distance_px(labelled: LabelledIslets) -> NDArray[np.float64]:
    codes = np.where(labelled.islets > 0, labelled.islets + 1, labelled.classes == EXOCRINE)
    is_flat = np.ones(codes.shape, dtype=bool)
    for axis in (0, 1):
        for shift in (1, -1):
            moved = np.roll(codes, shift, axis)
            is_flat &= codes == moved
    # What rolls over the edge of the picture is no border of an islet.
    is_flat[0] = is_flat[-1] = is_flat[:, 0] = is_flat[:, -1] = True
    distance: NDArray[np.float64] = ndimage.distance_transform_edt(is_flat)
    return distance


def is_painted(picture: NDArray[np.uint8], rgb: tuple[int, int, int]) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = np.abs(picture.astype(int) - rgb).max(axis=2) <= 3
    return near


def test_pixels_away_from_lines_are_those_of_the_micrograph() -> None:
    picture = drawn()
    changed = (picture != PIXELS).any(axis=2)
    near = edge_distance_px(LABELLED) <= 5
    numbers = np.zeros_like(near)
    for row in TABLE.to_dict("records"):
        y, x = int(row["centroid_y_px"]), int(row["centroid_x_px"])
        numbers[max(0, y - 30) : y + 14, max(0, x - 25) : x + 45] = True
    assert not (changed & ~near & ~numbers).any()
    assert changed[near].mean() > 0.4


def test_the_micrograph_is_not_modified() -> None:
    before = PIXELS.copy()
    drawn(um_per_px=2.0)
    np.testing.assert_array_equal(PIXELS, before)


@pytest.mark.parametrize("background", [(195, 190, 5), (250, 250, 250), (10, 8, 4)])
def test_every_kind_has_its_colour_on_every_background(background: tuple[int, int, int]) -> None:
    pixels = np.full((300, 400, 3), background, dtype=np.uint8)
    picture = overlay(pixels, LABELLED, TABLE)
    near = {
        ISLET_RGB: ndimage.binary_dilation(LABELLED.islets == 2, iterations=3),
        SMALL_RGB: ndimage.binary_dilation(LABELLED.islets == 5, iterations=3),
        EXOCRINE_RGB: ndimage.binary_dilation(LABELLED.classes == EXOCRINE, iterations=3),
    }
    for rgb, place in near.items():
        assert (is_painted(picture, rgb) & place).sum() > 20
    # The casing makes lines stand out where they are as light as the picture.
    casing = np.abs(picture.astype(int) - CASING_RGB).max(axis=2) < 70
    assert (casing & near[ISLET_RGB]).sum() > 100


def test_an_islet_that_the_border_cuts_is_dashed() -> None:
    picture = drawn()
    y, x = np.mgrid[:300, :400]
    angle = np.linspace(0.2, np.pi - 0.2, 400)

    def is_blue_around(row: float, column: float, radius: float) -> NDArray[np.bool_]:
        rows, columns = (row + radius * np.sin(angle)).astype(int), (column + radius * np.cos(angle)).astype(int)
        return is_painted(picture, ISLET_RGB)[rows, columns]

    assert is_blue_around(90, 200, 35).mean() > 0.8
    assert 0.3 < is_blue_around(8, 150, 26).mean() < 0.75


def test_touching_islets_have_a_line_between_them() -> None:
    assert is_painted(drawn(), ISLET_RGB)[90, 84:88].any()


def test_a_large_picture_is_scaled_down_with_its_lines() -> None:
    assert drawn(max_side_px=200).shape == (150, 200, 3)
    assert is_painted(drawn(max_side_px=200), ISLET_RGB).sum() > 50


def test_a_calibrated_picture_has_a_scale_bar_of_the_right_length() -> None:
    plain, with_bar = drawn(), drawn(um_per_px=2.0)
    is_new = is_painted(with_bar, (255, 255, 255)) & ~is_painted(plain, (255, 255, 255))
    longest = max(run for row in is_new[-12:] for run in _runs(row))
    assert longest == scale_bar_um(400 * 2.0) / 2.0 == 50


def _runs(row: NDArray[np.bool_]) -> list[int]:
    parts, parts_n = ndimage.label(row)
    return [int((parts == number).sum()) for number in range(1, parts_n + 1)] or [0]


@pytest.mark.parametrize(("width_um", "bar_um"), [(1000, 200), (999, 100), (3200, 500), (12.6, 2), (50, 10)])
def test_scale_bars_are_round_and_at_most_a_fifth(width_um: float, bar_um: float) -> None:
    assert scale_bar_um(width_um) == pytest.approx(bar_um)


def test_nothing_found_leaves_the_picture_alone() -> None:
    nothing = empty_result()
    picture = overlay(nothing.micrograph.pixels, nothing.labelled, nothing.table)
    np.testing.assert_array_equal(picture, nothing.micrograph.pixels)


def test_a_picture_full_of_islet_has_no_line_inside() -> None:
    full = LabelledIslets(classes=np.full((40, 50), ISLET, np.uint8), islets=np.ones((40, 50), np.int32), islets_n=1)
    pixels = drawn_pixels(full)
    changed = (overlay(pixels, full, made_table(full, 2.0)) != pixels).any(axis=2)
    assert not changed[:5].any()
    assert changed[15:25, 20:30].any()


def test_each_of_many_islets_has_its_own_line() -> None:
    square = np.pad(np.ones((30, 30), np.int32), 5)
    islets = np.kron(np.arange(1, 301, dtype=np.int32).reshape(15, 20), square)
    many = LabelledIslets(classes=(islets > 0).astype(np.uint8), islets=islets, islets_n=300)
    picture = overlay(np.full((*islets.shape, 3), 120, np.uint8), many, made_table(many, 5.0))
    is_blue = is_painted(picture, ISLET_RGB)
    # Also where ids pass 255.
    assert set(np.unique(islets[is_blue])) >= set(range(1, 301))
