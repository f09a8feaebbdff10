"""Edits of labels: what they change, that they can be taken back, and what they count to."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from isletnet.errors import ParameterError
from isletnet.ui.editing import regions
from isletnet.ui.editing.drawing import Drawing
from isletnet.ui.editing.numbers import Rules, areas, numbers
from isletnet.ui.editing.outlines import outlines, packed, ring_of, tissue_png

Map = NDArray[np.uint16]


def dish() -> Map:
    """Three islets (2, 3, 4) of which 2 and 3 lie 4 px apart, and tissue in two places."""
    codes = np.zeros((120, 160), np.uint16)
    y, x = np.mgrid[:120, :160] + 0.5
    codes[(x - 40) ** 2 + (y - 40) ** 2 < 20**2] = 2
    codes[(x - 84) ** 2 + (y - 40) ** 2 < 20**2] = 3
    codes[(x - 130) ** 2 + (y - 95) ** 2 < 12**2] = 4
    codes[90:110, 20:60] = 1
    codes[100:104, 80:90] = 1
    return codes


def circle(x: float, y: float, radius: float, n: int = 90) -> NDArray[np.float64]:
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)])


def after(codes: Map, patch: regions.Patch) -> Map:
    new = codes.copy()
    new[patch.box] = patch.after
    return new


def test_a_map_joins_classes_and_numbers() -> None:
    classes = np.array([[0, 1, 2], [1, 1, 0]], np.uint8)
    islets = np.array([[0, 1, 0], [2, 2, 0]], np.int32)
    np.testing.assert_array_equal(regions.as_map(classes, islets), [[0, 2, 1], [3, 3, 0]])
    with pytest.raises(ParameterError, match="one size"):
        regions.as_map(classes, islets[:1])


def test_an_islet_is_deleted_and_nothing_else() -> None:
    codes = dish()
    new = after(codes, regions.deleted(codes, [3]))
    np.testing.assert_array_equal(new, np.where(codes == 3, 0, codes))
    with pytest.raises(ParameterError, match="not there"):
        regions.deleted(new, [3])


def test_an_outline_becomes_an_islet_of_its_area() -> None:
    codes = dish()
    new = after(codes, regions.added(codes, circle(40.3, 78.2, 9)))
    assert np.count_nonzero(new == 5) == pytest.approx(math.pi * 81, rel=0.03)
    assert ndimage.center_of_mass(new == 5)[1] + 0.5 == pytest.approx(40.3, abs=0.2)


def test_what_is_added_leaves_other_islets_their_pixels() -> None:
    codes = dish()
    new = after(codes, regions.added(codes, circle(62, 40, 20)))
    np.testing.assert_array_equal(new == 2, codes == 2)
    np.testing.assert_array_equal(new == 3, codes == 3)
    assert np.count_nonzero(new == 5) > 100


def test_tissue_is_added_and_a_slip_is_nothing() -> None:
    codes = dish()
    new = after(codes, regions.added(codes, circle(100, 20, 6), tissue=True))
    assert np.count_nonzero(new == 1) > np.count_nonzero(codes == 1) + 90
    assert not regions.added(codes, circle(100, 20, 0.5)).changes


def test_what_is_drawn_beyond_the_picture_is_cut_or_refused() -> None:
    codes = dish()
    new = after(codes, regions.added(codes, circle(0, 0, 10)))
    assert np.count_nonzero(new == 5) == pytest.approx(math.pi * 25, rel=0.08)
    with pytest.raises(ParameterError, match="outside"):
        regions.added(codes, circle(-50, -50, 10))


def test_an_islet_gets_another_outline_and_keeps_its_number() -> None:
    codes = dish()
    new = after(codes, regions.redrawn(codes, 4, circle(120, 60, 8)))
    assert np.count_nonzero(new == 4) == pytest.approx(math.pi * 64, rel=0.04)
    assert new[95, 130] == 0
    assert not regions.redrawn(codes, 4, circle(40, 40, 5)).changes


def test_a_cut_keeps_every_pixel_and_leaves_two_parts() -> None:
    codes = dish()
    new = after(codes, regions.split(codes, np.array([[40.0, 10.0], [42.0, 70.0]])))
    assert set(np.unique(new)) == set(np.unique(codes)) | {5}
    np.testing.assert_array_equal(new >= 2, codes >= 2)
    halves = sorted(np.count_nonzero(new == number) for number in (2, 5))
    assert halves[0] == pytest.approx(halves[1], rel=0.2)
    assert all(ndimage.label(new == number)[1] == 1 for number in (2, 5))


def test_a_line_that_ends_in_an_islet_does_not_cut_it() -> None:
    codes = dish()
    assert not regions.split(codes, np.array([[40.0, 10.0], [40.0, 40.0]])).changes


def test_one_line_cuts_all_that_it_crosses() -> None:
    codes = dish()
    new = after(codes, regions.split(codes, np.array([[5.0, 40.0], [155.0, 40.0]])))
    assert len(np.unique(new[new >= 2])) == 5


def test_neighbours_merge_over_a_gap_and_distant_ones_do_not() -> None:
    codes = dish()
    new = after(codes, regions.merged(codes, [3, 2]))
    assert set(np.unique(new)) == {0, 1, 2, 4}
    assert ndimage.label(new == 2)[1] == 1
    with pytest.raises(ParameterError, match="far apart"):
        regions.merged(codes, [2, 4])


def test_merging_takes_back_a_cut_exactly() -> None:
    codes = dish()
    cut = after(codes, regions.split(codes, np.array([[40.0, 10.0], [40.0, 70.0]])))
    np.testing.assert_array_equal(after(cut, regions.merged(cut, [2, 5])), codes)


def test_wiping_through_an_islet_leaves_two() -> None:
    codes = dish()
    new = after(codes, regions.erased(codes, np.array([[40.0, 10.0], [40.0, 70.0]]), radius_px=3))
    assert ndimage.label(new == 2)[1] == ndimage.label(new == 5)[1] == 1
    assert not new[10:70, 38:42].any()
    assert np.count_nonzero(new == 2) >= np.count_nonzero(new == 5)


def test_a_tap_wipes_a_disc() -> None:
    codes = np.full((50, 50), 1, np.uint16)
    new = after(codes, regions.erased(codes, np.array([[25.0, 25.0]]), radius_px=10))
    assert np.count_nonzero(new == 0) == pytest.approx(math.pi * 100, rel=0.03)


def test_classes_change_both_ways() -> None:
    codes = dish()
    tissue = after(codes, regions.as_tissue(codes, [4]))
    np.testing.assert_array_equal(tissue == 1, (codes == 1) | (codes == 4))
    back = after(tissue, regions.tissue_as_islet(tissue, (130.0, 95.0)))
    np.testing.assert_array_equal(back > 1, codes > 1)
    gone = after(codes, regions.tissue_deleted(codes, (30.0, 100.0)))
    assert np.count_nonzero(gone == 1) == 40
    with pytest.raises(ParameterError, match="no exocrine"):
        regions.tissue_deleted(codes, (0.0, 0.0))


points = st.lists(st.tuples(st.floats(-20, 180), st.floats(-20, 140)), min_size=3, max_size=8).map(np.array)


tools = st.sampled_from(["add", "tissue", "erase", "split", "delete", "redraw"])


@settings(max_examples=25)
@given(st.lists(st.tuples(tools, points), max_size=6))
def test_edits_count_right_and_can_all_be_taken_back(wishes: list[tuple[str, NDArray[np.float64]]]) -> None:
    codes, rules = dish(), Rules(um_per_px=2.0)
    drawing = Drawing(codes, rules)
    made_n = 0
    for wish, line in wishes:
        number = int(drawing.codes.max(initial=0))
        make = {
            "add": lambda now, line=line: regions.added(now, line),
            "tissue": lambda now, line=line: regions.added(now, line, tissue=True),
            "erase": lambda now, line=line: regions.erased(now, line, radius_px=4.0),
            "split": lambda now, line=line: regions.split(now, line),
            "delete": lambda now, number=number: regions.deleted(now, [number]),
            "redraw": lambda now, line=line, number=number: regions.redrawn(now, max(number, 2), line),
        }[wish]
        try:
            patch = drawing.edit(make)
        except ParameterError:
            continue
        if patch is not None:
            made_n += 1
            for changed in patch.numbers:
                assert np.count_nonzero(patch.after == changed) == np.count_nonzero(drawing.codes == changed)
        assert drawing.numbers == numbers(areas(drawing.codes), drawing.codes, rules)
    last = drawing.codes.copy()
    while drawing.undo() is not None:
        pass
    np.testing.assert_array_equal(drawing.codes, codes)
    assert drawing.is_saved
    assert drawing.redo_n == made_n
    while drawing.redo() is not None:
        pass
    np.testing.assert_array_equal(drawing.codes, last)


def test_saved_is_a_place_in_the_row_of_edits() -> None:
    drawing = Drawing(dish(), Rules(um_per_px=None))
    drawing.edit(lambda now: regions.deleted(now, [2]))
    assert not drawing.is_saved
    drawing.saved()
    drawing.undo()
    assert not drawing.is_saved
    drawing.redo()
    assert drawing.is_saved
    drawing.undo()
    drawing.edit(lambda now: regions.deleted(now, [3]))
    assert not drawing.is_saved
    drawing.undo()
    assert not drawing.is_saved


def test_the_map_is_not_written_from_outside() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Drawing(dish(), Rules(um_per_px=None)).codes[0, 0] = 1


def test_numbers_of_a_disc_by_hand() -> None:
    codes = np.zeros((200, 200), np.uint16)
    codes[50:150, 50:150] = 2
    codes[0:10, 0:10] = 3
    codes[180:190, 0:100] = 1
    diameter_um = 2 * math.sqrt(10_000 / math.pi) * 1.5
    told = numbers(areas(codes), codes, Rules(um_per_px=1.5))
    assert (told.islets_n, told.islet_area_px, told.exocrine_area_px) == (1, 10_100, 1000)
    assert told.ieq == pytest.approx((diameter_um / 150) ** 3)
    assert told.purity_fraction == pytest.approx(10_100 / 11_100)
    assert numbers(areas(codes), codes, Rules(um_per_px=None)).islets_n == 2
    all_of_it = numbers(areas(codes), codes, Rules(um_per_px=1.5, smallest_islet_um=1.0))
    assert all_of_it.islets_n == 2
    inside = numbers(areas(codes), codes, Rules(um_per_px=1.5, smallest_islet_um=1.0, border="exclude"))
    assert inside.islets_n == 1


def test_an_empty_picture_has_no_purity() -> None:
    codes = np.zeros((5, 5), np.uint16)
    assert numbers(areas(codes), codes, Rules(um_per_px=1.0)).purity_fraction is None


def test_outlines_enclose_their_islets() -> None:
    codes = dish()
    codes[38:42, 38:42] = 0
    drawn = {one.number: one for one in outlines(codes)}
    assert set(drawn) == {2, 3, 4}
    assert len(drawn[2].rings) == 2
    signed = [_area(ring) for ring in drawn[2].rings]
    assert max(map(abs, signed)) - min(map(abs, signed)) == pytest.approx(np.count_nonzero(codes == 2), rel=0.03)
    assert [one.number for one in outlines(codes, [3, 99])] == [3]
    [near] = outlines(codes, [4], box=(slice(70, 118), slice(100, 150)))
    np.testing.assert_array_equal(near.rings[0], drawn[4].rings[0])


def test_outlines_reach_to_the_edges_of_their_islets_in_a_tall_picture() -> None:
    rng = np.random.default_rng(7)
    codes = np.zeros((700, 90), np.uint16)
    for number, (y, x, side) in enumerate(rng.integers((0, 0, 1), (690, 80, 60), (120, 3)), start=2):
        codes[y : y + side, x : x + side] = number
    expected = {
        number: (at[1].start, at[0].start, at[1].stop, at[0].stop)
        for number, at in enumerate(ndimage.find_objects(codes), start=1)
        if at is not None
    }
    rings = {one.number: np.concatenate(one.rings) for one in outlines(codes)}
    found = {number: (*map(round, ring.min(axis=0)), *map(round, ring.max(axis=0))) for number, ring in rings.items()}
    assert found == expected


def test_outlines_travel_as_plain_floats() -> None:
    heads, data = packed(outlines(dish(), [4]))
    points = np.frombuffer(data, "<f4").reshape(-1, 2)
    assert heads == [[4, len(points)]]
    assert points.mean(axis=0) == pytest.approx([130, 95], abs=1)
    assert packed([]) == ([], b"")


def test_tissue_is_shown_by_its_outline_and_as_a_picture() -> None:
    from io import BytesIO

    from PIL import Image

    codes = dish()
    part = regions.part_of_tissue(codes, (85.0, 102.0))
    assert part is not None
    assert abs(_area(ring_of(part[1], part[0]).rings[0])) == pytest.approx(40, rel=0.06)
    assert regions.part_of_tissue(codes, (1.0, 1.0)) is None
    picture = np.asarray(Image.open(BytesIO(tissue_png(codes))))
    np.testing.assert_array_equal(picture == 255, codes == 1)


def _area(ring: NDArray[np.float32]) -> float:
    x, y = ring.T.astype(float)
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)
