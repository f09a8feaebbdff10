"""Whether a number changes over time: Theil-Sen slope and Kendall's test, which single odd values do not sway."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from isletnet.errors import ParameterError
from isletnet.schemas import Interval

LEAST_SAMPLES_N = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A change per unit of time with its interval, and Kendall's tau-b with its two-sided p."""

    samples_n: int
    slope: float
    interval: Interval
    tau: float
    p: float


def trend(times: ArrayLike, values: ArrayLike, *, level: float = 0.95) -> Trend:
    """Fit a trend (Sen, J Am Stat Assoc 1968): the median of the slopes of all pairs of different times.

    Parameters
    ----------
    times, values
        1-D, at least 5 samples. Samples of one time say nothing of the trend.
    level
        Confidence level.

    Returns
    -------
    Trend
        NaN throughout where all times are equal.

    Raises
    ------
    ParameterError
        Too few samples, unequal lengths, or a value that is not finite.
    """
    t, y = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if t.ndim != 1 or t.shape != y.shape or t.size < LEAST_SAMPLES_N:
        raise ParameterError(
            f"two series of equal length and at least {LEAST_SAMPLES_N} samples are needed, "
            f"but shapes {t.shape} and {y.shape} came"
        )
    if not (np.isfinite(t).all() and np.isfinite(y).all()):
        raise ParameterError("values must be finite, but NaN or infinity came; leave undefined samples out")
    method = "ranks of pairwise slopes"
    if np.ptp(t) == 0:
        nothing = Interval(low=math.nan, high=math.nan, level=level, method=method)
        return Trend(samples_n=t.size, slope=math.nan, interval=nothing, tau=math.nan, p=math.nan)
    first, second = np.triu_indices(t.size, k=1)
    run = t[second] - t[first]
    slopes = np.sort((y[second] - y[first])[run != 0] / run[run != 0])
    reach = ndtri(0.5 + level / 2) * math.sqrt(_variance(t, y))
    # The slope of rank (N - C) / 2, and the one as far from the other end; ranks count from 1.
    low = round((slopes.size - reach) / 2) - 1
    high = slopes.size - 1 - low
    from scipy.stats import kendalltau

    found = kendalltau(t, y)
    return Trend(
        samples_n=t.size,
        slope=float(np.median(slopes)),
        interval=Interval(
            low=float(slopes[max(low, 0)]), high=float(slopes[min(high, slopes.size - 1)]), level=level, method=method
        ),
        tau=float(found.statistic),
        p=float(found.pvalue),
    )


def _variance(t: np.ndarray, y: np.ndarray) -> float:
    """Variance of Kendall's S, less what ties take."""
    n = t.size
    ties = [np.unique(series, return_counts=True)[1] for series in (t, y)]
    whole = n * (n - 1) * (2 * n + 5)
    return float((whole - sum(int((k * (k - 1) * (2 * k + 5)).sum()) for k in ties)) / 18)
