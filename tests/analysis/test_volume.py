"""Volume estimators against closed formulas, the domain's anchors and a brute-force reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from isletnet.analysis import volume
from isletnet.analysis.shapes.distance import RADIUS_LIMIT_PX, dilated, half_heights, squared_distances, thinning_step
from isletnet.analysis.shapes.shape import Moments, moments
from isletnet.errors import ParameterError


def disc(radius_px, centre=(0.5, 0.5)):
    return ellipse(radius_px, radius_px, centre=centre)


def ellipse(a_px, b_px, *, angle=0.0, centre=(0.5, 0.5)):
    n = int(np.ceil(a_px)) + 2
    y, x = np.mgrid[-n : n + 1, -n : n + 1].astype(float)
    y, x = y - centre[0], x - centre[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return (along / a_px) ** 2 + (across / b_px) ** 2 <= 1


def vext(mask, um_per_px=1.0):
    return volume.vext(half_heights([mask])[0], um_per_px=um_per_px)


def prolate_of(found: Moments):
    return float(volume.prolate(found.major_axis_px, found.minor_axis_px, um_per_px=1.0))


class TestAnchors:
    """Section 9 of the domain notes."""

    def test_disc_of_150_um_is_one_islet_equivalent(self):
        mask = disc(50)
        heights = half_heights([mask])[0]
        assert volume.ieq(volume.sphere(mask.sum(), um_per_px=1.5)) == pytest.approx(1.0, rel=0.002)
        assert volume.ieq(volume.vext(heights, um_per_px=1.5)) == pytest.approx(0.99, abs=0.01)
        assert volume.ieq(volume.vmod(heights, um_per_px=1.5)) == pytest.approx(0.94, abs=0.005)

    @pytest.mark.parametrize(("diameter_um", "factor"), [(149.99, 0.648), (150.0, 1.685)])
    def test_ricordi_jumps_at_a_class_bound(self, diameter_um, factor):
        assert volume.ricordi_ieq(diameter_um, table="long") == factor

    @pytest.mark.parametrize("angle", [0.0, 0.4, 1.1])
    def test_ellipse(self, angle):
        mask = ellipse(40, 24, angle=angle)
        prolate = 4 / 3 * np.pi * 40 * 24**2
        assert vext(mask) / prolate == pytest.approx(1.01, abs=0.01)
        assert volume.sphere(mask.sum(), um_per_px=1.0) / prolate == pytest.approx(1.29, abs=0.005)

    def test_two_touching_discs(self):
        one = disc(30)
        pair = np.zeros((one.shape[0], 2 * one.shape[1]), bool)
        pair[:, : one.shape[1]] |= one
        pair[:, 60 : 60 + one.shape[1]] |= one
        truth = 2 * float(volume.sphere(one.sum(), um_per_px=1.0))
        assert volume.sphere(pair.sum(), um_per_px=1.0) / truth == pytest.approx(1.41, abs=0.01)
        assert vext(pair) / (2 * vext(one)) == pytest.approx(1.00, abs=0.005)

    @pytest.mark.parametrize(("radius_px", "lowest", "highest"), [(5, 0.02, 0.07), (10, -0.02, 0.02)])
    def test_vext_of_small_discs(self, radius_px, lowest, highest):
        assert lowest < mean_vext_error(radius_px) < highest

    @pytest.mark.parametrize("radius_px", [15, 20, 30, 50])
    def test_vext_of_larger_discs(self, radius_px):
        assert -0.016 < mean_vext_error(radius_px) < -0.004

    @pytest.mark.parametrize(
        ("diameter_um", "ratio"), [(50, 1.026), (100, 0.982), (150, 0.942), (200, 0.907), (300, 0.847), (400, 0.796)]
    )
    def test_vmod_of_spheres(self, diameter_um, ratio):
        heights = half_heights([disc(100)])[0]
        um_per_px = diameter_um / 200
        ratio_found = volume.vmod(heights, um_per_px=um_per_px) / volume.vext(heights, um_per_px=um_per_px)
        assert ratio_found == pytest.approx(ratio, abs=0.002)


def mean_vext_error(radius_px):
    centres = np.random.default_rng(5).random((20, 2))
    volumes = [vext(disc(radius_px, centre)) for centre in centres]
    return np.mean(volumes) / (4 / 3 * np.pi * radius_px**3) - 1


class TestLaws:
    @pytest.mark.parametrize("method", ["revolution", "nucleator", "prolate", "oblate", "mean_diameter"])
    @pytest.mark.parametrize("radius_px", [12, 40])
    def test_all_agree_on_a_disc(self, method, radius_px):
        found = moments(mask := disc(radius_px))
        axes = (found.major_axis_px, found.minor_axis_px)
        volumes = {
            "revolution": volume.revolution(mask, found, um_per_px=2.0),
            "nucleator": volume.nucleator(mask, found, um_per_px=2.0),
            "prolate": float(volume.prolate(*axes, um_per_px=2.0)),
            "oblate": float(volume.oblate(*axes, um_per_px=2.0)),
            "mean_diameter": float(volume.mean_diameter(*axes, um_per_px=2.0)),
        }
        drawn_radius_um = 2 * np.sqrt(mask.sum() / np.pi)
        assert volumes[method] == pytest.approx(4 / 3 * np.pi * drawn_radius_um**3, rel=0.01)

    def test_sphere_is_exact_on_a_circle_of_any_area(self):
        radii_px = np.array([1.0, 7.0, 33.0])
        volumes = volume.sphere(np.pi * radii_px**2, um_per_px=0.5)
        np.testing.assert_allclose(volumes, 4 / 3 * np.pi * (radii_px / 2) ** 3)

    def test_ellipsoids_by_their_semi_axes(self):
        assert volume.prolate(80, 48, um_per_px=1.0) == pytest.approx(4 / 3 * np.pi * 40 * 24**2)
        assert volume.oblate(80, 48, um_per_px=1.0) == pytest.approx(4 / 3 * np.pi * 40**2 * 24)
        assert volume.mean_diameter(80, 48, um_per_px=1.0) == pytest.approx(4 / 3 * np.pi * 32**3)

    @pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 4, np.arctan(0.5), 1.5])
    def test_revolution_and_vext_are_prolate_on_an_ellipse(self, angle):
        found = moments(mask := ellipse(60, 36, angle=angle))
        assert volume.revolution(mask, found, um_per_px=1.0) == pytest.approx(prolate_of(found), rel=0.005)
        assert vext(mask) == pytest.approx(prolate_of(found), rel=0.02)

    def test_revolution_does_not_bridge_a_gap(self):
        """A thick U: across its long axis the chord is the two arms, not the arms and the gap."""
        arms = np.ones((60, 200), bool)
        arms[20:40, 20:] = False
        expected = np.pi / 4 * (60**2 * 20 + 40**2 * 180)
        assert volume.revolution(arms, moments(arms), um_per_px=1.0) == pytest.approx(expected, rel=0.02)

    def test_nucleator_against_rays(self):
        mask = ellipse(60, 30, angle=0.5)
        angles = np.linspace(0, 2 * np.pi, 3600, endpoint=False) - 0.5
        rays = 60 * 30 / np.hypot(30 * np.cos(angles), 60 * np.sin(angles))
        expected = 4 / 3 * np.pi * np.mean(rays**3)
        assert volume.nucleator(mask, moments(mask), um_per_px=1.0) == pytest.approx(expected, rel=0.005)

    def test_vext_scales_with_the_cube(self):
        mask = ellipse(20, 12, angle=0.3)
        assert vext(mask, um_per_px=3.0) == pytest.approx(27 * vext(mask, um_per_px=1.0))

    def test_volume_is_the_same_however_the_picture_is_turned(self):
        mask = ndimage.binary_opening(np.random.default_rng(3).random((50, 37)) < 0.75)
        turned = [mask, mask[::-1], mask[:, ::-1], np.rot90(mask), np.rot90(mask, 3)]
        heights = half_heights(turned)
        for other in heights[1:]:
            np.testing.assert_array_equal(np.sort(other.values_px), np.sort(heights[0].values_px))

    def test_nothing_is_known_without_a_pixel_size(self):
        assert np.isnan(volume.sphere(100, um_per_px=np.nan))
        assert np.isnan(volume.ricordi_ieq(np.nan, table="extended"))


class TestRicordi:
    @pytest.mark.parametrize("table", ["long", "short"])
    def test_factors_are_the_mean_volume_of_the_bounds(self, table):
        lower = np.arange(50.0, 400.0, 50.0)
        expected = (lower**3 + (lower + 50) ** 3) / 2 / 150**3
        tolerance = {"long": 0.003, "short": 0.03}[table]
        np.testing.assert_allclose(volume.ricordi_ieq(lower + 20, table=table), expected, rtol=tolerance)

    def test_short_factors(self):
        found = volume.ricordi_ieq([60, 120, 170, 220, 260, 320, 360, 900], table="short")
        np.testing.assert_allclose(found, [1 / 6, 2 / 3, 1.7, 3.5, 6.3, 10.4, 15.8, 15.8])

    @pytest.mark.parametrize("table", ["long", "short", "extended"])
    def test_smaller_than_50_um_counts_nothing(self, table):
        np.testing.assert_array_equal(volume.ricordi_ieq([0.0, 49.999], table=table), [0, 0])

    def test_beyond_the_table(self):
        assert volume.ricordi_ieq(430, table="long") == 15.833
        extended = volume.ricordi_ieq([399.9, 400.0, 460.0], table="extended")
        np.testing.assert_allclose(extended, [15.833, 22.98, 32.02], atol=0.005)

    def test_unknown_table(self):
        with pytest.raises(ParameterError, match="long, short or extended"):
            volume.ricordi_ieq(100, table="medium")


def brute_force_heights(mask):
    """h² of every pixel of the mask, by all pairs of pixels."""
    inside = np.argwhere(mask)
    outside = np.argwhere(~np.pad(mask, 1)) - 1
    squared = ((inside[:, None] - outside) ** 2).sum(axis=2).min(axis=1)
    return (squared[None] - ((inside[:, None] - inside) ** 2).sum(axis=2)).max(axis=1)


class TestDistances:
    @given(arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.booleans()))
    @settings(max_examples=50, derandomize=True, deadline=None)
    def test_vext_against_all_pairs(self, mask):
        solid = ndimage.binary_dilation(mask, iterations=2)
        expected = 2 * np.sqrt(brute_force_heights(solid)).sum() if solid.any() else 0.0
        assert vext(solid) == pytest.approx(expected, rel=1e-5)

    def test_many_masks_at_once_are_the_same_as_one_by_one(self):
        rng = np.random.default_rng(8)
        masks = [rng.random(rng.integers(1, 90, 2)) < 0.9 for _ in range(40)]
        for mask, squared in zip(masks, squared_distances(masks), strict=True):
            expected = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] ** 2
            np.testing.assert_array_equal(squared, np.rint(expected))

    def test_large_masks_are_thinned_out_and_stay_right(self):
        radius_px = 2.2 * RADIUS_LIMIT_PX
        mask = disc(radius_px)
        assert thinning_step(mask) > 1
        assert vext(mask) == pytest.approx(4 / 3 * np.pi * radius_px**3, rel=0.005)

    def test_long_thin_masks_are_not_thinned_out(self):
        assert thinning_step(np.ones((20, 9000), bool)) == 1

    @pytest.mark.parametrize("radius_px", [0.5, 1.0, 2.5, 6.0])
    def test_dilation_is_a_disc(self, radius_px):
        point = np.zeros((19, 23), bool)
        point[9, 11] = True
        y, x = np.mgrid[-9:10, -11:12]
        np.testing.assert_array_equal(dilated(point, radius_px), y**2 + x**2 <= radius_px**2)

    def test_dilation_stops_at_the_border(self):
        corner = np.zeros((4, 3), bool)
        corner[0, 0] = True
        np.testing.assert_array_equal(dilated(corner, 10.0), np.ones((4, 3), bool))
