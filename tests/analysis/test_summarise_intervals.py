"""Intervals: known values, laws, and how often they hold the truth in seeded samples of the published sizes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from islet_tables import CUT_UM, SCALE_UM, SHAPE, numbers, published_sizes_um
from scipy import integrate

from isletnet.analysis.summarise import pool
from isletnet.analysis.summary.sampling import (
    compound_poisson_cv,
    count_interval,
    error_interval,
    estimate,
    joined_error,
    log_error,
    median_interval,
    ratio_interval,
    relative_interval,
    share_interval,
)
from isletnet.analysis.summary.weibull import fit_weibull
from isletnet.errors import ParameterError
from isletnet.schemas import AnalysisParameters, Disagreement, Interval

LEVEL = 0.95
positive = st.floats(1e-3, 1e9)
laws = settings(max_examples=40, derandomize=True, deadline=None)


def truncated_moment(power: int) -> float:
    """E(d^power) of the published sizes, by numeric integration of the density."""

    def density(diameter_um: float) -> float:
        ratio = diameter_um / SCALE_UM
        return SHAPE / SCALE_UM * ratio ** (SHAPE - 1) * math.exp((CUT_UM / SCALE_UM) ** SHAPE - ratio**SHAPE)

    return integrate.quad(lambda d: d**power * density(d), CUT_UM, 3000.0, epsabs=0.0, limit=200)[0]


def sampled_ieq(random: np.random.Generator, mean_count: float) -> np.ndarray:
    return (published_sizes_um(random.random(random.poisson(mean_count))) / 150.0) ** 3


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.390)])
def test_count_intervals_are_those_of_the_tables(count, low, high):
    found = count_interval(count, LEVEL)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-4), pytest.approx(high, abs=6e-4))


@pytest.mark.parametrize(("part", "low", "high"), [(0, 0.0, 0.3085), (5, 0.1871, 0.8129), (10, 0.6915, 1.0)])
def test_share_intervals_are_those_of_the_tables(part, low, high):
    found = share_interval(part, 10, LEVEL)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))
    assert share_interval(0, 0, LEVEL) is None


def test_ratio_interval_is_that_of_the_odds():
    found = ratio_interval(5, 5, LEVEL)
    assert (found.low, found.high) == (
        pytest.approx(0.1871 / 0.8129, abs=2e-4),
        pytest.approx(0.8129 / 0.1871, abs=2e-3),
    )
    assert ratio_interval(5, 0, LEVEL) is None


def test_median_interval_lies_between_ordered_values():
    # Ranks of 100 values at 95 %: 40 and 61.
    assert median_interval(np.arange(1.0, 101.0), LEVEL) == Interval(
        low=40.0, high=61.0, level=LEVEL, method="order statistics"
    )
    assert median_interval(np.arange(3.0), LEVEL) is None


@pytest.mark.parametrize(("islets_n", "floor"), [(100, 0.25), (200, 0.17), (400, 0.12), (1000, 0.08)])
def test_sampling_floor_of_the_published_sizes(islets_n, floor):
    """Domain facts, section 5: the spread of totals, by theory, by simulation and as one sample tells it."""
    theory = math.sqrt(truncated_moment(6) / islets_n) / truncated_moment(3)
    assert theory == pytest.approx(floor, abs=0.01)
    random = np.random.default_rng(islets_n)
    samples = [sampled_ieq(random, islets_n) for _ in range(1500)]
    totals = np.array([sample.sum() for sample in samples])
    assert totals.std() / totals.mean() == pytest.approx(theory, rel=0.08)
    # The variance that one sample tells is right on average; a quotient of both would not be.
    told = math.sqrt(np.mean([(compound_poisson_cv(sample) * sample.sum()) ** 2 for sample in samples]))
    assert told / totals.mean() == pytest.approx(theory, rel=0.08)


def test_equal_sizes_leave_only_the_error_of_the_count():
    error = log_error(np.full(64, 3e6), 64 * 3e6)
    assert (error.se, error.df) == (pytest.approx(1 / 8), pytest.approx(128.0))
    assert compound_poisson_cv(np.full(64, 3e6)) == pytest.approx(1 / 8)
    assert compound_poisson_cv(np.zeros(0)) is None
    both = joined_error(error, error)
    assert (both.se, both.df) == (pytest.approx(math.sqrt(2) / 8), pytest.approx(256.0))


@pytest.mark.parametrize(("mean_count", "lowest"), [(30, 0.90), (100, 0.93), (400, 0.935)])
def test_ieq_and_count_intervals_hold_the_truth(mean_count, lowest):
    random = np.random.default_rng(7)
    truth = mean_count * truncated_moment(3) / 150**3
    held, counted, runs = 0, 0, 2000
    for _ in range(runs):
        sample = sampled_ieq(random, mean_count)
        interval = error_interval(sample.sum(), log_error(sample, sample.sum()), LEVEL)
        held += interval.low <= truth <= interval.high
        count = count_interval(sample.size, LEVEL)
        counted += count.low <= mean_count <= count.high
    assert lowest <= held / runs <= 0.97
    assert 0.94 <= counted / runs <= 0.98


def test_purity_index_and_size_intervals_hold_the_truth():
    """Whole path: 100 islets and 60 exocrine parts on average, all numbers that come with a sampling interval."""
    random = np.random.default_rng(11)
    exocrine_px = np.exp(random.normal(6.0, 0.5, size=100_000))
    islet_px = math.pi / 4 * truncated_moment(2) / 10**2
    truths = {
        "purity_area": 100 * islet_px / (100 * islet_px + 60 * exocrine_px.mean()),
        "islet_index": truncated_moment(3) / 150**3,
        "mean_diameter": truncated_moment(1),
        "median_diameter": float(published_sizes_um(np.array(0.5))),
    }
    held, runs = dict.fromkeys(truths, 0), 300
    for _ in range(runs):
        diameter_um = published_sizes_um(random.random(random.poisson(100)))
        parts = [round(area) for area in random.choice(exocrine_px, random.poisson(60))]
        image = numbers(diameter_um, um_per_px=10.0, exocrine_parts_px=parts)
        summary = pool([image], name="s", parameters=AnalysisParameters())
        for name, truth in truths.items():
            interval = getattr(summary, name).sampling
            held[name] += interval.low <= truth <= interval.high
    assert {name: 0.91 <= count / runs <= 0.985 for name, count in held.items()} == dict.fromkeys(truths, True), held


@laws
@given(st.lists(positive, min_size=1, max_size=40), st.floats(0.5, 0.999))
def test_log_intervals_surround_the_total_and_never_fall_below_0(sizes, level):
    values = np.array(sizes)
    total = float(values.sum())
    interval = error_interval(total, log_error(values, total), level)
    assert 0.0 <= interval.low <= total <= interval.high
    # One size alone has the relative error 1, and any sharing out makes it smaller.
    assert 0.0 < compound_poisson_cv(values) <= 1.0 + 1e-12


@laws
@given(st.floats(0.001, 0.999), st.floats(0.0, 3.0))
def test_logit_intervals_stay_within_0_and_1(share, relative):
    interval = relative_interval(share, relative, LEVEL, scale="logit")
    assert 0.0 <= interval.low <= share + 1e-12
    assert share - 1e-12 <= interval.high <= 1.0


def test_parts_join_in_quadrature_on_the_scale():
    def parts(low, high):
        return Interval(low=low, high=high, level=LEVEL, method="m")

    joined = estimate(10.0, "IEQ", "m", sampling=parts(10 / 8, 80.0), segmentation=parts(10 / 2**4, 160.0)).interval
    # 3 and 4 doublings join to 5.
    assert (joined.low, joined.high) == (pytest.approx(10 / 32), pytest.approx(320.0))
    share = estimate(
        0.5, "fraction", "m", sampling=parts(1 / 9, 8 / 9), segmentation=parts(1 / 17, 16 / 17), scale="logit"
    )
    assert (share.interval.low, share.interval.high) == (pytest.approx(1 / 33), pytest.approx(32 / 33))
    alone = estimate(10.0, "IEQ", "m", sampling=parts(1.0, 20.0))
    assert (alone.interval, alone.segmentation) == (alone.sampling, None)
    assert estimate(math.nan, "IEQ", "m", sampling=parts(1.0, 20.0)).interval is None


def test_disagreement_reaches_every_headline_number():
    apart = Disagreement(
        members=("a", "b"), ieq_relative=0.3, count_relative=0.2, islet_area_relative=0.1, exocrine_area_relative=0.4
    )
    image = numbers(
        [100.0] * 30, exocrine_parts_px=[2000] * 30, exocrine_volume_um3=1e7, disagreement=apart, um_per_px=2.0
    )
    summary = pool([image], name="s", parameters=AnalysisParameters())
    relative = {
        "ieq": 0.3,
        "count": 0.2,
        "islet_index": math.hypot(0.3, 0.2),
        "mean_diameter": math.hypot(0.1, 0.2) / 2,
        "median_diameter": math.hypot(0.1, 0.2) / 2,
        "purity_area": math.hypot(0.1, 0.4),
        "purity_volume": math.hypot(0.3, 0.6),
    }
    for name, expected in relative.items():
        number = getattr(summary, name)
        odds = [
            value / (1 - value) if "purity" in name else value for value in (number.value, number.segmentation.high)
        ]
        assert math.log(odds[1] / odds[0]) == pytest.approx(1.95996 * math.sqrt(math.log1p(expected**2)), rel=1e-4), (
            name
        )
        assert number.interval.high >= number.segmentation.high - 1e-9


@pytest.mark.parametrize("islets_n", [20, 300])
def test_weibull_fit_is_the_likeliest(islets_n):
    diameter_um = published_sizes_um(np.random.default_rng(islets_n).random(islets_n))
    fit = fit_weibull(np.append(diameter_um, [12.0, 49.9]), CUT_UM)

    def log_likelihood(shape: float, scale_um: float) -> float:
        ratio = diameter_um / scale_um
        terms = np.log(shape / scale_um * ratio ** (shape - 1)) - ratio**shape + (CUT_UM / scale_um) ** shape
        return float(terms.sum())

    best = log_likelihood(fit.shape, fit.scale_um)
    assert fit.islets_n == islets_n
    for shape_factor, scale_factor in ((1.002, 1), (0.998, 1), (1, 1.002), (1, 0.998), (1.002, 1.002), (0.998, 0.998)):
        assert log_likelihood(fit.shape * shape_factor, fit.scale_um * scale_factor) < best


def test_weibull_fit_says_when_there_is_none():
    assert fit_weibull(published_sizes_um(np.linspace(0.02, 0.98, 19)), CUT_UM) is None
    assert fit_weibull(np.full(30, 120.0), CUT_UM) is None
    assert fit_weibull(np.full(30, CUT_UM), CUT_UM) is None
    # A Pareto tail that is heavier still than any Weibull above the cut.
    assert fit_weibull(CUT_UM * np.exp(np.linspace(0.0, 1.0, 50) ** 8 * 9.0), CUT_UM) is None
    with pytest.raises(ParameterError, match="above 0 um"):
        fit_weibull(np.full(30, 120.0), 0.0)


@laws
@given(st.lists(st.floats(50.0, 900.0), min_size=20, max_size=60), st.floats(0.1, 10.0))
def test_weibull_fit_follows_the_unit(diameter_um, factor):
    fit, other = (fit_weibull(np.array(diameter_um) * unit, CUT_UM * unit * 0.999) for unit in (1.0, factor))
    assert (fit is None) == (other is None)
    if fit and other:
        assert other.shape == pytest.approx(fit.shape, rel=1e-5)
        assert other.scale_um == pytest.approx(fit.scale_um * factor, rel=1e-5)
