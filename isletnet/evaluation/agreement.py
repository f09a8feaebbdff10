"""One method of measuring against another: bias, limits of agreement, concordance, regression.

``found`` is the method under test and ``reference`` the one it is held against; both are 1-D with one value a sample.
A high R2 alone hides bias, so none of these numbers should stand alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from isletnet.errors import ParameterError
from isletnet.schemas import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class BlandAltman:
    """Bias with its interval, and the limits within which 95 % of differences fall.

    ``scale`` says what a difference is: ``"difference"`` in the unit of the measurement, or ``"ratio"``, where bias and
    limits are factors (1 = equal) and ``sd`` is that of the natural logarithm.
    """

    scale: str
    samples_n: int
    bias: float
    bias_interval: Interval
    sd: float
    lower_limit: float
    upper_limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A fitted line ``found = intercept + slope * reference`` with an interval for each number."""

    method: str
    samples_n: int
    slope: float
    intercept: float
    slope_interval: Interval
    intercept_interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Concordance:
    """Lin's concordance correlation coefficient and Pearson's correlation, which sees no bias."""

    samples_n: int
    ccc: float
    interval: Interval
    pearson: float


def bland_altman(found: ArrayLike, reference: ArrayLike, *, level: float = 0.95) -> BlandAltman:
    """Give the mean difference and the limits of agreement, bias +- 1.96 SD (Bland and Altman, Lancet 1986).

    Raises
    ------
    ParameterError
        Fewer than 3 samples, unequal lengths, or a value that is not finite.
    """
    x, y = _paired(found, reference)
    return _bland_altman(x - y, level=level)


def bland_altman_ratio(found: ArrayLike, reference: ArrayLike, *, level: float = 0.95) -> BlandAltman:
    """Give bias and limits as factors, from the differences of logarithms.

    This is the form for IEQ and volumes, whose error grows with the value.

    Raises
    ------
    ParameterError
        As for `bland_altman`, or a value that is not above 0.
    """
    x, y = _paired(found, reference)
    if min(x.min(), y.min()) <= 0:
        raise ParameterError("ratios need values above 0, but a value of 0 or below came; leave empty samples out")
    logs = _bland_altman(np.log(x / y), level=level)
    return BlandAltman(
        scale="ratio",
        samples_n=logs.samples_n,
        bias=math.exp(logs.bias),
        bias_interval=Interval(
            low=math.exp(logs.bias_interval.low),
            high=math.exp(logs.bias_interval.high),
            level=level,
            method="Student t of the logarithms",
        ),
        sd=logs.sd,
        lower_limit=math.exp(logs.lower_limit),
        upper_limit=math.exp(logs.upper_limit),
    )


def lin_ccc(found: ArrayLike, reference: ArrayLike, *, level: float = 0.95) -> Concordance:
    """Give the concordance correlation 2 s12 / (s1^2 + s2^2 + (m1 - m2)^2), Lin, Biometrics 1989.

    Moments divide by n, as in the paper. The interval uses the inverse hyperbolic tangent with the variance of the
    paper's correction of 2000. The coefficient is NaN where both series are one and the same constant; its interval is
    NaN where the series do not correlate at all.
    """
    x, y = _paired(found, reference)
    n = x.size
    shift = float(x.mean() - y.mean())
    variance_x, variance_y = float(x.var()), float(y.var())
    covariance = float(((x - x.mean()) * (y - y.mean())).mean())
    spread = variance_x + variance_y + shift**2
    ccc = 2.0 * covariance / spread if spread else math.nan
    scale = math.sqrt(variance_x * variance_y)
    pearson = covariance / scale if scale else math.nan
    method = "Fisher z of Lin's concordance"
    if not scale or abs(ccc) >= 1.0 or pearson == 0.0:
        edge = ccc if abs(ccc) >= 1.0 else math.nan
        interval = Interval(low=edge, high=edge, level=level, method=method)
        return Concordance(samples_n=n, ccc=ccc, interval=interval, pearson=pearson)
    u2 = shift**2 / scale
    variance_z = (
        (1 - pearson**2) * ccc**2 / ((1 - ccc**2) * pearson**2)
        + 2 * ccc**3 * (1 - ccc) * u2 / (pearson * (1 - ccc**2) ** 2)
        - ccc**4 * u2**2 / (2 * pearson**2 * (1 - ccc**2) ** 2)
    ) / (n - 2)
    half = _z(level) * math.sqrt(max(variance_z, 0.0))
    z = math.atanh(ccc)
    interval = Interval(low=math.tanh(z - half), high=math.tanh(z + half), level=level, method=method)
    return Concordance(samples_n=n, ccc=ccc, interval=interval, pearson=pearson)


