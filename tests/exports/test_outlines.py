"""Outlines: whole-number corners whose area is the pixel count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sample_results import drawn_labels
from scipy import ndimage

from isletnet.exports.outlines import Outline, fill, signed_area_px, trace_labels, trace_mask

MASKS = arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.booleans())


def test_a_square_has_four_corners() -> None:
    mask = np.zeros((5, 6), dtype=bool)
    mask[1:4, 2:5] = True
    (outline,) = trace_mask(mask)
    assert {tuple(corner) for corner in outline.exterior.tolist()} == {(2, 1), (5, 1), (5, 4), (2, 4)}
    assert len(outline.exterior) == 4
    assert outline.holes == ()


def test_a_ring_has_a_hole_that_counts_off() -> None:
    mask = np.ones((5, 5), dtype=bool)
    mask[2, 2] = False
    (outline,) = trace_mask(mask)
    assert [signed_area_px(ring) for ring in outline.rings] == [25, -1]
    assert outline.area_px == 24


def test_pixels_that_meet_by_corners_only_are_two_regions() -> None:
    assert [part.area_px for part in trace_mask(np.eye(2, dtype=bool))] == [1, 1]


def test_a_region_that_meets_itself_by_a_corner_gets_a_hole_and_no_self_touch() -> None:
    mask = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0]], dtype=bool)
    (outline,) = trace_mask(mask)
    assert [signed_area_px(ring) for ring in outline.holes] == [-1]
    assert outline.area_px == 7


def test_nothing_gives_no_outline() -> None:
    assert trace_mask(np.zeros((3, 3), dtype=bool)) == ()
    assert trace_labels(np.zeros((3, 3), dtype=np.int32)) == []


def test_an_absent_label_has_an_empty_entry() -> None:
    labels = np.zeros((3, 3), dtype=np.int32)
    labels[1, 1] = 2
    assert [len(parts) for parts in trace_labels(labels)] == [0, 1]


def test_labels_are_traced_in_the_picture_s_own_coordinates() -> None:
    labels = drawn_labels().islets
    traced = trace_labels(labels)
    for number, parts in enumerate(traced, start=1):
        np.testing.assert_array_equal(fill(parts, labels.shape), labels == number)
    # The islet with a hole, and the two pixels that meet by a corner.
    assert [(len(parts), sum(len(part.holes) for part in parts)) for parts in traced[3:]] == [(1, 1), (1, 0), (2, 0)]


@settings(max_examples=50, derandomize=True, deadline=None)
@given(MASKS)
def test_laws_of_outlines(mask: NDArray[np.bool_]) -> None:
    parts = trace_mask(mask)
    assert sum(part.area_px for part in parts) == mask.sum()
    assert len(parts) == ndimage.label(mask)[1]
    np.testing.assert_array_equal(fill(parts, mask.shape), mask)
    for part in parts:
        assert signed_area_px(part.exterior) > 0
        assert all(signed_area_px(hole) < 0 for hole in part.holes)
        for ring in part.rings:
            _assert_is_simple(ring)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(MASKS)
def test_flips_keep_areas(mask: NDArray[np.bool_]) -> None:
    assert _areas(trace_mask(mask)) == _areas(trace_mask(mask[::-1])) == _areas(trace_mask(mask.T))


def _areas(parts: tuple[Outline, ...]) -> list[int]:
    return sorted(part.area_px for part in parts)


def _assert_is_simple(ring: NDArray[np.int32]) -> None:
    assert len({tuple(corner) for corner in ring.tolist()}) == len(ring)
    steps = np.roll(ring, -1, axis=0) - ring
    is_level = steps[:, 1] == 0
    # Every edge runs along one axis, and edges turn at every corner: no corner is superfluous.
    assert ((steps == 0).sum(axis=1) == 1).all()
    assert (is_level != np.roll(is_level, 1)).all()


@pytest.mark.parametrize("radius", [3, 10, 25])
def test_area_of_a_disc_is_its_pixel_count(radius: int) -> None:
    y, x = np.mgrid[:60, :60]
    mask = (y - 30) ** 2 + (x - 29) ** 2 <= radius**2
    (outline,) = trace_mask(mask)
    assert outline.area_px == np.count_nonzero(mask)
