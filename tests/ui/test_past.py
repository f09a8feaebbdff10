"""Which requests match a search, and whether repeated counts agree."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from isletnet.client import Status
from isletnet.ui.earlier.charts import Dated, Named, beside_each_other, has_cut, over_time, ticks_to
from isletnet.ui.earlier.past import Mark, agreement, matching, sample_of

MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def status(state: str = "done", request_id: str = "abc123", **parameters: object) -> Status:
    return Status(request_id=request_id, state=state, parameters=parameters)


def test_samples_are_named_once_wherever_they_are_named():
    images = {
        "0": {"sample_name": "Donor 1"},
        "1": {"sample_name": "Donor 2"},
        "2": {"sample_name": "Donor 1"},
        "3": {},
    }
    assert sample_of(status(images=images)) == "Donor 1, Donor 2"
    assert sample_of(status(sample_name="Donor 3")) == "Donor 3"
    assert sample_of(status()) == ""


@pytest.mark.parametrize(
    ("words", "kind", "found"),
    [
        ("", "all", ["a1", "b2", "c3", "d4"]),
        ("donor", "all", ["a1", "b2", "c3"]),
        ("2 DONOR", "all", ["b2"]),
        ("b2", "all", ["b2"]),
        ("", "done", ["a1", "b2"]),
        ("", "open", ["c3"]),
        ("", "failed", ["d4"]),
        ("donor", "failed", []),
    ],
)
def test_search(words: str, kind: str, found: list[str]):
    requests = [
        status("done", "a1", sample_name="Donor 1"),
        status("done", "b2", sample_name="Donor 2"),
        status("running", "c3", sample_name="Donor 3"),
        status("dead", "d4"),
        status("deleted", "e5", sample_name="Donor 5"),
    ]
    assert [one.request_id for one in matching(requests, words=words, kind=kind)] == found


def test_duplicates_of_the_textbook():
    # 180 and 200 IEQ in the same volume: CV = |x1 - x2| / (sqrt(2) mean) = 7.4 %.
    told = agreement([Mark(value=180), Mark(value=200)])
    assert told is not None
    assert (told.counts_n, told.mean, told.p_value) == (2, 190, None)
    assert told.cv_fraction == pytest.approx(20 / math.sqrt(2) / 190)


@pytest.mark.parametrize("marks", [[], [Mark(value=5)], [Mark(value=5), Mark(value=0)]])
def test_too_few_counts_or_none_above_zero_say_nothing(marks: list[Mark]):
    assert agreement(marks) is None


def mark(value: float, error: float) -> Mark:
    """A value with an interval of 95 % whose standard error on the log scale is ``error``."""
    return Mark(value=value, low=value * math.exp(-1.959964 * error), high=value * math.exp(1.959964 * error))


def test_agreement_of_two_is_the_test_of_their_difference():
    told = agreement([mark(100, 0.1), mark(150, 0.2)])
    assert told is not None
    z = math.log(1.5) / math.hypot(0.1, 0.2)
    assert told.p_value == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-4)


def test_agreement_of_many_is_cochrans_q():
    values = [90.0, 100.0, 110.0, 160.0]
    told = agreement([mark(value, 0.1) for value in values])
    logs = [math.log(value) for value in values]
    centre = sum(logs) / 4
    assert told is not None
    assert told.p_value == pytest.approx(chi2.sf(sum((log - centre) ** 2 for log in logs) / 0.01, 3), rel=1e-4)


@given(st.floats(1e-3, 1e8))
def test_ticks_reach_just_above_the_highest(highest: float):
    ticks = ticks_to(highest)
    step = ticks[1] - ticks[0]
    assert ticks[0] == 0
    assert ticks[-1] >= highest * (1 - 1e-6)
    assert ticks[-1] - step < highest
    assert 3 <= len(ticks) <= 7


def test_charts_hold_each_number_and_no_markup_of_names():
    rows = [Named(name="<script>", mark=Mark(value=10, low=5, high=20)), Named(name="B", mark=Mark(value=7))]
    svg = beside_each_other(rows, title="IEQ & more")
    assert (svg.count("<circle"), svg.count("<script>")) == (2, 0)
    assert "10 (5–20)" in svg
    assert 'aria-label="IEQ &amp; more"' in svg


WIDE = Mark(value=100, low=50, high=500)
USUAL = [Mark(value=90, low=60, high=140), Mark(value=120, low=80, high=180), Mark(value=110)]


def test_one_long_interval_does_not_decide_the_axis():
    points = [Dated(utc=MONDAY, name="A", mark=mark) for mark in (*USUAL, WIDE)]
    svg = over_time(points, title="IEQ")
    heights = re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', svg)
    # The axis is 254 high, from 16 on; its end is rounded up to a tick.
    assert min(float(y) for y in heights) <= 16 + 0.55 * 254
    assert svg.count("islet-cut") == 1
    assert "100 (50–500)" in svg, "the pointer is told the true interval"
    rows = [Named(name="A", mark=mark) for mark in (*USUAL, WIDE)]
    assert beside_each_other(rows, title="IEQ").count("islet-cut") == 1


def test_usual_intervals_are_shown_whole():
    assert "islet-cut" not in over_time([Dated(utc=MONDAY, name="A", mark=mark) for mark in USUAL], title="IEQ")
    assert not has_cut(USUAL)
    assert has_cut([*USUAL, WIDE])


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1))
def test_each_number_is_on_the_axis(numbers: list[tuple[float, float]]):
    marks = [Mark(value=value, low=0, high=value + more) for value, more in numbers]
    svg = over_time([Dated(utc=MONDAY, name="A", mark=mark) for mark in marks], title="IEQ")
    for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.-]+)"', svg):
        assert 16 - 0.1 <= float(y) <= 270 + 0.1


def test_a_day_is_named_once_on_the_axis():
    points = [Dated(utc=MONDAY, name=name, mark=Mark(value=3, low=2, high=4)) for name in "AB"]
    svg = over_time(points, title="IEQ")
    # Beside the axis, each of the two points tells its day.
    assert svg.count("Nov 23, 2026") == 1 + 2
