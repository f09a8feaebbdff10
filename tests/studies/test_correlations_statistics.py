"""The statistics of the studies, against published worked examples and independent formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from isletnet.errors import ParameterError
from isletnet.evaluation.agreement import bland_altman_ratio, lin_ccc, passing_bablok
from isletnet.evaluation.clusters import cluster_bootstrap
from isletnet.evaluation.comparison import compare
from isletnet.evaluation.drift import trend
from isletnet.evaluation.intraclass import intraclass

# Four judges on six targets: Shrout and Fleiss, Psychol Bull 1979; 86: 420-428, table 2.
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
# Peak expiratory flow by two meters: Bland and Altman, Lancet 1986; i: 307-310, table 1.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
# Creatinine in serum and plasma (mg/dL) of 108 patients: the worked example of the R package mcr.
CREATININE = """
0.82 0.79  1.83 1.62  1.39 1.36  0.81 1.3  1.72 1.88  3.23 3.35  1.23 1.06  1.37 1.34  1.72 1.56  0.96 0.94  0.76 0.69
1.15 1.16  0.95 0.71  1 0.83  1.52 1.44  1.56 1.26  2.45 2.36  1.85 1.9  0.89 0.95  0.82 0.77  1.01 0.82  0.96 0.88
3.38 3.42  1.31 1.15  1.1 0.96  1.26 1.12  1.15 1.02  1.2 1.29  1.01 0.87  1.33 1.13  0.87 0.82  1.66 1.33  1.41 1.14
1.08 0.93  1.17 1.09  1.77 1.89  1.33 1.57  1.23 1.29  1.21 1.13  1.2 1.11  1.49 1.61  0.89 0.79  1.09 1.19  1.03 0.96
1.07 1.25  0.89 0.87  1.39 1.36  0.96 0.86  1.06 1.03  1.17 0.86  0.9 0.8  1.39 1.22  0.91 0.86  2.28 2.25  0.9 0.87
1.34 1.3  1.32 1.04  1.02 0.92  1.04 1.01  1.27 1.21  1.08 1.11  1.1 1.21  1.39 1.54  1.07 0.99  0.79 0.79  1.02 1.06
0.94 1.02  1.99 2.15  0.7 0.56  0.84 1.01  0.66 0.59  1.1 1.17  0.9 0.82  2.06 2.09  1.31 1.44  1.03 1.22  1.61 1.77
1.52 1.6  1.11 1.13  0.85 1.06  1.2 1.38  1.09 1.24  1.27 1.29  2.06 2.08  1.21 1.31  0.77 0.82  1.06 1.28  1.02 1.15
1 1.04  1.47 1.51  0.97 1.13  1.7 1.84  1.78 1.94  0.93 1.32  0.92 1.36  1.59 1.88  0.68 0.73  0.7 0.78  1.08 1.01
0.83 0.9  1.17 1.3  0.98 0.96  0.77 0.61  0.91 1.27  1.1 1.05  0.8 1.12  0.85 0.72  0.82 0.87
"""


def test_intraclass_correlations_are_those_of_the_paper() -> None:
    found = intraclass(JUDGES)
    assert [found.one_way, found.agreement, found.consistency] == pytest.approx([0.17, 0.29, 0.71], abs=0.005)
    # The intervals of the paper's example as the R package psych gives them.
    bounds = [
        (interval.low, interval.high)
        for interval in (found.one_way_interval, found.agreement_interval, found.consistency_interval)
    ]
    assert np.array(bounds) == pytest.approx(np.array([(-0.133, 0.723), (0.019, 0.761), (0.342, 0.946)]), abs=0.001)


def test_consistency_sees_no_bias_and_agreement_does() -> None:
    values = np.arange(12.0)
    shifted = intraclass(np.stack([values, values + 5], axis=1))
    assert shifted.consistency == pytest.approx(1.0)
    assert shifted.agreement == pytest.approx(2 * values.var(ddof=1) / (2 * values.var(ddof=1) + 5**2))


@pytest.mark.parametrize("values", [[[1, 2], [3, 4]], [[1], [2], [3]], [[1, 2], [3, np.nan], [5, 6]], [1, 2, 3]])
def test_intraclass_refuses_too_little(values: object) -> None:
    with pytest.raises(ParameterError, match="finite values of at least 3 samples"):
        intraclass(values)


def test_passing_bablok_gives_the_line_of_the_worked_example() -> None:
    numbers = np.array(CREATININE.split(), float).reshape(-1, 2)
    line = passing_bablok(numbers[:, 1], numbers[:, 0])
    assert [line.slope, line.intercept] == pytest.approx([1.0880089, -0.1171729], abs=1e-7)
    # mcr averages angles where the rank falls between two slopes.
    assert [line.slope_interval.low, line.slope_interval.high] == pytest.approx([1.0, 1.173005], abs=1e-4)
    assert [line.intercept_interval.low, line.intercept_interval.high] == pytest.approx([-0.2001149, -0.02], abs=1e-4)


def test_concordance_of_the_flow_meters() -> None:
    # 0.943 with standard error 0.029: Stata's and the R packages' figure for the data of Bland and Altman.
    assert lin_ccc(WRIGHT, MINI).ccc == pytest.approx(0.943, abs=0.0005)


def test_bootstrap_of_single_samples_has_the_width_of_the_normal_theory() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(5, 2, 200)
    (interval,) = cluster_bootstrap(
        np.arange(200), lambda drawn: [values[drawn].mean()], rng=np.random.default_rng(2), resamples_n=4000
    )
    half = 1.96 * values.std(ddof=1) / np.sqrt(200)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.05)
    assert (interval.high + interval.low) / 2 == pytest.approx(values.mean(), abs=0.1 * half)


def test_bootstrap_draws_whole_donors() -> None:
    # Every donor's samples are alike, so the standard error is that of donors, not of samples.
    rng = np.random.default_rng(3)
    donors = np.repeat(np.arange(40), 25)
    values = np.repeat(rng.normal(0, 1, 40), 25)
    (interval,) = cluster_bootstrap(
        donors, lambda drawn: [values[drawn].mean()], rng=np.random.default_rng(4), resamples_n=3000
    )
    means = values[::25]
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * means.std() / np.sqrt(40), rel=0.08)


def test_bootstrap_needs_two_donors_and_defined_statistics() -> None:
    with pytest.raises(ParameterError, match="at least 2 donors"):
        cluster_bootstrap(["a", "a"], lambda drawn: [0.0], rng=np.random.default_rng(0))
    rarely = cluster_bootstrap(
        [1, 2, 3], lambda drawn: [1.0 if 0 in drawn else np.nan], rng=np.random.default_rng(0), resamples_n=200
    )
    assert np.isnan(rarely[0].low)


def test_comparison_says_what_the_single_statistics_say() -> None:
    donors = [f"d{number % 5}" for number in range(17)]
    row = compare(WRIGHT, MINI, donors, scale="ratio", rng=np.random.default_rng(0), resamples_n=300)
    assert (row["samples_n"], row["donors_n"], row["bias_n"]) == (17, 5, 17)
    assert row["bias"] == pytest.approx(stats.gmean(np.array(WRIGHT) / np.array(MINI)))
    assert row["limit_high"] == pytest.approx(bland_altman_ratio(WRIGHT, MINI).upper_limit)
    assert row["r2"] == pytest.approx(stats.pearsonr(WRIGHT, MINI).statistic ** 2)
    assert row["icc_agreement"] == pytest.approx(intraclass(np.stack([WRIGHT, MINI], axis=1)).agreement)
    assert row["bias_donors_low"] < row["bias"] < row["bias_donors_high"]
    assert row["ccc_donors_low"] < row["ccc"] < row["ccc_donors_high"]


def test_comparison_of_too_little_is_undefined_and_has_the_same_columns() -> None:
    whole = compare(WRIGHT, MINI, range(17), scale="difference", rng=np.random.default_rng(0), resamples_n=100)
    few = compare([1.0, 2.0], [1.0, 3.0], ["a", "b"], scale="ratio", rng=np.random.default_rng(0))
    assert list(few) == list(whole)
    assert few["samples_n"] == 2
    assert all(np.isnan(few[name]) for name in ("bias", "ccc", "passing_bablok_slope", "icc_agreement"))
    zeros = compare([0.0, 1.0, 2.0], [0.0, 1.0, 2.0], "abc", scale="ratio", rng=np.random.default_rng(0))
    assert (zeros["bias_n"], zeros["ccc"]) == (0, pytest.approx(1.0))


@given(seed=st.integers(0, 10_000))
def test_trend_is_that_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = rng.integers(0, 12, 25).astype(float)
    values = 0.3 * times + rng.normal(0, 1, 25)
    found = trend(times, values, level=0.95)
    slope, _, low, high = stats.theilslopes(values, times, 0.95)
    assert found.slope == pytest.approx(slope)
    assert [found.interval.low, found.interval.high] == pytest.approx([low, high])
    assert found.p == pytest.approx(stats.kendalltau(times, values).pvalue)


def test_trend_is_not_swayed_by_an_odd_value_and_needs_times() -> None:
    times = np.arange(20.0)
    values = 2 * times
    values[4] = 1000.0
    assert trend(times, values).slope == pytest.approx(2.0)
    assert np.isnan(trend(np.zeros(6), np.arange(6.0)).slope)
    with pytest.raises(ParameterError, match="at least 5"):
        trend([1, 2, 3], [1, 2, 3])
