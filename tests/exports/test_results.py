"""Files of a request: samples pooled where they can be, and the reason where not."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sample_results import drawn_result

from isletnet.errors import ExportError
from isletnet.exports.folder import read_image, write_atomically
from isletnet.exports.geojson import qupath_geojson
from isletnet.exports.png import png_pixels
from isletnet.exports.results import (
    LONGEST_SIDE_PX,
    DoneImage,
    FailedImage,
    copies,
    drawn_image_files,
    kept_image_files,
    picture_jpeg,
    pool_samples,
    results_json,
    write_drawn,
)
from isletnet.exports.rois import imagej_rois
from isletnet.schemas import AnalysisParameters, ImageResult, SampleParameters
from isletnet.views.overlay import ISLET_RGB, overlay

FAILED = FailedImage(number=9, name="broken.png", code="image_damaged", message="It is broken.")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[DoneImage, ...]:
    """Two calibrated images and one without a pixel size."""
    folder = tmp_path_factory.mktemp("images")
    results = [drawn_result(name="a.png"), drawn_result(name="b.png"), drawn_result(name="c.png", um_per_px=None)]
    for number, result in enumerate(results):
        apart = replace(result.provenance, image_sha256=f"{number:064x}")
        kept(replace(result, provenance=apart), folder / str(number))
        for name, content in drawn_image_files(folder / str(number)).items():
            write_atomically(folder / str(number) / name, content)
    return tuple(DoneImage(number=number, stored=read_image(folder / str(number))) for number in range(len(results)))


def given(image: DoneImage, **sample: Any) -> DoneImage:
    return replace(image, sample=SampleParameters(**sample))


def kept(result: ImageResult, folder: Path) -> Path:
    """Write what is kept of an image."""
    for name, content in kept_image_files(result).items():
        write_atomically(folder / name, content)
    return folder


def test_the_kept_picture_is_the_micrograph_and_the_summary_comes_last() -> None:
    result: ImageResult = drawn_result()
    files = kept_image_files(result)
    assert set(files) == {"picture.jpg", "labels.tif", "islets.tif", "islets.csv", "summary.json"}
    assert list(files)[-1] == "summary.json"
    picture = Image.open(BytesIO(files["picture.jpg"]))
    assert (picture.format, picture.size) == ("JPEG", (320, 240))
    apart = np.asarray(picture).astype(int) - result.micrograph.pixels
    assert np.abs(apart).mean() < 8


def test_what_is_drawn_from_the_kept_files_is_what_the_whole_result_gives(tmp_path: Path) -> None:
    result: ImageResult = drawn_result()
    labelled, table, sha256 = result.labelled, result.table, result.provenance.image_sha256
    files = drawn_image_files(kept(result, tmp_path))
    assert files["rois.zip"] == imagej_rois(labelled, table)
    assert files["contours.geojson"] == qupath_geojson(labelled, table, image_sha256=sha256)
    direct = overlay(result.micrograph.pixels, labelled, table, um_per_px=result.calibration.um_per_px)
    drawn = png_pixels(files["overlay.png"])
    assert drawn.shape == direct.shape
    # The picture has been a JPEG in between; the lines have not.
    apart = np.abs(drawn.astype(int) - direct.astype(int))
    assert apart.mean() < 8
    lines = (direct == ISLET_RGB).all(axis=2)
    assert lines.sum() > 50
    assert (drawn[lines] == ISLET_RGB).all()
    assert drawn_image_files(tmp_path) == files


def test_a_picture_that_was_shrunk_is_drawn_on_in_the_right_place() -> None:
    result: ImageResult = drawn_result()
    pixels = result.micrograph.pixels
    half = np.asarray(Image.fromarray(pixels).reduce(2))
    shrunk, whole = (
        overlay(one, result.labelled, result.table, um_per_px=2.0, max_side_px=160).astype(int)
        for one in (half, pixels)
    )
    assert shrunk.shape == whole.shape == (120, 160, 3)
    assert np.abs(shrunk - whole).max() <= 2


def test_a_picture_that_is_damaged_is_told(tmp_path: Path) -> None:
    kept(drawn_result(), tmp_path)
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ExportError, match="picture"):
        drawn_image_files(tmp_path)


def test_a_large_picture_is_shrunk_and_has_no_metadata() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 5000, 3)).astype(np.uint8)
    picture = Image.open(BytesIO(picture_jpeg(pixels)))
    assert picture.size == (LONGEST_SIDE_PX, 33)
    assert not picture.getexif()


def test_unnamed_images_are_one_sample_and_named_ones_their_own(images: tuple[DoneImage, ...]) -> None:
    a, b, c = images
    together = pool_samples([a, b])
    assert [(sample.name, sample.images) for sample in together] == [("All images", (0, 1))]
    apart = pool_samples([given(a, sample_name="X"), c, given(b, sample_name="X")])
    assert [(sample.name, sample.images) for sample in apart] == [("X", (0, 1)), ("c.png", (2,))]
    summary = together[0].summary
    assert summary is not None
    assert summary.islets_n == 2 * a.stored.record.summary.islets_n


def test_aliquots_are_averaged_and_fields_add_up(images: tuple[DoneImage, ...]) -> None:
    a, b, _ = (given(image, sample_name="X", sample_volume_ul=100.0, preparation_volume_ml=1.0) for image in images)
    (fields,) = pool_samples([a, b])
    (replicates,) = pool_samples([replace(a, aliquot="1"), replace(b, aliquot="2")])
    totals = []
    for sample in (fields, replicates):
        assert sample.summary is not None
        assert sample.summary.preparation is not None
        totals.append(sample.summary.preparation.total_ieq.value)
    assert totals[0] == pytest.approx(2 * totals[1])


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"sample": SampleParameters(sample_name="X", dilution_factor=2.0)}, "dilution_factor"),
        (
            {"sample": SampleParameters(sample_name="X"), "parameters": AnalysisParameters(border="exclude")},
            "border",
        ),
    ],
)
def test_images_that_contradict_each_other_are_not_pooled(
    images: tuple[DoneImage, ...], change: dict[str, Any], subject: str
) -> None:
    a, b, _ = images
    (sample,) = pool_samples([given(a, sample_name="X"), replace(b, **change)])
    assert (sample.summary, sample.code) == (None, "parameter_invalid")
    assert sample.message is not None
    assert subject in sample.message


def test_results_stand_where_a_sample_cannot_be_pooled(images: tuple[DoneImage, ...], tmp_path: Path) -> None:
    numbers = results_json(images, [FAILED])
    paths = write_drawn(images, numbers, tmp_path)
    assert {path.name for path in paths} == {"summary.csv", "results.xlsx", "report.pdf"}
    found = json.loads(numbers)
    (sample,) = found["samples"]
    assert (sample["name"], sample["images"], sample["summary"]) == ("All images", [0, 1, 2], None)
    assert sample["code"] == "parameter_invalid"
    assert [image["record"]["image"]["name"] for image in found["images"]] == ["a.png", "b.png", "c.png"]
    assert found["failed"] == [{"number": 9, "name": "broken.png", "code": "image_damaged", "message": "It is broken."}]
    rows = list(csv.DictReader(StringIO((tmp_path / "summary.csv").read_text())))
    # Each image stands by itself.
    assert [row["level"] for row in rows] == ["image"] * 3 + ["sample"] * 3
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_copies_of_one_file_are_told(images: tuple[DoneImage, ...]) -> None:
    a, b, _ = images
    assert not copies([a.stored, b.stored])
    (warning,) = copies([a.stored, b.stored, a.stored])
    assert (warning.code, warning.severity, warning.evidence) == ("same_image_twice", "severe", {"copies_n": 2.0})
    (sample,) = pool_samples([a, replace(a, number=5)])
    assert sample.summary is not None
    assert "same_image_twice" in [one.code for one in sample.summary.warnings]
