"""Labelling: cleaning, splitting and numbering, on drawn masks and on the experts' masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy import ndimage

from isletnet.analysis.label import label
from isletnet.errors import ParameterError
from isletnet.schemas import BACKGROUND, EXOCRINE, ISLET, Segmentation

UM_PER_PX = 2.0


def labelled(classes, *, um_per_px=UM_PER_PX, smallest_particle_um=15.0, split_touching=True):
    classes = np.asarray(classes, np.uint8)
    segmentation = Segmentation(classes=classes, islet_probability=np.zeros_like(classes))
    return label(
        segmentation,
        um_per_px=um_per_px,
        smallest_particle_um=smallest_particle_um,
        split_touching=split_touching,
    )


def drawn(shape, *discs):
    """Classes with discs ``(class, row, column, radius)``, later ones on top."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    classes = np.zeros(shape, np.uint8)
    for class_id, row, column, radius in discs:
        classes[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = class_id
    return classes


def pair(first_px, second_px, overlap_px, angle):
    reach = (first_px + second_px - overlap_px) / 2
    n = int(2 * (first_px + second_px)) + 10
    dy, dx = reach * np.sin(angle), reach * np.cos(angle)
    return drawn((n, n), (ISLET, n / 2 - dy, n / 2 - dx, first_px), (ISLET, n / 2 + dy, n / 2 + dx, second_px))


def check_contract(classes, result):
    """Hold what every result must: ids 1..n in raster order, 4-connected, exactly on the islet class."""
    assert result.islets.dtype == np.int32
    assert result.classes.dtype == np.uint8
    np.testing.assert_array_equal(result.islets > 0, result.classes == ISLET)
    ids, first = np.unique(result.islets, return_index=True)
    np.testing.assert_array_equal(ids[ids > 0], np.arange(1, result.islets_n + 1))
    assert (np.diff(first[ids > 0]) > 0).all()
    for number in range(1, result.islets_n + 1):
        assert ndimage.label(result.islets == number)[1] == 1
    assert result.islets.shape == classes.shape


class TestNumbering:
    @pytest.mark.parametrize("class_id", [BACKGROUND, EXOCRINE])
    def test_no_islet_is_a_result(self, class_id):
        result = labelled(np.full((30, 40), class_id))
        assert result.islets_n == 0
        assert not result.islets.any()
        np.testing.assert_array_equal(result.classes, class_id)

    def test_islets_only(self):
        result = labelled(np.full((30, 40), ISLET))
        assert result.islets_n == 1

    def test_raster_order_of_the_first_pixel(self):
        classes = drawn((80, 120), (ISLET, 50, 20, 15), (ISLET, 40, 60, 15), (ISLET, 60, 100, 15))
        result = labelled(classes)
        assert [result.islets[point] for point in ((40, 60), (50, 20), (60, 100))] == [1, 2, 3]

    def test_the_argument_is_not_modified(self):
        classes = drawn((60, 60), (EXOCRINE, 30, 30, 16), (ISLET, 30, 30, 14), (BACKGROUND, 30, 30, 3))
        kept = classes.copy()
        labelled(classes)
        np.testing.assert_array_equal(classes, kept)

    @given(
        arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.integers(0, 2)),
        st.integers(0, 3),
        st.sampled_from([0.3, 2.0, 9.0]),
    )
    @settings(max_examples=50, derandomize=True, deadline=None)
    def test_the_contract_holds_on_any_mask(self, classes, growth, um_per_px):
        grown = np.repeat(np.repeat(classes, growth + 1, axis=0), growth + 1, axis=1)
        check_contract(grown, labelled(grown, um_per_px=um_per_px))

    @pytest.mark.parametrize(
        ("changed", "word"),
        [
            ({"um_per_px": 0.0}, "um_per_px"),
            ({"um_per_px": np.nan}, "um_per_px"),
            ({"smallest_particle_um": -1.0}, "smallest"),
        ],
    )
    def test_parameters_out_of_range(self, changed, word):
        with pytest.raises(ParameterError, match=word):
            labelled(np.zeros((5, 5)), **changed)


