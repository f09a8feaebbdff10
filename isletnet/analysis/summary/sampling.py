"""Intervals: how far a number would move if another sample, or another network, were looked at.

Islets fall into a sample by chance. Their number is Poisson and each brings its own size, so a total of sizes is
a compound Poisson sum. Its variance is estimated by the sum of the squared sizes, whatever their distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, gammaincinv, ndtri, stdtrit

from isletnet.schemas import Estimate, Interval

Scale = Literal["log", "logit"]

COMPOUND_POISSON = "compound Poisson, log scale, Student t with Satterthwaite degrees of freedom"
SEGMENTATION = "disagreement of the networks, log-normal"


@dataclass(frozen=True, slots=True)
class LogError:
    """Standard error of a logarithm, with the degrees of freedom of its own estimate."""

    se: float
    df: float


def compound_poisson_cv(sizes: NDArray[np.float64]) -> float | None:
    """Relative standard error of the total of randomly sampled sizes.

    Parameters
    ----------
    sizes
        ``(n,)`` volumes, IEQ or areas, none negative.

    Returns
    -------
    float or None
        ``sqrt(sum(v^2)) / sum(v)``; None where the total is 0.
    """
    error = log_error(sizes, float(np.sum(sizes)))
    return None if error is None else error.se


def log_error(influences: NDArray[np.float64], total: float) -> LogError | None:
    """Standard error of ``log(total)`` from what each particle adds to it.

    For a total the influences are the sizes. For a mean they are the deviations from it, and `total` is the sum of
    the sizes. The degrees of freedom are Satterthwaite's: the variance ``sum(r^2)`` has itself the variance
    ``sum(r^4)``. A few huge islets leave few degrees of freedom.

    Parameters
    ----------
    influences
        ``(n,)`` influences, in the unit of `total`.
    total
        The sum that the error is relative to.

    Returns
    -------
    LogError or None
        None where the total is not positive or nothing varies.
    """
    squares = np.square(influences)
    variance = float(squares.sum())
    if not (total > 0.0 and variance > 0.0 and math.isfinite(variance)):
        return None
    # Relative to the largest square, so that um3 to the fourth power stays in range.
    scaled = squares / squares.max()
    return LogError(math.sqrt(variance) / total, 2.0 * float(scaled.sum()) ** 2 / float(np.square(scaled).sum()))


def joined_error(first: LogError, second: LogError) -> LogError:
    """Join the errors of two independent logarithms, for their sum or difference (Welch-Satterthwaite)."""
    variance = first.se**2 + second.se**2
    return LogError(math.sqrt(variance), variance**2 / (first.se**4 / first.df + second.se**4 / second.df))


def error_interval(
    value: float, error: LogError | None, level: float, method: str = COMPOUND_POISSON, scale: Scale = "log"
) -> Interval | None:
    """Interval of a positive number (log scale) or of a share between 0 and 1 (logit scale).

    Parameters
    ----------
    value
        The estimate; an interval needs it inside its range.
    error
        Standard error on the scale. None gives no interval.
    level
        Confidence level, 0..1.
    method
        Text for the interval.
    scale
        Where the interval is symmetrical.

    Returns
    -------
    Interval or None
        Never leaves the range of the scale.
    """
    if error is None or not _is_inside(value, scale):
        return None
    half = float(stdtrit(error.df, 0.5 + level / 2.0)) * error.se
    return _moved(value, -half, half, level, method, scale)


def relative_interval(
    value: float, relative: float | None, level: float, method: str = SEGMENTATION, scale: Scale = "log"
) -> Interval | None:
    """Interval from a relative standard error: log-normal, or the same error of the odds on the logit scale.

    Parameters
    ----------
    value
        The estimate.
    relative
        Relative standard error, 1 = 100 %. None or NaN gives no interval.
    level
        Confidence level, 0..1.
    method
        Text for the interval.
    scale
        ``log`` for a positive number, ``logit`` for a share.

    Returns
    -------
    Interval or None
        None where value or error is unknown.
    """
    if relative is None or not math.isfinite(relative) or not _is_inside(value, scale):
        return None
    half = float(ndtri(0.5 + level / 2.0)) * math.sqrt(math.log1p(relative**2))
    return _moved(value, -half, half, level, method, scale)


def count_interval(count: int, level: float) -> Interval:
    """Exact interval of a Poisson count (Garwood 1936)."""
    tail = (1.0 - level) / 2.0
    low = float(gammaincinv(count, tail)) if count else 0.0
    return Interval(low=low, high=float(gammaincinv(count + 1, 1.0 - tail)), level=level, method="Poisson, Garwood")


def share_interval(part: int, whole: int, level: float) -> Interval | None:
    """Exact interval of a share of `whole` things (Clopper and Pearson 1934). None where `whole` is 0."""
    if not whole:
        return None
    tail = (1.0 - level) / 2.0
    low = float(betaincinv(part, whole - part + 1, tail)) if part else 0.0
    high = float(betaincinv(part + 1, whole - part, 1.0 - tail)) if part < whole else 1.0
    return Interval(low=low, high=high, level=level, method="binomial, Clopper-Pearson")


def ratio_interval(above: int, below: int, level: float) -> Interval | None:
    """Exact interval of the ratio of two Poisson counts, given their sum.

    None where `below` is 0: the ratio is then undefined.
    """
    share = share_interval(above, above + below, level) if below else None
    if share is None:
        return None
    low, high = share.low / (1.0 - share.low), share.high / (1.0 - share.high)
    return Interval(low=low, high=high, level=level, method="ratio of two Poisson counts, Clopper-Pearson")


def median_interval(values: NDArray[np.float64], level: float) -> Interval | None:
    """Interval of a median between two ordered values. None where there are too few of them.

    Parameters
    ----------
    values
        ``(n,)`` values.
    level
        Confidence level, 0..1.

    Returns
    -------
    Interval or None
        Free of any distribution; the ranks come from the normal limit of the binomial.
    """
    half = float(ndtri(0.5 + level / 2.0)) * math.sqrt(values.size) / 2.0
    below = math.floor(values.size / 2.0 - half)
    if below < 1:
        return None
    ordered = np.sort(values)
    return Interval(low=float(ordered[below - 1]), high=float(ordered[-below]), level=level, method="order statistics")


def estimate(
    value: float | None,
    unit: str,
    method: str,
    *,
    sampling: Interval | None = None,
    segmentation: Interval | None = None,
    scale: Scale = "log",
) -> Estimate:
    """Build an estimate whose interval joins its parts in quadrature on the scale given.

    Parameters
    ----------
    value
        None or not finite means undefined: there is then no interval.
    unit
        Unit of the value.
    method
        How the value is made.
    sampling, segmentation
        The parts, each around the same value.
    scale
        Where the parts are joined.

    Returns
    -------
    Estimate
        One part alone is the whole interval.
    """
    if value is None or not math.isfinite(value):
        return Estimate(value=None, unit=unit, method=method)
    interval = sampling or segmentation
    if sampling and segmentation:
        interval = _quadrature(value, sampling, segmentation, scale)
    return Estimate(
        value=value, unit=unit, method=method, interval=interval, sampling=sampling, segmentation=segmentation
    )


def _quadrature(value: float, first: Interval, second: Interval, scale: Scale) -> Interval:
    low, high = (
        math.hypot(*(_to_scale(bound, scale) - _to_scale(value, scale) for bound in bounds))
        for bounds in ((first.low, second.low), (first.high, second.high))
    )
    method = f"sampling ({first.method}) and segmentation ({second.method}) in quadrature on the {scale} scale"
    return _moved(value, -low, high, first.level, method, scale)


def _moved(value: float, down: float, up: float, level: float, method: str, scale: Scale) -> Interval:
    low, high = (_from_scale(_to_scale(value, scale) + step, scale) for step in (down, up))
    return Interval(low=low, high=high, level=level, method=method)


def _is_inside(value: float, scale: Scale) -> bool:
    return 0.0 < value < (math.inf if scale == "log" else 1.0)


def _to_scale(value: float, scale: Scale) -> float:
    return math.log(value) if scale == "log" else math.log(value / (1.0 - value))


def _from_scale(position: float, scale: Scale) -> float:
    # Past e^700 a float ends; such a bound means "unknown" all the same.
    raised = math.exp(min(position, 700.0))
    return raised if scale == "log" else raised / (1.0 + raised)
