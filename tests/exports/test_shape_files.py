"""ImageJ, QuPath and COCO files: what is read back has the area that was written."""

import json
import uuid
import zipfile
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import roifile
from numpy.typing import NDArray
from sample_results import drawn_result, empty_result

from isletnet.exports.coco import CocoImage, coco
from isletnet.exports.geojson import qupath_geojson
from isletnet.exports.rois import imagej_rois
from isletnet.schemas import EXOCRINE, ImageResult

EXOCRINE_RINGS_N = 1


def shoelace(points: NDArray[Any]) -> float:
    """Area from the textbook's cross products, corner by corner."""
    total = 0.0
    for (x, y), (next_x, next_y) in zip(points.tolist(), np.roll(points, -1, axis=0).tolist(), strict=True):
        total += x * next_y - next_x * y
    return total / 2


def islet_areas(result: ImageResult) -> list[int]:
    return [int((result.labelled.islets == number).sum()) for number in range(1, result.labelled.islets_n + 1)]


def exocrine_area(result: ImageResult) -> int:
    return int((result.labelled.classes == EXOCRINE).sum())


class TestImageJ:
    @pytest.fixture
    def rois(self, result: ImageResult) -> list[roifile.ImagejRoi]:
        with zipfile.ZipFile(BytesIO(imagej_rois(result.labelled, result.table))) as archive:
            return [roifile.ImagejRoi.frombytes(archive.read(name)) for name in archive.namelist()]

    def test_areas_survive(self, result: ImageResult, rois: list[roifile.ImagejRoi]) -> None:
        areas = [abs(sum(shoelace(ring) for ring in roi.coordinates(multi=True))) if roi.composite
                 else abs(shoelace(np.asarray(roi.coordinates()))) for roi in rois]  # fmt: skip
        assert areas == [*islet_areas(result), exocrine_area(result)]

    def test_corners_lie_in_the_picture_s_own_place(self, result: ImageResult, rois: list[roifile.ImagejRoi]) -> None:
        y, x = np.nonzero(result.labelled.islets == 2)
        corners = np.asarray(rois[1].coordinates())
        assert corners.min(axis=0).tolist() == [x.min(), y.min()]
        assert corners.max(axis=0).tolist() == [x.max() + 1, y.max() + 1]
        assert (rois[3].left, rois[3].top) == (165, 55)

    def test_names_are_unique_and_tell_the_kind(self, rois: list[roifile.ImagejRoi]) -> None:
        names = [roi.name for roi in rois]
        assert names == ["islet-0001", "islet-0002", "islet-0003", "islet-0004", "particle-0005", "particle-0006",
                         "exocrine-0001"]  # fmt: skip

    def test_the_same_result_gives_the_same_bytes(self, result: ImageResult) -> None:
        assert imagej_rois(result.labelled, result.table) == imagej_rois(result.labelled, result.table)

    def test_an_empty_picture_gives_an_empty_archive(self) -> None:
        nothing = empty_result()
        with zipfile.ZipFile(BytesIO(imagej_rois(nothing.labelled, nothing.table))) as archive:
            assert archive.namelist() == []


class TestQuPath:
    @pytest.fixture
    def features(self, result: ImageResult) -> list[dict[str, Any]]:
        document = json.loads(qupath_geojson(result.labelled, result.table, image_sha256="f" * 64))
        assert document["type"] == "FeatureCollection"
        features: list[dict[str, Any]] = document["features"]
        return features

    def test_areas_survive(self, result: ImageResult, features: list[dict[str, Any]]) -> None:
        areas = []
        for feature in features:
            geometry = feature["geometry"]
            polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
            rings = [np.array(ring) for polygon in polygons for ring in polygon]
            assert all((ring[0] == ring[-1]).all() for ring in rings)
            areas.append(sum(shoelace(ring[:-1]) for ring in rings))
        assert areas == [*islet_areas(result), exocrine_area(result)]

    def test_ids_are_unique_uuids_and_those_of_the_table(
        self, result: ImageResult, features: list[dict[str, Any]]
    ) -> None:
        ids = [feature["id"] for feature in features]
        assert [str(uuid.UUID(one)) for one in ids] == ids
        assert len(set(ids)) == len(ids)
        assert ids[:6] == result.table["id"].tolist()

    def test_properties_are_what_qupath_reads(self, result: ImageResult, features: list[dict[str, Any]]) -> None:
        kinds = [feature["properties"]["classification"]["name"] for feature in features]
        assert kinds == ["Islet"] * 4 + ["Small particle"] * 2 + ["Exocrine tissue"]
        first = features[0]["properties"]
        assert first["objectType"] == "annotation"
        assert first["name"] == "Islet 1"
        assert first["measurements"]["area_px"] == islet_areas(result)[0]
        assert first["measurements"]["touches_border"] == 1.0
        assert "number" not in first["measurements"]

    def test_unknown_numbers_are_left_out_rather_than_nan(self) -> None:
        unknown = drawn_result(um_per_px=None)
        text = qupath_geojson(unknown.labelled, unknown.table, image_sha256="f" * 64).decode()
        assert "NaN" not in text
        assert "area_um2" not in text

    def test_exocrine_ids_depend_on_the_image(self, result: ImageResult) -> None:
        ids = {
            json.loads(qupath_geojson(result.labelled, result.table, image_sha256=sha))["features"][-1]["id"]
            for sha in ("a" * 64, "b" * 64)
        }
        assert len(ids) == 2


class TestCoco:
    @pytest.fixture
    def document(self, result: ImageResult) -> dict[str, Any]:
        images = (CocoImage(file_name=name, labelled=result.labelled, table=result.table) for name in ("a.png", "b"))
        document: dict[str, Any] = json.loads(coco(images))
        return document

    def test_pictures_and_categories(self, document: dict[str, Any]) -> None:
        assert document["categories"] == [{"id": 1, "name": "islet"}, {"id": 2, "name": "exocrine"}]
        assert document["images"][1] == {"id": 2, "file_name": "b", "height": 240, "width": 320}
        ids = [one["id"] for one in document["annotations"]]
        assert ids == list(range(1, 15))
        assert [one["image_id"] for one in document["annotations"]] == [1] * 7 + [2] * 7

    def test_segmentations_are_the_regions(self, result: ImageResult, document: dict[str, Any]) -> None:
        labelled = result.labelled
        regions = [labelled.islets == number for number in range(1, 7)] + [labelled.classes == EXOCRINE]
        for annotation, region in zip(document["annotations"], regions, strict=False):
            y, x = np.nonzero(region)
            box = [x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min()]
            assert annotation["bbox"] == box
            assert annotation["area"] == len(x)
            segmentation = annotation["segmentation"]
            if isinstance(segmentation, dict):
                np.testing.assert_array_equal(decoded(segmentation), region)
            else:
                assert sum(shoelace(np.reshape(ring, (-1, 2))) for ring in segmentation) == len(x)

    def test_only_regions_with_holes_are_run_lengths(self, document: dict[str, Any]) -> None:
        kinds = [isinstance(one["segmentation"], dict) for one in document["annotations"][:7]]
        assert kinds == [False, False, False, True, False, False, True]


def decoded(run_lengths: dict[str, Any]) -> NDArray[np.bool_]:
    """Run lengths to a mask, as the COCO format defines them: column by column, background first."""
    counts = run_lengths["counts"]
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(run_lengths["size"], order="F")