class TestCleaning:
    def test_thin_exocrine_rim_goes(self):
        classes = drawn((120, 120), (EXOCRINE, 60, 60, 32), (ISLET, 60, 60, 30))
        result = labelled(classes)
        assert (result.classes != EXOCRINE).all()
        np.testing.assert_array_equal(result.classes == ISLET, classes == ISLET)

    def test_thick_exocrine_mantle_stays(self):
        classes = drawn((120, 120), (EXOCRINE, 60, 60, 40), (ISLET, 60, 60, 30))
        np.testing.assert_array_equal(labelled(classes).classes, classes)

    def test_rim_width_is_in_micrometres(self):
        """A rim of 4 pixels is 8 um at 2 um/px, but 2 um at 0.5 um/px."""
        classes = drawn((140, 140), (EXOCRINE, 70, 70, 54), (ISLET, 70, 70, 50))
        assert (labelled(classes, um_per_px=2.0).classes == EXOCRINE).any()
        assert not (labelled(classes, um_per_px=0.5).classes == EXOCRINE).any()

    @pytest.mark.parametrize(
        ("um_per_px", "width_px", "stays"),
        [(2.0, 1, False), (2.0, 2, False), (2.0, 3, True), (0.5, 10, False), (0.5, 12, True)],
    )
    def test_band_of_6_um_is_no_rim(self, um_per_px, width_px, stays):
        classes = np.zeros((60, 80), np.uint8)
        classes[10:50, 10:50] = ISLET
        classes[10:50, 50 : 50 + width_px] = EXOCRINE
        kept = labelled(classes, um_per_px=um_per_px, smallest_particle_um=2.0).classes == EXOCRINE
        assert kept.any() == stays

    def test_exocrine_clump_beside_an_islet_keeps_nearly_all_its_pixels(self):
        classes = drawn((120, 200), (EXOCRINE, 60, 130, 40), (ISLET, 60, 60, 40))
        kept = np.count_nonzero(labelled(classes).classes == EXOCRINE)
        assert kept >= 0.99 * np.count_nonzero(classes == EXOCRINE)

    def test_specks_go_to_the_class_around_them(self):
        classes = drawn(
            (100, 200), (EXOCRINE, 50, 50, 30), (ISLET, 50, 50, 2), (ISLET, 50, 120, 2), (EXOCRINE, 50, 170, 2)
        )
        result = labelled(classes)
        assert result.islets_n == 0
        assert result.classes[50, 50] == EXOCRINE
        assert result.classes[50, 120] == BACKGROUND
        assert result.classes[50, 170] == BACKGROUND

    @pytest.mark.parametrize(("side_px", "islets_n"), [(6, 0), (7, 1)])
    def test_smallest_particle(self, side_px, islets_n):
        """At 2 um/px a circle of 15 um has 44.2 pixels: between 6² and 7²."""
        classes = np.zeros((20, 20), np.uint8)
        classes[5 : 5 + side_px, 5 : 5 + side_px] = ISLET
        assert labelled(classes).islets_n == islets_n

    @pytest.mark.parametrize("inner", [BACKGROUND, EXOCRINE])
    def test_small_hole_is_filled(self, inner):
        result = labelled(drawn((100, 100), (ISLET, 50, 50, 40), (inner, 50, 50, 15)))
        assert result.islets[50, 50] == 1
        assert result.classes[50, 50] == ISLET

    def test_particle_in_a_small_hole_joins_the_islet(self):
        result = labelled(drawn((100, 100), (ISLET, 50, 50, 40), (BACKGROUND, 50, 50, 15), (ISLET, 50, 50, 9)))
        assert result.islets_n == 1
        assert result.islets[50, 50] == 1

    def test_ring_of_islets_stays_open(self):
        angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
        ring = drawn((260, 260), *[(ISLET, 130 + 80 * np.sin(a), 130 + 80 * np.cos(a), 33) for a in angles])
        assert ndimage.label(ring == ISLET)[1] == 1
        assert labelled(ring, split_touching=False).classes[130, 130] == BACKGROUND

    def test_notch_at_the_border_is_no_hole(self):
        result = labelled(drawn((100, 100), (ISLET, 10, 50, 40), (BACKGROUND, 2, 50, 6)))
        assert result.classes[0, 50] == BACKGROUND


