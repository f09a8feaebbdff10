"""How alike several measurements of the same samples are: intraclass correlation (Shrout and Fleiss 1979)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import fdtri

from isletnet.errors import ParameterError
from isletnet.schemas import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Intraclass:
    """Intraclass correlations of a single measurement, with F intervals (McGraw and Wong 1996).

    ``one_way`` is ICC(1,1), each sample measured by other raters. ``agreement`` is ICC(2,1), the methods stand for
    many and their bias counts. ``consistency`` is ICC(3,1), only these methods, and their bias does not count.
    """

    samples_n: int
    methods_n: int
    one_way: float
    one_way_interval: Interval
    agreement: float
    agreement_interval: Interval
    consistency: float
    consistency_interval: Interval


def intraclass(values: ArrayLike, *, level: float = 0.95) -> Intraclass:
    """Give the intraclass correlations.

    Parameters
    ----------
    values
        ``(samples, methods)``, every sample measured by every method.
    level
        Confidence level of the intervals.

    Returns
    -------
    Intraclass
        NaN where all values are equal.

    Raises
    ------
    ParameterError
        Fewer than 3 samples or 2 methods, or a value that is not finite.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 3 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise ParameterError(
            f"finite values of at least 3 samples by at least 2 methods are needed, but shape {table.shape} came"
        )
    n, k = table.shape
    mean = table.mean()
    by_sample, by_method = table.mean(axis=1), table.mean(axis=0)
    between = k * float(((by_sample - mean) ** 2).sum()) / (n - 1)
    within = float(((table - by_sample[:, None]) ** 2).sum()) / (n * (k - 1))
    methods = n * float(((by_method - mean) ** 2).sum()) / (k - 1)
    rest = float(((table - by_sample[:, None] - by_method[None, :] + mean) ** 2).sum()) / ((n - 1) * (k - 1))
    whole = between + (k - 1) * rest + k * (methods - rest) / n
    agreement = _ratio(between - rest, whole)
    return Intraclass(
        samples_n=n,
        methods_n=k,
        one_way=_ratio(between - within, between + (k - 1) * within),
        one_way_interval=_f_interval(between, within, (n - 1, n * (k - 1)), k, level),
        agreement=agreement,
        agreement_interval=_agreement_interval(agreement, (between, methods, rest), (n, k), level),
        consistency=_ratio(between - rest, between + (k - 1) * rest),
        consistency_interval=_f_interval(between, rest, (n - 1, (n - 1) * (k - 1)), k, level),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _f_interval(between: float, error: float, freedom: tuple[int, int], k: int, level: float) -> Interval:
    if error <= 0:
        edge = 1.0 if between > 0 else math.nan
        return Interval(low=edge, high=edge, level=level, method="F")
    ratio = between / error
    tail = 0.5 + level / 2
    low, high = ratio / fdtri(*freedom, tail), ratio * fdtri(freedom[1], freedom[0], tail)
    return Interval(
        low=float((low - 1) / (low + k - 1)), high=float((high - 1) / (high + k - 1)), level=level, method="F"
    )


def _agreement_interval(
    icc: float, squares: tuple[float, float, float], size: tuple[int, int], level: float
) -> Interval:
    (between, methods, rest), (n, k) = squares, size
    if rest <= 0:
        # Without error only the bias of the methods is left, whose freedom is too little to say more.
        edge = icc if methods == 0 else math.nan
        return Interval(low=edge, high=edge, level=level, method="F, Satterthwaite")
    ratio = methods / rest
    share = n * (1 + (k - 1) * icc) - k * icc
    freedom = (k - 1) * (n - 1) * (k * icc * ratio + share) ** 2 / ((n - 1) * (k * icc * ratio) ** 2 + share**2)
    tail = 0.5 + level / 2
    upper, lower = float(fdtri(n - 1, freedom, tail)), float(fdtri(freedom, n - 1, tail))
    spread = k * methods + (k * n - k - n) * rest
    return Interval(
        low=n * (between - upper * rest) / (upper * spread + n * between),
        high=n * (lower * between - rest) / (spread + n * lower * between),
        level=level,
        method="F, Satterthwaite",
    )
