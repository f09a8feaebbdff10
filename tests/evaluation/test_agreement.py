"""Published figures and independent formulas for the comparison of two methods."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from isletnet.errors import ParameterError
from isletnet.evaluation import agreement

# Peak expiratory flow of 17 people by two meters, first readings: Bland and Altman, Lancet 1986; i: 307-310, table 1.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def noisy(seed: int, n: int = 40) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    true = rng.gamma(4.0, 50.0, n) + 20
    return 1.1 * true * rng.lognormal(0, 0.08, n), true * rng.lognormal(0, 0.05, n)


def test_bland_altman_gives_the_figures_of_the_paper() -> None:
    result = agreement.bland_altman(WRIGHT, MINI)
    assert result.bias == pytest.approx(-2.1, abs=0.05)
    assert result.sd == pytest.approx(38.8, abs=0.05)
    # The paper takes 2 SD; the limits here are 1.96 SD.
    assert result.lower_limit == pytest.approx(-2.1 - 1.96 * 38.8, abs=0.15)
    assert result.upper_limit == pytest.approx(-2.1 + 1.96 * 38.8, abs=0.15)
    # The paper gives the 95 % interval of the bias as -22.0 to 17.8.
    assert result.bias_interval.low == pytest.approx(-22.0, abs=0.1)
    assert result.bias_interval.high == pytest.approx(17.8, abs=0.1)


def test_ratio_form_finds_a_proportional_bias_exactly() -> None:
    reference = np.array([10.0, 50.0, 400.0, 1000.0])
    result = agreement.bland_altman_ratio(1.2 * reference, reference)
    assert [result.bias, result.lower_limit, result.upper_limit] == pytest.approx([1.2, 1.2, 1.2])
    inverse = agreement.bland_altman_ratio(MINI, WRIGHT)
    forward = agreement.bland_altman_ratio(WRIGHT, MINI)
    assert inverse.bias == pytest.approx(1 / forward.bias)
    assert inverse.upper_limit == pytest.approx(1 / forward.lower_limit)


def test_concordance_is_one_minus_the_expected_square_over_that_of_independent_series() -> None:
    x, y = np.array(WRIGHT, float), np.array(MINI, float)
    independent = np.mean((x[:, None] - y[None, :]) ** 2)
    result = agreement.lin_ccc(x, y)
    assert result.ccc == pytest.approx(1 - np.mean((x - y) ** 2) / independent, rel=1e-9)
    assert result.pearson == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert result.interval.low < result.ccc < result.interval.high < 1


def test_concordance_sees_the_bias_that_correlation_hides() -> None:
    x, _ = noisy(1)
    assert agreement.lin_ccc(2 * x, x).pearson == pytest.approx(1.0)
    assert agreement.lin_ccc(2 * x, x).ccc < 0.75
    assert agreement.lin_ccc(x, x).ccc == pytest.approx(1.0)
    assert agreement.lin_ccc(-x, x).ccc < 0
    assert math.isnan(agreement.lin_ccc(np.ones(5), np.ones(5)).ccc)


def test_concordance_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    ratio, shift, correlation = 1.2, 0.3, 0.9
    truth = 2 * correlation * ratio / (1 + ratio**2 + shift**2)
    covered = 0
    for _ in range(400):
        x = rng.standard_normal(60)
        y = shift + ratio * (correlation * x + math.sqrt(1 - correlation**2) * rng.standard_normal(60))
        interval = agreement.lin_ccc(x, y).interval
        covered += interval.low <= truth <= interval.high
    assert 0.92 <= covered / 400 <= 0.98


def test_both_lines_find_an_exact_line() -> None:
    x = np.array([1.0, 2.0, 4.0, 7.0, 11.0, 20.0])
    for line in (agreement.passing_bablok(3.0 + 1.5 * x, x), agreement.deming(3.0 + 1.5 * x, x)):
        assert line.slope == pytest.approx(1.5)
        assert line.intercept == pytest.approx(3.0)
        assert [line.slope_interval.low, line.slope_interval.high] == pytest.approx([1.5, 1.5])


def test_passing_bablok_is_the_shifted_median_of_all_slopes() -> None:
    found, reference = noisy(3, n=12)
    slopes = sorted((found[j] - found[i]) / (reference[j] - reference[i]) for i in range(12) for j in range(i + 1, 12))
    shift = sum(slope < -1 for slope in slopes)
    line = agreement.passing_bablok(found, reference)
    assert len(slopes) == 66
    assert line.slope == pytest.approx((slopes[32 + shift] + slopes[33 + shift]) / 2)
    # C = 1.96 sqrt(12 * 11 * 29 / 18) = 28.6; the ranks are round((66 - 28.6) / 2) = 19 and 66 - 19 + 1 = 48.
    assert line.slope_interval.low == pytest.approx(slopes[18 + shift])
    assert line.slope_interval.high == pytest.approx(slopes[47 + shift])


@pytest.mark.filterwarnings("error")
def test_a_slope_without_bound_leaves_the_intercept_without_one() -> None:
    line = agreement.passing_bablok([1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0])
    assert line.slope_interval.high == math.inf
    assert line.intercept_interval.low == -math.inf


def test_passing_bablok_shrugs_off_an_outlier() -> None:
    x = np.linspace(1, 50, 30)
    y = 2 * x + 1
    y[5] = 5000.0
    assert agreement.passing_bablok(y, x).slope == pytest.approx(2.0, abs=0.01)


def test_equal_error_deming_is_the_first_principal_axis() -> None:
    found, reference = noisy(4)
    centred = np.stack([reference - reference.mean(), found - found.mean()])
    axis = np.linalg.svd(centred)[0][:, 0]
    assert agreement.deming(found, reference).slope == pytest.approx(axis[1] / axis[0])


def test_deming_becomes_least_squares_when_only_the_found_values_err() -> None:
    found, reference = noisy(5)
    slope, intercept = np.polyfit(reference, found, 1)
    line = agreement.deming(found, reference, error_variance_ratio=1e9)
    assert [line.slope, line.intercept] == pytest.approx([slope, intercept], rel=1e-5)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_swapping_the_methods_turns_each_line_over(seed: int) -> None:
    found, reference = noisy(seed, n=15)
    for fit in (agreement.passing_bablok, agreement.deming):
        forward, back = fit(found, reference), fit(reference, found)
        # The median of an even number of slopes is a mean of two, whose reciprocal is not the mean of reciprocals.
        assert forward.slope * back.slope == pytest.approx(1.0, rel=0.02)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(seed=st.integers(0, 100_000), factor=st.floats(0.01, 100.0))
def test_a_change_of_unit_changes_no_slope_ratio_or_concordance(seed: int, factor: float) -> None:
    found, reference = noisy(seed, n=15)
    for fit in (agreement.passing_bablok, agreement.deming):
        plain, scaled = fit(found, reference), fit(factor * found, factor * reference)
        assert scaled.slope == pytest.approx(plain.slope, rel=1e-6)
        assert scaled.intercept == pytest.approx(factor * plain.intercept, rel=1e-5, abs=1e-6 * factor)
    assert agreement.lin_ccc(factor * found, factor * reference).ccc == pytest.approx(
        agreement.lin_ccc(found, reference).ccc
    )
    assert agreement.bland_altman_ratio(factor * found, factor * reference).bias == pytest.approx(
        agreement.bland_altman_ratio(found, reference).bias
    )


def test_relative_errors_leave_an_empty_reference_undefined() -> None:
    errors = agreement.relative_errors([110.0, 45.0, 3.0], [100.0, 50.0, 0.0])
    assert errors.tolist() == pytest.approx([0.1, 0.1, math.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("found", "reference"),
    [([1, 2], [1, 2]), ([1, 2, 3], [1, 2, 3, 4]), ([1, 2, math.nan], [1, 2, 3]), ([[1, 2, 3]], [[1, 2, 3]])],
)
def test_series_that_cannot_be_compared_are_refused(found: list[float], reference: list[float]) -> None:
    for compare in (agreement.bland_altman, agreement.lin_ccc, agreement.passing_bablok, agreement.deming):
        with pytest.raises(ParameterError):
            compare(found, reference)


def test_lines_and_ratios_refuse_what_they_cannot_fit() -> None:
    with pytest.raises(ParameterError, match="above 0"):
        agreement.bland_altman_ratio([1, 2, 0], [1, 2, 3])
    with pytest.raises(ParameterError, match="equal"):
        agreement.passing_bablok([5, 5, 5], [7, 7, 7])
    with pytest.raises(ParameterError, match="covariance"):
        agreement.deming([5, 5, 5], [7, 8, 9])
    with pytest.raises(ParameterError, match="ratio"):
        agreement.deming([1, 2, 3], [1, 2, 3], error_variance_ratio=0)
