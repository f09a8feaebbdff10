"""Fates of drawn islets, told by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isletnet.errors import ParameterError
from isletnet.evaluation import errors
from isletnet.evaluation.certainty import interval_hits, reliability
from isletnet.evaluation.outlines import outline_distances
from isletnet.evaluation.segmentation import object_scores


def boxes(*corners):
    """Rectangles (top, left, bottom, right) labelled from 1 in a picture of 60 x 90 px."""
    labels = np.zeros((60, 90), dtype=np.int32)
    for number, (top, left, bottom, right) in enumerate(corners, start=1):
        labels[top:bottom, left:right] = number
    return labels


# One of each fate, in this order of reference labels: matched, merged twice, split, missed.
TRUTH = boxes((2, 2, 12, 12), (2, 30, 12, 40), (2, 40, 12, 50), (20, 2, 40, 12), (50, 50, 58, 58))
FOUND = boxes((2, 2, 12, 13), (2, 31, 12, 49), (20, 2, 29, 12), (31, 2, 40, 12), (30, 70, 40, 80))


def test_each_fate():
    fates = errors.islet_fates(FOUND, TRUTH, um_per_px=2.0)
    told = dict(zip(zip(fates["side"], fates["number"], strict=True), fates["fate"], strict=True))
    assert told == {
        ("reference", 1): "matched",
        ("reference", 2): "merged",
        ("reference", 3): "merged",
        ("reference", 4): "split",
        ("reference", 5): "missed",
        ("found", 5): "false",
    }
    matched = fates.iloc[0]
    assert matched["iou"] == pytest.approx(100 / 110)
    assert matched["area_ratio"] == pytest.approx(1.1)
    assert matched["found_number"] == 1
    assert matched["diameter_um"] == pytest.approx(2 * math.sqrt(100 / math.pi) * 2)
    assert matched[["centroid_y_px", "centroid_x_px"]].tolist() == [6.5, 6.5]
    assert fates["iou"].isna().sum() == 5


def test_cases_hold_what_belongs_together():
    cases = errors.case_table(FOUND, TRUTH, um_per_px=2.0).set_index("fate")
    assert cases.loc["merged", ["truth_n", "found_n"]].tolist() == [2, 1]
    assert cases.loc["split", ["truth_n", "found_n"]].tolist() == [1, 2]
    assert cases.loc["merged", ["top_px", "left_px", "bottom_px", "right_px"]].tolist() == [2, 30, 12, 50]
    volume = 4 / (3 * math.sqrt(math.pi)) * (64 * 4) ** 1.5 / 1_767_145.867644259
    assert cases.loc["missed", "error_ieq"] == pytest.approx(-volume)
    assert cases["error_ieq"].sum() == pytest.approx(cases["found_ieq"].sum() - cases["truth_ieq"].sum())


def test_a_chain_is_mixed():
    truth = boxes((2, 2, 12, 12), (2, 14, 12, 30))
    found = boxes((2, 8, 12, 20), (2, 24, 12, 30))
    assert errors.case_table(found, truth, um_per_px=1.0)["fate"].tolist() == ["mixed"]


@given(arrays(np.int32, (2, 9, 9), elements=st.integers(0, 5)))
def test_with_every_pixel_fates_agree_with_object_scores(labels):
    truth, found = labels
    fates = errors.islet_fates(found, truth, um_per_px=1.0, least_overlap=0.0)
    of_reference = fates[fates["side"] == "reference"]
    scores = object_scores(found, truth, um_per_px=1.0)[0]
    assert len(of_reference) == scores.truth_n
    assert (of_reference["fate"] == "matched").sum() == scores.matched_n
    assert (of_reference["fate"] == "missed").sum() == scores.missed_n
    assert (fates["fate"] == "false").sum() == scores.false_n
    cases = errors.case_table(found, truth, um_per_px=1.0, least_overlap=0.0)
    assert cases["truth_n"].sum() == scores.truth_n
    assert set(fates["case"]) == set(cases["case"])


def test_a_line_drawn_elsewhere_merges_nothing():
    """Of 10 columns each: the found line runs one column beside the true one."""
    truth = boxes((2, 30, 12, 40), (2, 40, 12, 50))
    assert set(errors.islet_fates(boxes((2, 30, 12, 40), (2, 40, 12, 49)), truth, um_per_px=1.0)["fate"]) == {"matched"}
    for moved, fate in ((1, "mixed"), (0, "matched")):
        found = boxes((2, 30, 12, 40 + moved), (2, 40 + moved, 12, 50))
        assert set(errors.islet_fates(found, truth, um_per_px=1.0)["fate"]) == {fate}
    wide = boxes((2, 30, 12, 51), (2, 51, 12, 71))
    found = boxes((2, 30, 12, 52), (2, 52, 12, 71))
    assert set(errors.islet_fates(found, wide, um_per_px=1.0)["fate"]) == {"matched"}


def test_nothing_at_all():
    empty = np.zeros((5, 5), dtype=np.int32)
    assert errors.islet_fates(empty, empty, um_per_px=1.0).empty
    assert errors.case_table(empty, empty, um_per_px=1.0).empty


def test_counts_by_size():
    fates = errors.islet_fates(FOUND, TRUTH, um_per_px=2.0)
    fates["size"] = errors.size_class(fates["diameter_um"])
    by_size = errors.fates_by(fates, "size").set_index("size")
    assert by_size.index[0] == "0–50 µm"
    assert by_size.loc["0–50 µm", "reference_n"] == 5
    assert by_size.loc["0–50 µm", "merged_fraction"] == pytest.approx(0.4)
    assert by_size.loc["0–50 µm", "false_n"] == 1
    assert math.isnan(by_size.loc["≥ 300 µm", "missed_fraction"])


def test_size_classes_are_half_open():
    assert list(errors.size_class([49.99, 50.0, 299.9, 300.0, 5000.0, np.nan])) == [
        "0–50 µm",
        "50–100 µm",
        "200–300 µm",
        "≥ 300 µm",
        "≥ 300 µm",
        np.nan,
    ]


@pytest.mark.parametrize("grown", [-3, 0, 2])
def test_outline_of_a_square_grown_evenly(grown):
    truth, found = np.zeros((2, 40, 40), dtype=bool)
    truth[12:28, 12:28] = True
    found[12 - grown : 28 + grown, 12 - grown : 28 + grown] = True
    distances = outline_distances(found, truth)
    side = 16 + 2 * grown
    assert (~np.isnan(distances)).sum() == 4 * side - 4
    assert np.nanmedian(distances) == grown


def test_outline_at_the_edge_of_the_picture_is_none():
    whole = np.ones((6, 6), dtype=bool)
    assert np.nanmax(np.abs(outline_distances(whole, whole))) == 0
    with pytest.raises(ParameterError, match="two masks"):
        outline_distances(whole, ~whole)


def test_reliability_by_hand():
    table = reliability([0.5, 0.55, 0.9, 1.0], [True, False, True, True], bins=[0.5, 0.7, 0.8, 1.0])
    assert table["islets_n"].tolist() == [2, 2]
    assert table["right_fraction"].tolist() == [0.5, 1.0]
    assert table["mean_certainty"].tolist() == pytest.approx([0.525, 0.95])


def test_interval_hits():
    table = interval_hits(["a", "b", "c"], [10.0, 10.0, 5.0], [11.0, 20.0, None], [9.0, 16.0, 1.0], [13.0, 25.0, 2.0])
    assert table["name"].tolist() == ["a", "b"]
    assert table["holds"].tolist() == [True, False]
    assert table["error_fraction"].tolist() == pytest.approx([0.1, 1.0])
    assert table["stated_fraction"].tolist() == pytest.approx([math.sqrt(13 / 9) - 1, 0.25])
