"""Sampling by closed forms, worked examples and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from isletnet.errors import ParameterError
from isletnet.evaluation import sampling_design as design
from isletnet.schemas import Interval


def published_sizes(n=200_000):
    return ((50 + 84 * np.random.default_rng(0).weibull(1.18, n)) / 150) ** 3


def test_size_factor_of_a_weibull_in_closed_form():
    """Raw moments of t + L W: the binomial sum over moments of W, Gamma(1 + j / k)."""
    raw = [math.gamma(1 + j / 1.18) for j in range(7)]
    moments = {m: sum(math.comb(m, j) * 50.0 ** (m - j) * 84.0**j * raw[j] for j in range(m + 1)) for m in (3, 6)}
    assert design.size_factor(published_sizes()) == pytest.approx(moments[6] / moments[3] ** 2, rel=0.05)


@pytest.mark.parametrize(("islets_n", "ieq", "count"), [(100, 25, 10), (200, 17, 7), (400, 12, 5), (1000, 8, 3)])
def test_known_sampling_floor(islets_n, ieq, count):
    factor = design.size_factor(published_sizes())
    assert 100 * math.sqrt(factor / islets_n) == pytest.approx(ieq, abs=1.0)
    assert 100 * math.sqrt(1 / islets_n) == pytest.approx(count, abs=0.5)


@pytest.mark.parametrize("wanted", [0.05, 0.1, 0.3])
def test_needed_islets_are_the_least(wanted):
    needed = design.islets_needed(6.0, wanted, level=0.9)
    enough, too_few = design.half_width(6.0, [needed, needed - 1], level=0.9)
    assert enough <= wanted < too_few


def test_needed_images_are_the_least():
    totals = np.array([90.0, 110.0, 100.0, 130.0])
    cv = totals.std(ddof=1) / totals.mean()

    def width(images):
        return math.expm1(stats.t.ppf(0.975, images - 1) * cv / math.sqrt(images))

    needed = design.images_needed(totals, 0.15)
    assert width(needed) <= 0.15 < width(needed - 1)
    assert design.images_needed([1.0, 10.0], 1e-4) is None


def test_replicate_cv_of_the_worked_pair():
    """180 and 200 IEQ: 20 / (sqrt(2) 190) = 7.4 %."""
    found = design.replicate_cv([180.0, 200.0], ["a", "a"])
    assert found.cv_fraction == pytest.approx(0.0744, abs=0.0001)
    # One degree of freedom: the variance lies between s² / 5.024 and s² / 0.000982.
    assert found.low_fraction == pytest.approx(found.cv_fraction / math.sqrt(5.0239), rel=1e-3)
    assert found.high_fraction == pytest.approx(found.cv_fraction / math.sqrt(0.00098207), rel=1e-3)


def test_replicates_are_pooled_by_degrees_of_freedom():
    values = [10.0, 12.0, 11.0, 100.0, 100.0, 55.0]
    found = design.replicate_cv(values, ["a", "a", "a", "b", "b", "alone"])
    assert found.cv_fraction == pytest.approx(math.sqrt(2 * (1 / 11) ** 2 / 3))
    assert (found.samples_n, found.replicates_n) == (2, 5)
    assert design.replicate_cv([1.0, 2.0], ["a", "b"]) is None


def test_coverage_of_an_exact_interval():
    """Islets of one size are a count, whose Garwood interval holds the truth in at least 90 of 100."""

    def garwood(sample):
        n = sample.size
        low = stats.chi2.ppf(0.05, 2 * n) / 2 if n else 0.0
        return Interval(low=low, high=stats.chi2.ppf(0.95, 2 * n + 2) / 2, level=0.9, method="Garwood")

    found = design.coverage(np.ones(5), 30, garwood, draws_n=1500, rng=np.random.default_rng(2))
    assert 0.89 < found.covered_fraction < 0.95
    assert found.low_fraction < found.covered_fraction < found.high_fraction
    assert found.covered_fraction + found.below_fraction + found.above_fraction == pytest.approx(1.0)


def test_coverage_of_intervals_that_are_always_wrong():
    def low(sample):
        return Interval(low=0.0, high=1e-9, level=0.9, method="wrong")

    found = design.coverage([1.0, 2.0], 20, low, draws_n=50, rng=np.random.default_rng(2))
    assert (found.covered_fraction, found.below_fraction) == (0.0, 1.0)
    assert design.coverage([1.0], 5, lambda _: None, draws_n=5, rng=np.random.default_rng(1)).covered_fraction == 0.0


@pytest.mark.parametrize("sizes", [[], [0.0, 0.0], [1.0, math.nan], [-1.0, 2.0]])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ParameterError):
        design.size_factor(sizes)


def test_bad_wishes_are_refused():
    with pytest.raises(ParameterError, match="above 0"):
        design.islets_needed(5.0, 0.0)
    with pytest.raises(ParameterError, match="2 images"):
        design.images_needed([5.0], 0.1)


def test_replicate_table():
    values, samples = [180.0, 200.0, 90.0, 110.0, 100.0], ["a", "a", "b", "b", "lone"]
    row = design.replicate_table(values, samples, floor_fraction=0.05, wanted_half_width=0.2).iloc[0]
    assert row["cv_fraction"] == pytest.approx(math.sqrt((0.0744323**2 + 0.1414214**2) / 2))
    assert row["floor_fraction"] == 0.05
    assert row["replicates_needed"] == design.images_needed([90.0, 110.0], 0.2)
    assert design.replicate_table([1.0], ["a"], floor_fraction=None, wanted_half_width=0.2).empty
    narrow = design.replicate_table([1.0, 9.0], ["a", "a"], floor_fraction=None, wanted_half_width=1e-4)
    assert narrow["replicates_needed"].isna().all()
