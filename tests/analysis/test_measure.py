"""The table of islets: shapes against closed formulas, laws of scale and symmetry, and the empty cases."""

import uuid

import numpy as np
import pytest
from scipy import ndimage

from isletnet.analysis.measure import COLUMNS, measure
from isletnet.analysis.shapes import shape
from isletnet.analysis.shapes.shape import crofton_perimeter, hulls, moments
from isletnet.errors import ParameterError
from isletnet.schemas import EXOCRINE, IEQ_METHODS, ISLET, VOLUME_METHODS, LabelledIslets, Segmentation


def disc(size, row, column, radius):
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


def measured(islets, *, exocrine=None, um_per_px=1.0, pixels=None, probability=255, smallest_islet_um=50.0, sha="aa"):
    islets = np.asarray(islets, np.int32)
    classes = np.where(islets > 0, ISLET, 0).astype(np.uint8)
    if exocrine is not None:
        classes[exocrine & (islets == 0)] = EXOCRINE
    segmentation = Segmentation(
        classes=classes, islet_probability=np.broadcast_to(np.asarray(probability, np.uint8), classes.shape)
    )
    pixels = np.zeros((*classes.shape, 3), np.uint8) if pixels is None else pixels
    labelled = LabelledIslets(classes=classes, islets=islets, islets_n=int(islets.max(initial=0)))
    return measure(
        labelled,
        segmentation,
        pixels,
        um_per_px=um_per_px,
        smallest_islet_um=smallest_islet_um,
        image_sha256=sha,
    )


def rectangle(width, height, angle):
    n = int(np.hypot(width, height) / 2) + 3
    y, x = np.mgrid[-n : n + 1, -n : n + 1].astype(float)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return (np.abs(along) <= width / 2) & (np.abs(across) <= height / 2)


@pytest.fixture(scope="module")
def three_islets():
    size = (160, 220)
    islets = np.zeros(size, np.int32)
    islets[disc(size, 40, 45, 30.4)] = 1
    islets[disc(size, 100, 120, 40.2) & (np.mgrid[:160, :220][0] > 80)] = 2
    islets[30:37, 150:190] = 3
    return islets


class TestTable:
    def assert_columns(self, table):
        assert list(table.columns) == [column.name for column in COLUMNS]
        assert [str(dtype) for dtype in table.dtypes] == [column.dtype for column in COLUMNS]

    def test_columns(self, three_islets):
        self.assert_columns(measured(three_islets))

    @pytest.mark.parametrize("um_per_px", [None, 2.0])
    def test_empty_table_has_the_same_columns(self, um_per_px):
        table = measured(np.zeros((20, 30)), um_per_px=um_per_px)
        assert len(table) == 0
        self.assert_columns(table)

    def test_every_method_has_its_column(self):
        names = {column.name for column in COLUMNS}
        assert names >= {f"volume_{method}_um3" for method in VOLUME_METHODS}
        assert names >= {f"ieq_{method}" for method in IEQ_METHODS}

    def test_without_calibration_pixels_stay_and_micrometres_go(self, three_islets):
        with_scale, without = measured(three_islets, um_per_px=2.0), measured(three_islets, um_per_px=None)
        self.assert_columns(without)
        assert without["is_islet"].all()
        for column in COLUMNS:
            if column.unit in ("um", "um²", "um³", "IEQ"):
                assert without[column.name].isna().all(), column.name
            elif column.dtype == "float64" and column.name != "exocrine_contact_fraction":
                np.testing.assert_allclose(without[column.name], with_scale[column.name])

    def test_place_and_numbers(self, three_islets):
        table = measured(three_islets)
        assert table["number"].tolist() == [1, 2, 3]
        third = table.iloc[2]
        box = third[["bbox_left_px", "bbox_top_px", "bbox_width_px", "bbox_height_px"]]
        assert box.tolist() == [150, 30, 40, 7]
        assert third["area_px"] == 280
        assert (third["centroid_x_px"], third["centroid_y_px"]) == (169.5, 33.0)

    def test_ids_are_the_same_in_a_rerun_and_differ_elsewhere(self, three_islets):
        ids = measured(three_islets)["id"]
        assert ids.is_unique
        assert {uuid.UUID(one).version for one in ids} == {5}
        assert ids.equals(measured(three_islets)["id"])
        other_picture = measured(three_islets, sha="bb")["id"]
        assert not set(ids) & set(other_picture)
        changed = three_islets.copy()
        changed[100, 120] = 0
        assert (measured(changed)["id"] == ids).tolist() == [True, False, True]

    def test_smallest_islet_is_a_diameter_of_equal_area(self):
        islets = np.zeros((30, 30), np.int32)
        islets[2:22, 2:22] = 1
        diameter_um = 2 * np.sqrt(400 / np.pi) * 1.5
        assert measured(islets, um_per_px=1.5, smallest_islet_um=diameter_um - 0.01)["is_islet"].all()
        assert not measured(islets, um_per_px=1.5, smallest_islet_um=diameter_um + 0.01)["is_islet"].any()

    def test_arrays_of_different_size(self, three_islets):
        with pytest.raises(ParameterError, match="one size"):
            measured(three_islets, pixels=np.zeros((10, 10, 3), np.uint8))

    @pytest.mark.parametrize("um_per_px", [0.0, -1.0, np.nan])
    def test_pixel_size_that_cannot_be(self, three_islets, um_per_px):
        with pytest.raises(ParameterError, match="um_per_px"):
            measured(three_islets, um_per_px=um_per_px)

    def test_id_without_pixels(self, three_islets):
        with pytest.raises(ParameterError, match="2 has no pixel"):
            measured(np.where(three_islets == 2, 0, three_islets))


