"""Everything that one table row says of two methods: bias, limits, concordance, lines, intraclass correlation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isletnet.errors import ParameterError
from isletnet.evaluation.agreement import (
    BlandAltman,
    Line,
    bland_altman,
    bland_altman_ratio,
    deming,
    lin_ccc,
    passing_bablok,
    relative_errors,
)
from isletnet.evaluation.clusters import cluster_bootstrap
from isletnet.evaluation.intraclass import intraclass
from isletnet.schemas import Interval

Scale = Literal["ratio", "difference"]

LEAST_SAMPLES_N = 3
_BOUNDED = ("bias", "ccc", "r2", "passing_bablok_slope", "passing_bablok_intercept")


def compare(
    found: ArrayLike,
    reference: ArrayLike,
    donors: ArrayLike,
    *,
    scale: Scale,
    rng: np.random.Generator,
    resamples_n: int = 1000,
    level: float = 0.95,
) -> dict[str, float | int | str]:
    """Compare two methods.

    Parameters
    ----------
    found, reference
        1-D, one value a sample.
    donors
        1-D, the donor of each sample: intervals named ``_donors_`` draw whole donors.
    scale
        ``ratio``: bias and limits are factors, from the logarithms of samples where both are above 0 (``bias_n`` of
        them). ``difference``: they have the unit of the values.
    rng, resamples_n, level
        See `clusters.cluster_bootstrap`.

    Returns
    -------
    dict
        Always the same keys. NaN where a number is undefined: fewer than 3 samples, samples that do not vary, or a
        single donor.
    """
    x, y = np.asarray(found, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    names = np.asarray(donors)
    row: dict[str, float | int | str] = {
        "samples_n": int(x.size),
        "donors_n": int(np.unique(names).size),
        "mean_found": float(x.mean()) if x.size else math.nan,
        "mean_reference": float(y.mean()) if y.size else math.nan,
        "scale": scale,
    }
    bias = _bias(x, y, scale, level)
    row |= {
        "bias_n": bias.samples_n if bias else 0,
        "bias": bias.bias if bias else math.nan,
        **_bounds("bias", bias.bias_interval if bias else None),
        "limit_low": bias.lower_limit if bias else math.nan,
        "limit_high": bias.upper_limit if bias else math.nan,
        "median_relative_error": _median_relative_error(x, y),
    }
    row |= _concordance(x, y, level)
    row |= _line("passing_bablok", _defined(passing_bablok, x, y, level))
    row |= _line("deming", _defined(deming, x, y, level))
    row |= _intraclass(x, y, level)
    return row | _by_donors(x, y, names, scale, rng, resamples_n, level)


def _bias(x: NDArray[np.float64], y: NDArray[np.float64], scale: Scale, level: float) -> BlandAltman | None:
    if scale == "ratio":
        positive = (x > 0) & (y > 0)
        return bland_altman_ratio(x[positive], y[positive], level=level) if positive.sum() >= LEAST_SAMPLES_N else None
    return bland_altman(x, y, level=level) if x.size >= LEAST_SAMPLES_N else None


def _median_relative_error(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    errors = relative_errors(x, y) if x.size else np.array([])
    defined = errors[np.isfinite(errors)]
    return float(np.median(defined)) if defined.size else math.nan


def _concordance(x: NDArray[np.float64], y: NDArray[np.float64], level: float) -> dict[str, float]:
    if x.size < LEAST_SAMPLES_N:
        return {"ccc": math.nan, **_bounds("ccc", None), "pearson": math.nan, "r2": math.nan}
    found = lin_ccc(x, y, level=level)
    return {
        "ccc": found.ccc,
        **_bounds("ccc", found.interval),
        "pearson": found.pearson,
        "r2": found.pearson**2,
    }


def _defined(fit: Callable[..., Line], x: NDArray[np.float64], y: NDArray[np.float64], level: float) -> Line | None:
    """Give a line, or None where the samples define none."""
    if x.size < LEAST_SAMPLES_N:
        return None
    try:
        return fit(x, y, level=level)
    except ParameterError:
        return None


def _line(name: str, line: Line | None) -> dict[str, float]:
    return {
        f"{name}_slope": line.slope if line else math.nan,
        **_bounds(f"{name}_slope", line.slope_interval if line else None),
        f"{name}_intercept": line.intercept if line else math.nan,
        **_bounds(f"{name}_intercept", line.intercept_interval if line else None),
    }


def _intraclass(x: NDArray[np.float64], y: NDArray[np.float64], level: float) -> dict[str, float]:
    found = intraclass(np.stack([x, y], axis=1), level=level) if x.size >= LEAST_SAMPLES_N else None
    return {
        "icc_agreement": found.agreement if found else math.nan,
        **_bounds("icc_agreement", found.agreement_interval if found else None),
        "icc_consistency": found.consistency if found else math.nan,
        **_bounds("icc_consistency", found.consistency_interval if found else None),
    }


def _by_donors(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    names: NDArray[np.generic],
    scale: Scale,
    rng: np.random.Generator,
    resamples_n: int,
    level: float,
) -> dict[str, float]:
    intervals: tuple[Interval | None, ...] = (None,) * len(_BOUNDED)
    if x.size >= LEAST_SAMPLES_N and np.unique(names).size >= 2:
        intervals = cluster_bootstrap(
            names, lambda drawn: _drawn(x[drawn], y[drawn], scale), rng=rng, resamples_n=resamples_n, level=level
        )
    return {
        key: value
        for name, interval in zip(_BOUNDED, intervals, strict=True)
        for key, value in _bounds(f"{name}_donors", interval).items()
    }


def _drawn(x: NDArray[np.float64], y: NDArray[np.float64], scale: Scale) -> tuple[float, ...]:
    if x.size < LEAST_SAMPLES_N:
        return (math.nan,) * len(_BOUNDED)
    concordance = lin_ccc(x, y)
    line = _defined(passing_bablok, x, y, 0.95)
    if scale == "ratio":
        positive = (x > 0) & (y > 0)
        bias = math.exp(float(np.log(x[positive] / y[positive]).mean())) if positive.any() else math.nan
    else:
        bias = float((x - y).mean())
    slope, intercept = (line.slope, line.intercept) if line else (math.nan, math.nan)
    return bias, concordance.ccc, concordance.pearson**2, slope, intercept


def _bounds(name: str, interval: Interval | None) -> dict[str, float]:
    return {
        f"{name}_low": interval.low if interval else math.nan,
        f"{name}_high": interval.high if interval else math.nan,
    }
