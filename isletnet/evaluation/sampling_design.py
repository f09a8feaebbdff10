"""How much to count: islets and images for a wanted interval, what replicates say, and whether intervals hold.

Islets fall into a sample by chance, so a total of sizes is a compound Poisson sum: its relative standard error is
``sqrt(k / n)`` for ``n`` islets, where ``k = mean(v²) / mean(v)²`` tells how unlike the sizes are (1 for counts).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv, chdtri, ndtri, stdtrit

from isletnet.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from isletnet.schemas import Interval

MOST_IMAGES_N = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateCv:
    """The coefficient of variation of one sample measured again, pooled over samples, with its interval."""

    samples_n: int
    replicates_n: int
    cv_fraction: float
    low_fraction: float
    high_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often intervals hold the truth, with the interval of that share; the rest lies below or above it."""

    islets_n: int
    draws_n: int
    covered_fraction: float
    low_fraction: float
    high_fraction: float
    below_fraction: float
    above_fraction: float
    median_half_width_fraction: float


def size_factor(sizes: ArrayLike) -> float:
    """Give ``k = mean(v²) / mean(v)²`` of the sizes of islets (volumes or IEQ); 1 where all are equal.

    Raises
    ------
    ParameterError
        There is no size, or one is negative or not finite, or all are 0.
    """
    values = _sizes(sizes)
    return float(np.square(values).mean() / values.mean() ** 2)


def half_width(factor: float, islets_n: ArrayLike, *, level: float = 0.95) -> NDArray[np.float64]:
    """Give the half width of the interval of a total, as a fraction of it (upper arm of the log scale).

    Parameters
    ----------
    factor
        From `size_factor`; 1 for counts.
    islets_n
        Numbers of islets counted, above 0.
    level
        Confidence level.

    Returns
    -------
    ndarray
        ``exp(z sqrt(k / n)) - 1``.
    """
    counted = np.asarray(islets_n, dtype=np.float64)
    return np.asarray(np.expm1(_z(level) * np.sqrt(factor / counted)))


def islets_needed(factor: float, wanted_half_width: float, *, level: float = 0.95) -> int:
    """Give the least number of islets whose interval is as narrow as wanted; see `half_width`.

    Raises
    ------
    ParameterError
        The half width is not above 0.
    """
    _check_width(wanted_half_width)
    # A hair less, so that a whole number does not become the next one by rounding.
    return math.ceil(factor * (_z(level) / math.log1p(wanted_half_width)) ** 2 - 1e-9)


def images_needed(totals: ArrayLike, wanted_half_width: float, *, level: float = 0.95) -> int | None:
    """Give the least number of images whose mean has an interval as narrow as wanted.

    Parameters
    ----------
    totals
        1-D: the quantity of each image of one sample, such as IEQ per mm²; at least 2 images.
    wanted_half_width
        Fraction of the mean.
    level
        Confidence level.

    Returns
    -------
    int or None
        The least ``m`` with ``exp(t(m - 1) cv / sqrt(m)) - 1`` at most as wide as wanted, where ``cv`` is the
        images' own; None where `MOST_IMAGES_N` do not suffice.

    Raises
    ------
    ParameterError
        Fewer than 2 images, a mean of 0, or a half width that is not above 0.
    """
    _check_width(wanted_half_width)
    values = np.asarray(totals, dtype=np.float64)
    if values.ndim != 1 or values.size < 2 or not values.mean() > 0:
        raise ParameterError(f"at least 2 images with something in them are needed, but {values.size} came")
    cv = float(values.std(ddof=1) / values.mean())
    images = np.arange(2, MOST_IMAGES_N + 1)
    widths = np.expm1(np.minimum(stdtrit(images - 1, 0.5 + level / 2) * cv / np.sqrt(images), 100.0))
    enough = np.flatnonzero(widths <= wanted_half_width)
    return int(images[enough[0]]) if enough.size else None


