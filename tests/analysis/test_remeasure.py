"""A person's labels instead of the network's: what changes, what stays, and what is refused."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isletnet.analysis.pipeline import analyse
from isletnet.analysis.remeasure import remeasure
from isletnet.errors import ParameterError
from isletnet.networks.model import load_network
from isletnet.schemas import EXOCRINE, ISLET, AnalysisParameters, ImageResult
from tests.colour_network import write_colour_network

UM_PER_PX = 2.0
# Row, column and radius of islets in px: the last two touch.
DISCS = [(60, 60, 30), (60, 200, 40), (170, 90, 26), (170, 230, 36), (170, 294, 36)]
SHAPE = (240, 360)


def disc(row: int, column: int, radius: int) -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ImageResult:
    """Five islets, two of which touch, and exocrine tissue beside the first."""
    network = load_network(write_colour_network(tmp_path_factory.mktemp("networks") / "colour"))
    pixels = np.full((*SHAPE, 3), (200, 195, 10), np.uint8)
    for row, column, radius in DISCS:
        pixels[disc(row, column, radius)] = (180, 40, 10)
    found = analyse(
        pixels,
        um_per_px=UM_PER_PX,
        name="dish.tif",
        load=lambda _: network,
        parameters=AnalysisParameters(network="colour", uncertainty="flips", smallest_islet_um=60.0),
    )
    classes = found.labelled.classes.copy()
    classes[disc(60, 60, 45) & (classes != ISLET)] = EXOCRINE
    apart = replace(
        found.disagreement,
        ieq_relative=0.2,
        count_relative=0.1,
        islet_area_relative=0.05,
        exocrine_area_relative=0.4,
        between_members={"ieq": 0.15, "count": 0.08, "islet_area": 0.04, "exocrine_area": 0.3},
    )
    found = replace(found, labelled=replace(found.labelled, classes=classes), disagreement=apart)
    # The same once more, so that everything else of the result fits to these classes, too.
    return remeasure(found, classes, kind="classes", corrected_by="nobody", version=0)


def corrected(result: ImageResult, labels: np.ndarray, kind: str = "classes") -> ImageResult:
    return remeasure(result, labels, kind=kind, corrected_by="ann", version=3)


def test_the_set_up_is_what_it_says(result: ImageResult):
    assert result.labelled.islets_n == 5
    assert result.disagreement.ieq_relative == 0.2
    assert result.table["exocrine_contact_fraction"].tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["Lh05-04", "gtExoIsl_27_right"])
def test_labels_as_they_were_give_the_result_as_it_was(real_data: Path, name: str):
    before = analyse(real_data / "images" / f"{name}.png", um_per_px=1.6)
    for kind, labels in (("classes", before.labelled.classes), ("islets", before.labelled.islets)):
        after = corrected(before, labels, kind)
        pd.testing.assert_frame_equal(after.table, before.table)
        assert after.summary == before.summary
        assert after.disagreement == before.disagreement
        np.testing.assert_array_equal(after.labelled.islets, before.labelled.islets)


@pytest.mark.parametrize("kind", ["classes", "islets"])
def test_an_islet_more_and_one_less_leave_the_ids_of_the_others(result: ImageResult, kind: str):
    labels = (result.labelled.classes if kind == "classes" else result.labelled.islets).astype(np.int64)
    # The first islet by rows is new, so all numbers move; the largest goes.
    labels[disc(20, 320, 18)] = 1 if kind == "classes" else 7000
    labels[disc(60, 200, 41)] = 0
    after = corrected(result, labels, kind)
    left = after.table[after.table["id"].isin(result.table["id"])]
    assert after.table["number"].tolist() == [1, 2, 3, 4, 5]
    assert len(left) == 4
    new = after.table.drop(index=left.index).iloc[0]
    assert (new["number"], new["bbox_left_px"], new["area_px"]) == (1, 302, disc(20, 320, 18).sum())
    assert math.isnan(new["islet_probability"])
    columns = ["id", "area_px", "ieq_vext", "islet_probability", "mean_red"]
    old = result.table[result.table["id"].isin(left["id"])]
    pd.testing.assert_frame_equal(
        left[columns].sort_values("id").reset_index(drop=True), old[columns].sort_values("id").reset_index(drop=True)
    )
    assert after.summary.islets_n == 5
    expected = result.summary.ieq.value + new["ieq_sphere"] - result.table["ieq_sphere"].max()
    assert after.summary.ieq.value == pytest.approx(expected)


def test_classes_are_taken_as_drawn_and_touching_islets_are_split(result: ImageResult):
    labels = np.zeros(SHAPE, np.uint8)
    labels[disc(60, 60, 40)] = ISLET
    labels[disc(60, 60, 10)] = 0
    labels[120:123, 10:13] = ISLET
    labels[200:202, :] = EXOCRINE
    labels[disc(170, 230, 36) | disc(170, 294, 36)] = ISLET
    after = corrected(result, labels)
    np.testing.assert_array_equal(after.labelled.classes, labels)
    assert after.table["area_px"].tolist()[:2] == [int((disc(60, 60, 40) & ~disc(60, 60, 10)).sum()), 9]
    assert after.labelled.islets_n == 4
    assert after.table["touches_islet"].tolist() == [False, False, True, True]
    assert after.table["is_islet"].tolist() == [True, False, True, True]
    whole_islets = asdict(AnalysisParameters(split_touching=False))
    whole = replace(result, provenance=replace(result.provenance, parameters=whole_islets))
    assert corrected(whole, labels).labelled.islets_n == 3


def test_islets_are_kept_apart_as_drawn_and_the_exocrine_tissue_stays(result: ImageResult):
    labels = np.zeros(SHAPE, np.int32)
    labels[20:60, 20:60] = 2_000_000_000
    labels[20:60, 60:90] = 5
    # Two pieces of one number are two islets.
    labels[180:220, 20:60] = 9
    labels[180:220, 100:140] = 9
    after = corrected(result, labels, "islets")
    assert after.table["area_px"].tolist() == [1600, 1200, 1600, 1600]
    assert after.labelled.islets_n == 4
    exocrine = (result.labelled.classes == EXOCRINE) & (labels == 0)
    np.testing.assert_array_equal(after.labelled.classes == EXOCRINE, exocrine)
    np.testing.assert_array_equal(after.labelled.classes == ISLET, labels > 0)
    assert after.table["touches_islet"].tolist() == [True, True, False, False]


def test_the_networks_differ_only_on_what_is_left_of_their_outlines(result: ImageResult):
    labels = result.labelled.classes.copy()
    labels[disc(60, 200, 46)] = ISLET
    labels[(result.labelled.classes == EXOCRINE) & (np.mgrid[: SHAPE[0], : SHAPE[1]][1] < 60)] = 0
    after = corrected(result, labels)
    islets_px = {**dict(enumerate((disc(*one).sum() for one in DISCS), start=1)), 2: disc(60, 200, 46).sum()}
    weights = {number: area**1.5 for number, area in islets_px.items()}
    total = sum(after.table["area_px"] ** 1.5)
    assert after.disagreement.ieq_relative == pytest.approx(0.2 * (1 - weights[2] / total))
    assert after.disagreement.count_relative == pytest.approx(0.1 * 4 / 5)
    assert after.disagreement.islet_area_relative == pytest.approx(
        0.05 * (1 - islets_px[2] / after.table["area_px"].sum())
    )
    # All exocrine tissue that is left was there before.
    assert after.disagreement.exocrine_area_relative == 0.4
    between = after.disagreement.between_members
    assert between["ieq"] == pytest.approx(0.15 * (1 - weights[2] / total))
    assert between["count"] == pytest.approx(0.08 * 4 / 5)
    assert between["exocrine_area"] == 0.3
    segmentation, before = after.summary.ieq.segmentation, result.summary.ieq.segmentation
    assert segmentation.high / segmentation.low < before.high / before.low
    everything = corrected(result, np.roll(labels, 1, axis=0))
    assert everything.disagreement.ieq_relative == everything.disagreement.count_relative == 0.0
    assert everything.disagreement.members == result.disagreement.members
    without = corrected(replace(result, disagreement=None), labels)
    assert (without.disagreement, without.summary.ieq.segmentation) == (None, None)
    assert without.summary.ieq.sampling is not None


def test_nothing_at_all_is_a_result(result: ImageResult):
    after = corrected(result, np.zeros(SHAPE, np.uint8))
    assert list(after.table.columns) == list(result.table.columns)
    assert (len(after.table), after.summary.islets_n, after.summary.purity_area.value) == (0, 0, None)
    assert "nothing_found" in {warning.code for warning in after.summary.warnings}
    again = corrected(after, result.labelled.classes)
    assert again.table["islet_probability"].isna().all()
    assert again.summary.islets_n == 5
    assert "nothing_found" not in {warning.code for warning in again.summary.warnings}


def test_warnings_about_the_picture_stay_and_those_about_the_result_are_new(result: ImageResult):
    conflict = replace(result.summary.warnings[0], code="calibration_conflict", message="The file says otherwise.")
    warned = replace(result, summary=replace(result.summary, warnings=(conflict, *result.summary.warnings)))
    after = corrected(warned, np.zeros(SHAPE, np.uint8))
    assert conflict in after.summary.warnings
    codes = [warning.code for warning in after.summary.warnings]
    assert len(codes) == len(set(codes))
    assert "networks_disagree" not in codes
    assert "networks_disagree" in {warning.code for warning in result.summary.warnings}


def test_provenance_says_who_and_the_parameters_stay(result: ImageResult):
    after = corrected(result, result.labelled.classes)
    assert after.provenance.parameters == result.provenance.parameters | {"corrected_by": "ann", "version": 3}
    assert after.provenance.parameters["smallest_islet_um"] == 60.0
    assert (after.provenance.network, after.provenance.image_sha256) == (
        result.provenance.network,
        result.provenance.image_sha256,
    )
    assert (after.calibration, after.micrograph) == (result.calibration, result.micrograph)


def test_without_a_pixel_size_there_are_no_micrometres(result: ImageResult):
    guessed = replace(result, calibration=replace(result.calibration, source="guess"))
    after = corrected(guessed, result.labelled.classes)
    assert after.summary.ieq.value is None
    assert after.table["area_um2"].isna().all()
    assert after.disagreement.ieq_relative == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        (np.full(SHAPE, 127, np.uint8), "classes", "0 background, 1 islet, 2 exocrine; came numbers from 127 to 127"),
        (np.full(SHAPE, -1, np.int32), "classes", "from -1 to -1"),
        (np.full(SHAPE, -1, np.int32), "islets", "0 for none; came numbers from -1 to -1"),
        (np.full(SHAPE, 2**31, np.uint32), "islets", "at most 2147483647"),
        (np.zeros(SHAPE[::-1], np.uint8), "classes", "360 x 240 px"),
        (np.zeros((*SHAPE, 3), np.uint8), "classes", "came uint8 of shape"),
        (np.zeros(SHAPE, np.float32), "islets", "whole numbers"),
    ],
)
def test_labels_that_cannot_be_are_refused(result: ImageResult, labels: np.ndarray, kind: str, words: str):
    with pytest.raises(ParameterError, match=words):
        corrected(result, labels, kind)