class TestSplitting:
    @pytest.mark.parametrize("angle", [0.0, 0.5, 1.2, np.pi / 2])
    @pytest.mark.parametrize(
        ("first_px", "second_px", "overlap_px"), [(30, 30, 6), (50, 50, 8), (50, 25, 4), (15, 15, 2)]
    )
    def test_touching_discs(self, first_px, second_px, overlap_px, angle):
        classes = pair(first_px, second_px, overlap_px, angle)
        assert labelled(classes, split_touching=False).islets_n == 1
        result = labelled(classes)
        check_contract(classes, result)
        np.testing.assert_array_equal(result.classes, classes)
        areas = np.sort(np.bincount(result.islets.ravel())[1:])
        np.testing.assert_allclose(areas, np.sort([np.pi * first_px**2, np.pi * second_px**2]), rtol=0.03)

    @pytest.mark.parametrize("um_per_px", [0.5, 1.0, 2.0, 4.0])
    def test_the_scale_of_the_picture_does_not_matter(self, um_per_px):
        radius_px = 100 / um_per_px
        classes = pair(radius_px, radius_px, 16 / um_per_px, 0.4)
        result = labelled(classes, um_per_px=um_per_px)
        check_contract(classes, result)
        np.testing.assert_allclose(np.bincount(result.islets.ravel())[1:], np.pi * radius_px**2, rtol=0.03)

    @pytest.mark.parametrize("angle", [0.0, 0.5, 1.2])
    def test_wide_neck_is_one_islet(self, angle):
        """Two discs that share half a radius have a neck of 0.66 of their width at radius 1 and more beyond."""
        assert labelled(pair(40, 40, 24, angle)).islets_n == 1

    def test_small_lobe_is_no_islet(self):
        assert labelled(pair(40, 8, 2, 0.3)).islets_n == 1

    @pytest.mark.parametrize("ratio", [1.0, 0.5, 0.3])
    def test_ellipses_are_one(self, ratio):
        y, x = np.mgrid[-100:101, -100:101]
        classes = ((x * np.cos(0.4) + y * np.sin(0.4)) / 90) ** 2 + (
            (y * np.cos(0.4) - x * np.sin(0.4)) / (90 * ratio)
        ) ** 2
        assert labelled(classes <= 1).islets_n == 1

    def test_horseshoe_is_one_islet(self):
        """Its ends do not see each other, and the way around between them is long but never narrow."""
        y, x = np.mgrid[-150:151, -150:151].astype(float)
        distance, angle = np.hypot(y, x), np.arctan2(y, x)
        classes = (np.abs(distance - 100) <= 20) & (np.abs(angle) < 2.6)
        for side in (-1, 1):
            classes |= np.hypot(y - side * 100 * np.sin(2.6), x - 100 * np.cos(2.6)) <= 23 + side
        assert ndimage.label(classes)[1] == 1
        assert labelled(classes).islets_n == 1

    def test_chain_of_three(self):
        classes = drawn((120, 260), (ISLET, 60, 50, 30), (ISLET, 60, 106, 30), (ISLET, 60, 162, 30))
        assert labelled(classes).islets_n == 3

    def test_ring_of_islets_comes_apart(self):
        angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
        ring = drawn((260, 260), *[(ISLET, 130 + 80 * np.sin(a), 130 + 80 * np.cos(a), 32) for a in angles])
        assert labelled(ring).islets_n == 8

    @pytest.mark.parametrize("turn", [np.flipud, np.fliplr, np.rot90, np.transpose])
    def test_flips_and_rotations_keep_the_count(self, turn):
        classes = drawn(
            (200, 240), (ISLET, 60, 60, 30), (ISLET, 60, 114, 27), (ISLET, 111, 90, 28), (EXOCRINE, 150, 180, 30)
        )
        before, after = labelled(classes), labelled(turn(classes))
        assert before.islets_n == after.islets_n == 3
        areas = [np.sort(np.bincount(result.islets.ravel())[1:]) for result in (before, after)]
        np.testing.assert_allclose(areas[1], areas[0], rtol=0.02)


def count_of_50_um(islets, um_per_px):
    areas_px = np.bincount(islets.ravel())[1:]
    return np.count_nonzero(2 * np.sqrt(areas_px / np.pi) * um_per_px >= 50)


class TestExperts:
    NAMES = (
        ("Lh05-04", 0.5),
        ("Lh10-03", 0.5),
        ("gtExoIsl_13", 2.0),
        ("gtExoIsl_21_left", 2.0),
        ("gtExoIsl_27_right", 2.0),
    )

    @pytest.mark.parametrize(("name", "um_per_px"), NAMES)
    def test_experts_islets_are_kept(self, real_data, name, um_per_px):
        classes = np.asarray(Image.open(real_data / "labels" / f"{name}.png"))
        experts_n = count_of_50_um(ndimage.label(classes == ISLET)[0], um_per_px)
        result = labelled(classes, um_per_px=um_per_px)
        check_contract(classes, result)
        assert abs(count_of_50_um(result.islets, um_per_px) - experts_n) <= 0.07 * experts_n
        for class_id in (ISLET, EXOCRINE):
            kept = np.count_nonzero((result.classes == class_id) & (classes == class_id))
            assert kept >= 0.99 * np.count_nonzero(classes == class_id)

    def test_islets_that_run_together_come_apart(self, real_data):
        """A mask one pixel too wide fuses four pairs of the experts' islets."""
        islet = np.asarray(Image.open(real_data / "labels" / "gtExoIsl_21_left.png")) == ISLET
        wide = ndimage.binary_dilation(islet)
        experts_n = count_of_50_um(ndimage.label(islet)[0], 2.0)
        assert count_of_50_um(ndimage.label(wide)[0], 2.0) <= experts_n - 4
        assert abs(count_of_50_um(labelled(wide).islets, 2.0) - experts_n) <= 0.07 * experts_n
