"""Intervals where samples of one donor are alike: whole donors are drawn again, not samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isletnet.errors import ParameterError
from isletnet.schemas import Interval

Statistics = Callable[[NDArray[np.intp]], Sequence[float]]

# An interval is only given if nearly every draw defines the statistic.
LEAST_DEFINED_FRACTION = 0.9


def cluster_bootstrap(
    clusters: ArrayLike,
    statistics: Statistics,
    *,
    rng: np.random.Generator,
    resamples_n: int = 1000,
    level: float = 0.95,
) -> tuple[Interval, ...]:
    """Give percentile intervals of statistics by drawing clusters with replacement (Davison and Hinkley 1997, 3.8).

    Parameters
    ----------
    clusters
        1-D, the cluster (donor) of each sample.
    statistics
        From the numbers of the drawn samples to the statistics, NaN where a draw defines none; a sample drawn twice
        comes twice.
    rng
        Source of randomness.
    resamples_n
        How many draws.
    level
        Confidence level.

    Returns
    -------
    tuple of Interval
        One for each statistic, NaN where too few draws define it. With fewer than about ten clusters the intervals are
        too narrow.

    Raises
    ------
    ParameterError
        Fewer than 2 clusters.
    """
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    members = [np.flatnonzero(codes == code) for code in range(int(codes.max(initial=-1)) + 1)]
    if len(members) < 2:
        raise ParameterError(f"at least 2 donors are needed to draw from, but {len(members)} came")
    draws = np.array(
        [
            statistics(np.concatenate([members[one] for one in rng.integers(len(members), size=len(members))]))
            for _ in range(resamples_n)
        ],
        dtype=np.float64,
    )
    return tuple(_percentiles(column, level) for column in draws.T)


def _percentiles(values: NDArray[np.float64], level: float) -> Interval:
    defined = values[np.isfinite(values)]
    method = "bootstrap of donors"
    if defined.size < LEAST_DEFINED_FRACTION * values.size:
        return Interval(low=np.nan, high=np.nan, level=level, method=method)
    low, high = np.quantile(defined, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(low=float(low), high=float(high), level=level, method=method)