class TestShape:
    @pytest.mark.parametrize("radius", [8, 20, 50.3])
    def test_disc(self, radius):
        n = int(radius) + 2
        row = measured(disc((2 * n + 1, 2 * n + 1), n + 0.3, n + 0.1, radius), um_per_px=2.0).iloc[0]
        assert row["perimeter_um"] == pytest.approx(2 * np.pi * 2 * radius, rel=0.02)
        for name in ("equal_area_diameter", "major_axis", "minor_axis"):
            assert row[f"{name}_um"] == pytest.approx(4 * radius, rel=0.02)
            assert row[f"{name}_um"] == 2 * row[f"{name}_px"]
        assert row["circularity"] == pytest.approx(1, abs=0.03)
        assert row["circularity"] <= 1
        assert 0.92 < row["solidity"] <= 1
        assert row["feret_max_px"] == pytest.approx(2 * radius, abs=1.5)
        assert row["feret_min_px"] == pytest.approx(2 * radius, abs=1.5)

    @pytest.mark.parametrize("angle", np.linspace(0, np.pi, 7))
    def test_perimeter_of_an_ellipse_however_turned(self, angle):
        n = 62
        y, x = np.mgrid[-n : n + 1, -n : n + 1].astype(float)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        t = np.linspace(0, 2 * np.pi, 20_000)
        expected = np.hypot(np.diff(60 * np.cos(t)), np.diff(36 * np.sin(t))).sum()
        assert crofton_perimeter((along / 60) ** 2 + (across / 36) ** 2 <= 1) == pytest.approx(expected, rel=0.01)

    @pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 4, 1.2, np.pi / 2, 2.5])
    def test_feret_and_axes_of_a_turned_rectangle(self, angle):
        found = hulls([rectangle(80.5, 40.5, angle)])[0]
        # Whole pixels jut out of the drawn edge by up to half their diagonal at either side.
        assert found.feret_max_px == pytest.approx(np.hypot(80.5, 40.5), abs=1.5)
        assert found.feret_min_px == pytest.approx(40.5, abs=1.5)
        ellipse = moments(rectangle(80.5, 40.5, angle))
        assert ellipse.major_axis_px == pytest.approx(4 * 80.5 / np.sqrt(12), rel=0.02)
        assert ellipse.minor_axis_px == pytest.approx(4 * 40.5 / np.sqrt(12), rel=0.02)
        # Rows run downwards, so a turn in array coordinates is clockwise on the screen.
        off = (ellipse.orientation_deg + np.degrees(angle) + 90) % 180 - 90
        assert off == pytest.approx(0, abs=0.5)
        assert -90 < ellipse.orientation_deg <= 90

    def test_exact_on_pixel_edges(self):
        found = hulls([np.ones((30, 40), bool)])[0]
        assert (found.area_px, found.feret_max_px, found.feret_min_px) == (1200, 50, 30)

    def test_solidity_of_an_l(self):
        """An L of two bars in a square of 40: the hull cuts the far corner off."""
        islets = np.zeros((44, 44), np.int32)
        islets[2:42, 2:12] = 1
        islets[32:42, 2:42] = 1
        row = measured(islets).iloc[0]
        assert row["area_px"] == 700
        assert row["solidity"] == pytest.approx(700 / (1600 - 30 * 30 / 2))

    def test_hull_against_all_corners(self):
        """The largest distance of any two corners, and a hull that is the same from every side."""
        rng = np.random.default_rng(4)
        for _ in range(10):
            mask = ndimage.binary_opening(rng.random((30, 24)) < 0.7)
            corners = np.argwhere(
                ndimage.binary_dilation(np.pad(mask, ((0, 1), (0, 1))), [[0, 0, 0], [0, 1, 1], [0, 1, 1]])
            )
            found, *turned = hulls([mask, np.rot90(mask), mask[::-1], mask.T])
            expected = np.sqrt(((corners[:, None] - corners) ** 2).sum(axis=2).max())
            assert found.feret_max_px == pytest.approx(expected)
            for other in turned:
                assert other.area_px == found.area_px
                assert other.feret_min_px == pytest.approx(found.feret_min_px)

    @pytest.mark.parametrize("um_per_px", [None, 2.0])
    def test_one_pixel(self, um_per_px):
        islets = np.zeros((5, 6), np.int32)
        islets[2, 3] = 1
        row = measured(islets, um_per_px=um_per_px).iloc[0]
        assert row["area_px"] == 1
        assert row["perimeter_px"] == pytest.approx(np.pi / 8 * (4 + 4 / np.sqrt(2)))
        assert (row["feret_max_px"], row["feret_min_px"]) == (np.sqrt(2), 1)
        assert row["solidity"] == 1
        assert row["aspect"] == 1
        numbers = row[[column.name for column in COLUMNS if column.dtype == "float64"]].astype(float)
        in_pixels = [column.name for column in COLUMNS if column.dtype == "float64" and column.unit in ("px", "")]
        assert np.isfinite(numbers[in_pixels]).all()
        assert np.isfinite(numbers).all() == (um_per_px is not None)


