"""What is kept of an image: pictures, table and record come back as they were."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from sample_results import drawn_result, empty_result, real_result

from isletnet.analysis.decode import decode
from isletnet.analysis.summary.pooling import numbers_of
from isletnet.errors import ExportError
from isletnet.exports.folder import (
    StoredImage,
    csv_bytes,
    read_image,
    read_labelled,
    read_numbers,
    read_table,
    write_atomically,
    write_image,
)
from isletnet.exports.labels import classes_tiff, islets_tiff
from isletnet.exports.records import from_plain, to_json, to_plain
from isletnet.exports.text import formula_safe, printable
from isletnet.schemas import Calibration, ImageResult, Interval, Summary

FILES = ["overlay.png", "labels.tif", "islets.tif", "islets.csv", "summary.json"]


def test_write_image_writes_the_five_files_and_the_summary_last(result: ImageResult, tmp_path: Path) -> None:
    written = write_image(result, tmp_path / "new" / "folder")
    assert [path.name for path in written] == FILES
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(FILES)


def test_the_same_result_gives_the_same_bytes(result: ImageResult, tmp_path: Path) -> None:
    first, second = write_image(result, tmp_path / "a"), write_image(result, tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize("make", [drawn_result, empty_result, lambda: drawn_result(um_per_px=None)])
def test_what_was_written_comes_back(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result: ImageResult = make()
    write_image(result, tmp_path)
    record = read_image(tmp_path).record
    assert record.summary == result.summary
    assert record.calibration == result.calibration
    assert record.disagreement == result.disagreement
    assert record.provenance == result.provenance
    pd.testing.assert_frame_equal(read_table(tmp_path), result.table)
    labelled = read_labelled(tmp_path)
    np.testing.assert_array_equal(labelled.classes, result.labelled.classes)
    np.testing.assert_array_equal(labelled.islets, result.labelled.islets)
    assert (labelled.islets.dtype, labelled.islets_n) == (np.int32, result.labelled.islets_n)


def test_numbers_for_pooling_come_back(result: ImageResult, stored: StoredImage) -> None:
    read, made = read_numbers(stored, aliquot="2"), numbers_of(result, aliquot="2")
    assert (read.name, read.um_per_px, read.aliquot) == (made.name, made.um_per_px, "2")
    assert (read.islet_area_px, read.exocrine_area_px) == (made.islet_area_px, made.exocrine_area_px)
    np.testing.assert_array_equal(read.exocrine_parts_px, made.exocrine_parts_px)
    pd.testing.assert_frame_equal(read.table, made.table)


def test_a_damaged_or_absent_result_says_so(stored: StoredImage, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="Analyse the image again"):
        read_image(tmp_path)
    (tmp_path / "summary.json").write_bytes((stored.folder / "summary.json").read_bytes()[:500])
    with pytest.raises(ExportError, match="cannot be read"):
        read_image(tmp_path)
    data = json.loads((stored.folder / "summary.json").read_bytes())
    del data["summary"]["ieq"]
    (tmp_path / "summary.json").write_text(json.dumps(data))
    with pytest.raises(ExportError, match="ieq"):
        read_image(tmp_path)
    (tmp_path / "labels.tif").write_bytes(b"II*\0")
    with pytest.raises(ExportError, match="label picture"):
        read_labelled(tmp_path)
    with pytest.raises(ExportError, match="table of islets"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-20],
        lambda text: text.replace("True", "maybe", 1),
        lambda text: text.replace("5.0", "five", 1),
        lambda text: text.replace(",", "\0", 1),
    ],
    ids=["empty", "cut short", "no truth", "no number", "no text"],
)
def test_a_damaged_table_says_so(damage: Callable[[str], str], stored: StoredImage, tmp_path: Path) -> None:
    whole = (stored.folder / "islets.csv").read_text()
    (tmp_path / "islets.csv").write_text(damaged := damage(whole))
    assert damaged != whole
    with pytest.raises(ExportError, match="table of islets"):
        read_table(tmp_path)


def test_numbers_of_the_table_come_back_to_the_last_bit(tmp_path: Path) -> None:
    numbers = np.random.default_rng(5).lognormal(3, 2, 500)
    (tmp_path / "islets.csv").write_bytes(csv_bytes(pd.DataFrame({"area_um2": numbers, "of_a_later_version": "x"})))
    read = read_table(tmp_path)
    assert list(read.columns) == ["area_um2"]
    assert read["area_um2"].tolist() == numbers.tolist()


def test_real_micrograph_with_expert_labels(real_data: Path, tmp_path: Path) -> None:
    result = real_result(real_data, "gtExoIsl_27_right", 2.0)
    write_image(result, tmp_path)
    expert = np.asarray(Image.open(real_data / "labels" / "gtExoIsl_27_right.png"))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "labels.tif"), expert)
    assert Image.open(tmp_path / "overlay.png").size == expert.shape[::-1]
    pd.testing.assert_frame_equal(read_table(tmp_path), result.table)


class TestLabelPictures:
    def test_pixels_kind_and_size(self, result: ImageResult) -> None:
        data = classes_tiff(result.labelled.classes, um_per_px=2.0)
        picture = tifffile.imread(BytesIO(data))
        assert picture.dtype == np.uint8
        np.testing.assert_array_equal(picture, result.labelled.classes)
        assert len(data) < picture.size / 10

    @pytest.mark.parametrize("shape", [(1, 1), (7, 5), (1000, 300), (3, 300_000)])
    def test_every_reader_sees_the_same_ids(self, shape: tuple[int, int]) -> None:
        islets = np.random.default_rng(2).integers(0, 60_000, shape).astype(np.int32)
        data = islets_tiff(islets, um_per_px=1.0)
        np.testing.assert_array_equal(tifffile.imread(BytesIO(data)), islets)
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(data))), islets)

    def test_fiji_and_our_decoder_read_the_calibration(self, result: ImageResult) -> None:
        for data in (
            classes_tiff(result.labelled.classes, um_per_px=0.645),
            islets_tiff(result.labelled.islets, um_per_px=0.645),
        ):
            with tifffile.TiffFile(BytesIO(data)) as tiff:
                assert tiff.is_imagej
                assert tiff.imagej_metadata is not None
                assert tiff.imagej_metadata["unit"] == "micron"
                above, below = tiff.pages.first.tags["XResolution"].value
                assert below / above == pytest.approx(0.645, rel=1e-6)
        micrograph = decode(classes_tiff(result.labelled.classes, um_per_px=0.645), name="labels.tif")
        assert micrograph.calibration.source == "file"
        assert micrograph.calibration.um_per_px == pytest.approx(0.645, rel=1e-6)

    def test_no_calibration_claims_none(self, result: ImageResult) -> None:
        micrograph = decode(classes_tiff(result.labelled.classes, um_per_px=None), name="labels.tif")
        assert not micrograph.calibration.is_known

    @pytest.mark.parametrize(("largest", "kind"), [(65_535, np.uint16), (65_536, np.uint32)])
    def test_ids_are_never_cut(self, largest: int, kind: type) -> None:
        islets = np.array([[0, largest]], dtype=np.int32)
        picture = tifffile.imread(BytesIO(islets_tiff(islets, um_per_px=1.0)))
        assert picture.dtype == kind
        assert picture.tolist() == [[0, largest]]


class TestRecords:
    def test_numbers_that_json_cannot_hold_are_null(self) -> None:
        data = to_plain({"a": float("nan"), "b": (np.float64(1.5), np.int64(2), np.bool_(True)), "c": float("inf")})
        assert data == {"a": None, "b": [1.5, 2, True], "c": None}

    def test_a_field_of_a_later_version_is_passed_over(self) -> None:
        data = to_plain(Interval(low=1.0, high=2.0, level=0.95, method="m")) | {"skew": 3}
        assert from_plain(Interval, data) == Interval(low=1.0, high=2.0, level=0.95, method="m")

    def test_a_wrong_kind_is_refused(self) -> None:
        with pytest.raises(ExportError, match="Summary was expected"):
            from_plain(Summary, {"name": 3})
        with pytest.raises(ExportError, match="Calibration was expected"):
            from_plain(Calibration, [1])

    def test_what_json_cannot_hold_is_refused(self) -> None:
        with pytest.raises(ExportError, match="a set came"):
            to_json({"a": {1}})

    def test_text_stays_readable(self) -> None:
        assert "Šťastný".encode() in to_json({"name": "Šťastný"})


class TestSafety:
    @pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", " =1", "\t=1"])
    def test_formulas_get_an_apostrophe(self, text: str) -> None:
        assert formula_safe(text).startswith("'")

    def test_plain_text_is_kept(self) -> None:
        assert formula_safe("Šťastný 2=3") == "Šťastný 2=3"

    def test_control_and_direction_signs_are_replaced(self) -> None:
        assert printable("a\x00b\u202ec\ud800") == "a\ufffdb\ufffdc\ufffd"

    def test_csv_guards_texts_and_leaves_negative_numbers(self) -> None:
        table = pd.DataFrame({"name": ["=1", "b"], "x": [-1.5, np.nan]})
        assert csv_bytes(table) == b"name,x\n'=1,-1.5\nb,\n"

    def test_a_failed_write_leaves_the_old_file_and_no_part(self, tmp_path: Path) -> None:
        (tmp_path / "taken").mkdir()
        with pytest.raises(ExportError, match="cannot be written"):
            write_atomically(tmp_path / "taken", b"x")
        assert [path.name for path in tmp_path.iterdir()] == ["taken"]