def replicate_cv(values: ArrayLike, samples: Sequence[object], *, level: float = 0.95) -> ReplicateCv | None:
    """Pool the coefficient of variation of replicates over samples.

    Parameters
    ----------
    values
        1-D, one value a replicate, above 0 on average in each sample.
    samples
        Which sample each is of. Samples with one replicate say nothing and are left out.
    level
        Confidence level of the interval, from the chi-square distribution of the pooled variance.

    Returns
    -------
    ReplicateCv or None
        ``sqrt(sum(df s² / mean²) / sum(df))``; for a single pair this is ``|x1 - x2| / (sqrt(2) mean)``. None without
        any sample of two.
    """
    found = np.asarray(values, dtype=np.float64)
    groups: dict[object, list[float]] = {}
    for sample, value in zip(samples, found.tolist(), strict=True):
        groups.setdefault(sample, []).append(value)
    replicated = [np.array(group) for group in groups.values() if len(group) > 1 and np.mean(group) > 0]
    if not replicated:
        return None
    df = np.array([group.size - 1 for group in replicated])
    squares = np.array([float(group.var(ddof=1) / group.mean() ** 2) for group in replicated])
    total_df = int(df.sum())
    cv = math.sqrt(float((df * squares).sum()) / total_df)
    tail = (1 - level) / 2
    return ReplicateCv(
        samples_n=len(replicated),
        replicates_n=sum(group.size for group in replicated),
        cv_fraction=cv,
        low_fraction=cv * math.sqrt(total_df / float(chdtri(total_df, tail))),
        high_fraction=cv * math.sqrt(total_df / float(chdtri(total_df, 1 - tail))),
    )


def replicate_table(
    values: ArrayLike,
    samples: Sequence[object],
    *,
    floor_fraction: float | None,
    wanted_half_width: float,
    level: float = 0.95,
) -> pd.DataFrame:
    """Say what replicates tell: their spread, the floor that chance sets, and how many are needed.

    Parameters
    ----------
    values, samples
        As for `replicate_cv`.
    floor_fraction
        Coefficient of variation that chance alone gives to one replicate, ``sqrt(k / n)``; None where it is not known.
    wanted_half_width, level
        As for `images_needed`.

    Returns
    -------
    pandas.DataFrame
        One row, or none where no sample has two replicates: the fields of `ReplicateCv`, ``floor_fraction``, and
        ``replicates_needed`` for the sample that needs most.
    """
    import pandas as pd

    found = replicate_cv(values, samples, level=level)
    groups = pd.Series(np.asarray(values, dtype=np.float64)).groupby(list(samples), sort=False)
    needed = [
        images_needed(group, wanted_half_width, level=level)
        for _, group in groups
        if len(group) > 1 and group.mean() > 0
    ]
    columns = (*ReplicateCv.__dataclass_fields__, "floor_fraction", "replicates_needed")
    if found is None:
        return pd.DataFrame(columns=list(columns))
    most = None if None in needed else max(one for one in needed if one is not None)
    return pd.DataFrame(
        [{**asdict(found), "floor_fraction": floor_fraction, "replicates_needed": most}], columns=list(columns)
    )


def coverage(
    sizes: ArrayLike,
    islets_n: int,
    interval: Callable[[NDArray[np.float64]], Interval | None],
    *,
    draws_n: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Coverage:
    """Draw samples of islets over and over and count how often an interval holds the true total.

    Parameters
    ----------
    sizes
        The population: sizes of islets, drawn with replacement.
    islets_n
        Mean number of islets in a sample; the number itself is Poisson.
    interval
        Gives the interval of the total of a sample. None counts as not holding it.
    draws_n
        How many samples.
    rng
        Source of randomness.
    level
        Confidence level of the share itself (Clopper and Pearson).

    Returns
    -------
    Coverage
        ``below_fraction`` counts intervals that lie wholly below the truth.
    """
    values = _sizes(sizes)
    truth = islets_n * float(values.mean())
    below = above = covered = 0
    widths = []
    for _ in range(draws_n):
        sample = values[rng.integers(values.size, size=int(rng.poisson(islets_n)))]
        found = interval(sample)
        if found is None:
            continue
        below += found.high < truth
        above += found.low > truth
        covered += found.low <= truth <= found.high
        widths.append(found.high / float(sample.sum()) - 1)
    tail = (1 - level) / 2
    return Coverage(
        islets_n=islets_n,
        draws_n=draws_n,
        covered_fraction=covered / draws_n,
        low_fraction=float(betaincinv(covered, draws_n - covered + 1, tail)) if covered else 0.0,
        high_fraction=float(betaincinv(covered + 1, draws_n - covered, 1 - tail)) if covered < draws_n else 1.0,
        below_fraction=below / draws_n,
        above_fraction=above / draws_n,
        median_half_width_fraction=float(np.median(widths)) if widths else math.nan,
    )


def _sizes(sizes: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(sizes, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all() or values.min() < 0 or not values.any():
        raise ParameterError("sizes of islets, finite and above 0, are needed; leave out islets without calibration")
    return values


def _check_width(wanted_half_width: float) -> None:
    if not wanted_half_width > 0:
        raise ParameterError(f"a half width above 0 was expected, but {wanted_half_width} came; 0.1 is 10 %")


def _z(level: float) -> float:
    return float(ndtri(0.5 + level / 2))
