"""Drawn discs with known overlaps, scored by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from isletnet.errors import ParameterError
from isletnet.evaluation import segmentation as scoring


def discs(shape: tuple[int, int], *circles: tuple[float, float, float]) -> NDArray[np.int32]:
    """Label discs (row, column, radius) 1..n; later ones lie on top."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, dtype=np.int32)
    for number, (row, column, radius) in enumerate(circles, start=1):
        labels[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = number
    return labels


def lens_area(radius: float, distance: float) -> float:
    """Area common to two circles of equal radius."""
    return 2 * radius**2 * math.acos(distance / (2 * radius)) - distance / 2 * math.sqrt(4 * radius**2 - distance**2)


def by_name(scores: tuple[scoring.ObjectScores, ...]) -> dict[str, scoring.ObjectScores]:
    return {score.stratum: score for score in scores}


def test_pixel_scores_of_two_shifted_discs_follow_the_lens_formula() -> None:
    truth = (discs((300, 400), (150, 180, 80)) > 0).astype(np.uint8)
    found = (discs((300, 400), (150, 220, 80)) > 0).astype(np.uint8)
    islet = scoring.pixel_scores(scoring.confusion_matrix(found, truth))[1]
    dice = lens_area(80, 40) / (math.pi * 80**2)
    assert islet.dice == pytest.approx(dice, abs=0.002)
    assert islet.iou == pytest.approx(dice / (2 - dice), abs=0.002)
    assert islet.precision == pytest.approx(dice, abs=0.002)
    assert islet.recall == pytest.approx(dice, abs=0.002)
    assert islet.class_name == "islet"


def test_confusion_matrix_has_the_reference_in_its_rows() -> None:
    truth = np.array([[0, 1, 2, 2]], dtype=np.uint8)
    found = np.array([[0, 2, 2, 1]], dtype=np.uint8)
    expected = [[1, 0, 0], [0, 0, 1], [0, 1, 1]]
    assert scoring.confusion_matrix(found, truth).tolist() == expected


@pytest.mark.parametrize(
    ("found", "truth", "dice", "precision", "recall"),
    [
        ([[0, 0]], [[0, 0]], math.nan, math.nan, math.nan),
        ([[1, 0]], [[0, 0]], 0.0, 0.0, math.nan),
        ([[0, 0]], [[1, 0]], 0.0, math.nan, 0.0),
        ([[1, 0]], [[1, 0]], 1.0, 1.0, 1.0),
    ],
)
def test_empty_masks_have_a_stated_score(
    found: list[list[int]], truth: list[list[int]], dice: float, precision: float, recall: float
) -> None:
    confusion = scoring.confusion_matrix(np.array(found, np.uint8), np.array(truth, np.uint8))
    islet = scoring.pixel_scores(confusion)[1]
    assert [islet.dice, islet.iou] == pytest.approx([dice, dice], nan_ok=True)
    assert [islet.precision, islet.recall] == pytest.approx([precision, recall], nan_ok=True)


def test_matrices_of_several_pictures_add_up_to_pooled_scores() -> None:
    empty, full = np.zeros((10, 10), np.uint8), np.ones((10, 10), np.uint8)
    corner = empty.copy()
    corner[0, 0] = 1
    pairs = [(full, full), (empty, corner), (empty, empty)]
    matrices = [scoring.confusion_matrix(found, truth) for found, truth in pairs]
    pooled = scoring.pixel_scores(np.sum(matrices, axis=0))[1]
    assert pooled.dice == pytest.approx(200 / 201)


def test_every_islet_gets_the_category_it_was_drawn_for() -> None:
    shape = (400, 900)
    truth = discs(
        shape,
        (60, 60, 30),  # matched
        (60, 200, 30),  # missed
        (60, 340, 30),  # merged with the next
        (60, 420, 30),
        (60, 600, 40),  # split
        (250, 100, 12),  # small and matched
    )
    found = discs(shape, (62, 62, 30), (60, 380, 75), (60, 575, 10), (60, 625, 10), (250, 100, 12), (250, 400, 20))
    scores = by_name(scoring.object_scores(found, truth, um_per_px=2.0))
    everything = scores[">=0 um"]
    assert (everything.truth_n, everything.found_n) == (6, 6)
    assert (everything.matched_n, everything.missed_n, everything.false_n) == (2, 1, 1)
    assert everything.incorrectly_separated_n == 3
    # Diameters at 2 um/px: 120, 120, 120, 120, 160 and 48 um against 120, 300, 40, 40, 48 and 80 um.
    assert [scores[f">={lower} um"].truth_n for lower in (50, 100, 150, 200)] == [5, 5, 1, 0]
    assert [scores[f">={lower} um"].found_n for lower in (50, 100, 150, 200)] == [3, 2, 1, 1]
    assert scores[">=50 um"].matched_n == 1
    assert scores[">=50 um"].false_n == 1
    assert scores[">=100 um"].false_n == 0
    assert scores[">=100 um"].relative_count == pytest.approx(2 / 5)
    assert math.isnan(scores[">=200 um"].relative_count)


def test_relative_area_and_volume_grow_with_square_and_cube_of_the_radius() -> None:
    truth, found = discs((300, 300), (150, 150, 80)), discs((300, 300), (150, 150, 100))
    everything = scoring.object_scores(found, truth, um_per_px=1.0)[0]
    assert everything.relative_area == pytest.approx(1.25**2, rel=0.003)
    assert everything.relative_volume == pytest.approx(1.25**3, rel=0.004)


def test_adjacent_islets_are_those_within_a_dilation_of_each_other() -> None:
    truth = discs((120, 400), (60, 60, 30), (60, 123, 30), (60, 200, 30), (60, 330, 30))
    # Gaps: 2 px between the first two, 16 px and more elsewhere. The found picture merges the first two.
    found = discs((120, 400), (60, 92, 62), (60, 200, 30), (60, 330, 30))
    adjacent = by_name(scoring.object_scores(found, truth, um_per_px=2.0))["adjacent"]
    assert (adjacent.truth_n, adjacent.found_n) == (2, 1)
    assert (adjacent.matched_n, adjacent.incorrectly_separated_n) == (0, 2)


def test_touching_islets_are_adjacent_even_without_a_gap() -> None:
    truth = np.zeros((20, 20), np.int32)
    truth[5:10, 2:10], truth[5:10, 10:18] = 1, 2
    adjacent = by_name(scoring.object_scores(truth, truth, um_per_px=2.0))["adjacent"]
    assert (adjacent.truth_n, adjacent.matched_n) == (2, 2)


def test_detection_wants_half_of_the_union() -> None:
    truth = discs((200, 500), (100, 100, 40), (100, 250, 40), (100, 400, 40))
    # Shifts of 20 and 40 px give an IoU of 0.52 and 0.24; the third islet is not found, and one is false.
    found = discs((200, 500), (100, 120, 40), (100, 290, 40), (30, 470, 10))
    scores = scoring.detection_scores(found, truth)
    assert (scores.truth_n, scores.found_n, scores.paired_n) == (3, 3, 1)
    assert scores.f1 == pytest.approx(1 / 3)
    half = lens_area(40, 20)
    assert scores.mean_iou == pytest.approx(half / (2 * math.pi * 40**2 - half), abs=0.01)


def test_a_tie_at_half_the_union_is_assigned_to_the_greatest_number_of_pairs() -> None:
    truth, found = np.zeros((1, 12), np.int32), np.zeros((1, 12), np.int32)
    # The first found islet has IoU 1/2 with the first and with the second islet; the second found one wants the second.
    truth[0, 0:2], truth[0, 2:4] = 1, 2
    found[0, 0:3], found[0, 3:4] = 1, 2
    pairs = scoring.overlap_pairs(found, truth).tolist()
    assert pairs == [[1, 1, 2], [2, 1, 1], [2, 2, 1]]
    assert scoring.detection_scores(found, truth).paired_n == 2


def test_nothing_found_and_nothing_true_is_scored_without_a_crash() -> None:
    nothing, one = np.zeros((30, 30), np.int32), discs((30, 30), (15, 15, 8))
    assert math.isnan(scoring.detection_scores(nothing, nothing).f1)
    assert scoring.detection_scores(nothing, one).f1 == 0.0
    missed = scoring.object_scores(nothing, one, um_per_px=2.0)[0]
    assert (missed.missed_n, missed.false_n, missed.relative_count) == (1, 0, 0.0)
    false = scoring.object_scores(one, nothing, um_per_px=2.0)[0]
    assert (false.missed_n, false.false_n) == (0, 1)


def test_islet_parts_are_4_connected() -> None:
    classes = np.array([[1, 0, 1], [0, 1, 1], [2, 0, 0]], np.uint8)
    assert scoring.islet_parts(classes).max() == 2


def test_unequal_shapes_and_undecoded_masks_are_refused() -> None:
    with pytest.raises(ParameterError, match="one shape"):
        scoring.confusion_matrix(np.zeros((3, 4), np.uint8), np.zeros((4, 3), np.uint8))
    with pytest.raises(ParameterError, match="255"):
        scoring.confusion_matrix(np.full((3, 3), 255, np.uint8), np.zeros((3, 3), np.uint8))


@settings(max_examples=40, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10_000), blocks_n=st.integers(1, 6))
def test_categories_add_up_and_agree_with_a_plain_count(seed: int, blocks_n: int) -> None:
    rng = np.random.default_rng(seed)

    def blocks() -> NDArray[np.int32]:
        labels = np.zeros((24, 24), np.int32)
        for number in range(1, blocks_n + 1):
            row, column = rng.integers(0, 18, 2)
            labels[row : row + rng.integers(2, 7), column : column + rng.integers(2, 7)] = number
        return labels

    truth, found = blocks(), blocks()
    scores = scoring.object_scores(found, truth, um_per_px=1.0)[0]
    assert scores.matched_n + scores.missed_n + scores.incorrectly_separated_n == scores.truth_n
    truth_ids, found_ids = set(np.unique(truth)) - {0}, set(np.unique(found)) - {0}
    partners = {t: {f for f in found_ids if ((truth == t) & (found == f)).any()} for t in truth_ids}
    claimed = [f for own in partners.values() for f in own]
    assert scores.missed_n == sum(not own for own in partners.values())
    assert scores.false_n == len(found_ids - set(claimed))
    assert scores.matched_n == sum(len(own) == 1 and claimed.count(next(iter(own))) == 1 for own in partners.values())