def passing_bablok(found: ArrayLike, reference: ArrayLike, *, level: float = 0.95) -> Line:
    """Fit a line by the shifted median of all pairwise slopes (Passing and Bablok, J Clin Chem 1983).

    It asks for no normal errors and no error-free reference. The methods agree when the interval of the slope holds 1
    and that of the intercept holds 0. Slopes of exactly -1 are left out, and those below -1 shift the median, so the
    roles of the two methods may be swapped.

    Raises
    ------
    ParameterError
        As for `bland_altman`, or all samples are equal.
    """
    y, x = _paired(found, reference)
    first, second = np.triu_indices(x.size, k=1)
    run, rise = x[second] - x[first], y[second] - y[first]
    differs = (run != 0) | (rise != 0)
    with np.errstate(divide="ignore"):
        slopes = rise[differs] / run[differs]
    # A vertical pair is infinitely steep, upwards by convention.
    slopes = np.sort(np.where(np.isinf(slopes), np.inf, slopes))
    slopes = slopes[slopes != -1.0]
    if not slopes.size:
        raise ParameterError("a line needs samples that differ, but all of them are equal; add samples of other sizes")
    shift = int((slopes < -1.0).sum())
    slope = _shifted_median(slopes, shift)
    n = x.size
    c = _z(level) * math.sqrt(n * (n - 1) * (2 * n + 5) / 18.0)
    low_rank = round((slopes.size - c) / 2.0)
    high_rank = slopes.size - low_rank + 1
    low = float(slopes[min(max(low_rank + shift - 1, 0), slopes.size - 1)])
    high = float(slopes[min(max(high_rank + shift - 1, 0), slopes.size - 1)])
    method = "ranks of pairwise slopes"
    return Line(
        method="Passing-Bablok",
        samples_n=n,
        slope=slope,
        intercept=_intercept(x, y, slope),
        slope_interval=Interval(low=low, high=high, level=level, method=method),
        intercept_interval=Interval(low=_intercept(x, y, high), high=_intercept(x, y, low), level=level, method=method),
    )


def _intercept(x: NDArray[np.float64], y: NDArray[np.float64], slope: float) -> float:
    """Median intercept of a line; where few samples leave the slope without bound, the intercept has none either."""
    return float(np.median(y - slope * x)) if math.isfinite(slope) else -slope


def deming(found: ArrayLike, reference: ArrayLike, *, error_variance_ratio: float = 1.0, level: float = 0.95) -> Line:
    """Fit a line where both methods err (Deming); intervals by the jackknife (Linnet, Clin Chem 1993).

    Parameters
    ----------
    found, reference
        One value a sample.
    error_variance_ratio
        Error variance of ``found`` over that of ``reference``; 1 gives orthogonal regression.
    level
        Confidence level of the intervals.

    Raises
    ------
    ParameterError
        As for `bland_altman`, a ratio not above 0, or series that do not vary together.
    """
    y, x = _paired(found, reference)
    if not error_variance_ratio > 0:
        raise ParameterError(f"the error variance ratio must be above 0, but {error_variance_ratio} came")
    slope, intercept = _deming(x, y, error_variance_ratio)
    n = x.size
    keep = ~np.eye(n, dtype=bool)
    without = np.array([_deming(x[row], y[row], error_variance_ratio) for row in keep])
    pseudo = n * np.array([slope, intercept]) - (n - 1) * without
    half = float(stdtrit(n - 2, 0.5 + level / 2)) * pseudo.std(axis=0, ddof=1) / math.sqrt(n)
    centre = pseudo.mean(axis=0)
    slope_interval, intercept_interval = (
        Interval(low=float(c - h), high=float(c + h), level=level, method="jackknife")
        for c, h in zip(centre, half, strict=True)
    )
    return Line(
        method="Deming",
        samples_n=n,
        slope=slope,
        intercept=intercept,
        slope_interval=slope_interval,
        intercept_interval=intercept_interval,
    )


def relative_errors(found: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Give RE = abs(found - reference) / reference of each sample; NaN where the reference is 0."""
    x, y = _paired(found, reference, samples_min=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(y == 0, np.nan, np.abs(x - y) / y), dtype=np.float64)


def _bland_altman(differences: NDArray[np.float64], *, level: float) -> BlandAltman:
    n = differences.size
    bias, sd = float(differences.mean()), float(differences.std(ddof=1))
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * sd / math.sqrt(n)
    spread = _z(0.95) * sd
    return BlandAltman(
        scale="difference",
        samples_n=n,
        bias=bias,
        bias_interval=Interval(low=bias - half, high=bias + half, level=level, method="Student t"),
        sd=sd,
        lower_limit=bias - spread,
        upper_limit=bias + spread,
    )


def _deming(x: NDArray[np.float64], y: NDArray[np.float64], ratio: float) -> tuple[float, float]:
    covariance = float(((x - x.mean()) * (y - y.mean())).mean())
    if covariance == 0.0:
        raise ParameterError("a Deming line needs series that vary together, but their covariance is 0")
    tilt = float(y.var()) - ratio * float(x.var())
    slope = (tilt + math.sqrt(tilt**2 + 4 * ratio * covariance**2)) / (2 * covariance)
    return slope, float(y.mean() - slope * x.mean())


def _shifted_median(ordered: NDArray[np.float64], shift: int) -> float:
    middle, odd = divmod(ordered.size, 2)
    ranks = (middle + shift,) if odd else (middle - 1 + shift, middle + shift)
    return float(np.mean([ordered[min(rank, ordered.size - 1)] for rank in ranks]))


def _z(level: float) -> float:
    return float(ndtri(0.5 + level / 2))


def _paired(
    found: ArrayLike, reference: ArrayLike, *, samples_min: int = 3
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(found, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or x.size < samples_min:
        raise ParameterError(
            f"two series of equal length and at least {samples_min} samples are needed, "
            f"but shapes {x.shape} and {y.shape} came"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ParameterError("values must be finite, but NaN or infinity came; leave undefined samples out")
    return x, y