class TestLaws:
    def test_areas_scale_with_the_square_and_ieq_with_the_cube(self, three_islets):
        small, large = measured(three_islets, um_per_px=1.0), measured(three_islets, um_per_px=3.0)
        np.testing.assert_allclose(large["area_um2"], 9 * small["area_um2"])
        for method in set(VOLUME_METHODS) - {"vmod"}:
            np.testing.assert_allclose(large[f"ieq_{method}"], 27 * small[f"ieq_{method}"], rtol=1e-6)
        assert (large["ieq_vmod"] < 27 * small["ieq_vmod"]).all()

    @pytest.mark.parametrize("turn", [np.flipud, np.fliplr, np.rot90, np.transpose])
    def test_flips_and_rotations(self, three_islets, turn):
        before, after = measured(three_islets), measured(turn(three_islets))
        for column in ["area_px", "perimeter_px", "feret_max_px", "feret_min_px", "solidity", "aspect"]:
            np.testing.assert_allclose(after[column], before[column])
        for method in IEQ_METHODS:
            # The axis of a disc is arbitrary, and with it the slabs of the solid of revolution.
            tolerance = 0.01 if method == "revolution" else 1e-6
            np.testing.assert_allclose(after[f"ieq_{method}"], before[f"ieq_{method}"], rtol=tolerance)

    def test_disc_of_150_um(self):
        row = measured(disc((105, 105), 52.5, 52.5, 50), um_per_px=1.5).iloc[0]
        assert row["ieq_sphere"] == pytest.approx(1.0, rel=0.002)
        for method in ("prolate", "oblate", "mean_diameter", "revolution", "nucleator"):
            assert row[f"ieq_{method}"] == pytest.approx(1.0, rel=0.01)
        assert row["ieq_vext"] == pytest.approx(0.99, abs=0.01)
        assert row["ieq_vmod"] == pytest.approx(0.94, abs=0.005)
        expected = 1.685 if row["equal_area_diameter_um"] >= 150 else 0.648
        assert row["ieq_ricordi_long"] == row["ieq_ricordi_extended"] == expected

    def test_large_islets_are_measured_in_blocks_of_rows(self, three_islets, monkeypatch):
        pixels = np.random.default_rng(6).integers(0, 256, (*three_islets.shape, 3), dtype=np.uint8)
        at_once = measured(three_islets, pixels=pixels)
        monkeypatch.setattr(shape, "_BLOCK_PX", 150)
        in_blocks = measured(three_islets, pixels=pixels)
        for column in COLUMNS:
            if column.dtype == "float64":
                np.testing.assert_allclose(in_blocks[column.name], at_once[column.name], atol=1e-9, err_msg=column.name)


class TestSurroundings:
    def test_border(self, three_islets):
        assert not measured(three_islets)["touches_border"].any()
        for cut in (three_islets[14:], three_islets[:, 20:], three_islets[:130], three_islets[:, :180]):
            assert measured(cut)["touches_border"].sum() == 1

    def test_touching_islets(self):
        islets = np.zeros((60, 120), np.int32)
        islets[10:50, 10:40] = 1
        islets[10:50, 40:70] = 2
        islets[10:50, 71:110] = 3
        assert measured(islets)["touches_islet"].tolist() == [True, True, False]

    @pytest.mark.parametrize(
        ("um_per_px", "gap_px", "share"),
        [
            (2.0, 0, 0.25),
            (2.0, 1, 0.25),
            (2.0, 2, 0.0),
            (None, 2, 0.25),
            (None, 3, 0.0),
            (20.0, 0, 0.25),
            (20.0, 1, 0.0),
        ],
    )
    def test_exocrine_contact(self, um_per_px, gap_px, share):
        """Tissue along one side of a square, up to 5 um away: 2.5 px at 2 um/px; 3 px when uncalibrated."""
        islets = np.zeros((80, 120), np.int32)
        islets[20:60, 20:60] = 1
        exocrine = np.zeros(islets.shape, bool)
        exocrine[:, 60 + gap_px : 100] = True
        found = measured(islets, exocrine=exocrine, um_per_px=um_per_px)["exocrine_contact_fraction"][0]
        assert found == pytest.approx(share, abs=0.03)

    def test_embedded_islet(self):
        islets = disc((100, 100), 50, 50, 30)
        everywhere = np.ones(islets.shape, bool)
        assert measured(islets, exocrine=everywhere)["exocrine_contact_fraction"][0] == 1
        assert measured(islets)["exocrine_contact_fraction"][0] == 0

    def test_colour_and_probability_are_means_over_the_islet_only(self, three_islets):
        rng = np.random.default_rng(2)
        pixels = rng.integers(0, 256, (*three_islets.shape, 3), dtype=np.uint8)
        probability = rng.integers(0, 256, three_islets.shape, dtype=np.uint8)
        table = measured(three_islets, pixels=pixels, probability=probability)
        for number in (1, 2, 3):
            row, mask = table.iloc[number - 1], three_islets == number
            colour = row[["mean_red", "mean_green", "mean_blue"]].astype(float)
            np.testing.assert_allclose(colour, pixels[mask].mean(axis=0))
            assert row["islet_probability"] == pytest.approx(probability[mask].mean() / 255)
