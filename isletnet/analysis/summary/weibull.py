"""The Weibull distribution of islet diameters, fitted above a cut (Buchwald 2009; domain facts, section 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isletnet.errors import ParameterError
from isletnet.schemas import WeibullFit

FEWEST_ISLETS = 20
# Islets have a shape of about 1.3; beyond these bounds the sizes are not Weibull.
SHAPE_BOUNDS = (0.05, 30.0)


def fit_weibull(diameter_um: NDArray[np.float64], cut_um: float) -> WeibullFit | None:
    """Fit a Weibull by maximum likelihood to diameters that were only seen above a cut.

    The density is ``(k/L) (d/L)^(k-1) exp((c/L)^k - (d/L)^k)`` for ``d >= c``. For a given shape ``k`` the scale is
    ``L^k = mean(d^k - c^k)``, which leaves one equation for ``k``.

    Parameters
    ----------
    diameter_um
        ``(n,)`` diameters in um.
    cut_um
        The left truncation in um, above 0. Diameters below it are left out.

    Returns
    -------
    WeibullFit or None
        None with fewer than 20 islets, or where no shape in 0.05..30 fits (equal sizes, or a tail heavier than any
        Weibull).

    Raises
    ------
    ParameterError
        The cut is not above 0.
    """
    if not cut_um > 0.0:
        raise ParameterError(f"expected a cut above 0 um, got {cut_um}: give the smallest islet diameter")
    seen_um = diameter_um[diameter_um >= cut_um]
    if seen_um.size < FEWEST_ISLETS:
        return None
    log_ratio = np.log(seen_um / cut_um)
    shape = _root(log_ratio)
    if shape is None:
        return None
    scale_um = cut_um * float(np.mean(np.expm1(shape * log_ratio))) ** (1.0 / shape)
    return WeibullFit(shape=shape, scale_um=scale_um, cut_um=cut_um, islets_n=seen_um.size)


def _score(shape: float, log_ratio: NDArray[np.float64]) -> float:
    """Slope of the profile log-likelihood per islet, times the shape; it falls through 0 at the best shape."""
    excess = np.expm1(shape * log_ratio)
    return 1.0 + shape * (float(log_ratio.mean()) - float((excess + 1.0) @ log_ratio) / float(excess.sum()))


def _root(log_ratio: NDArray[np.float64]) -> float | None:
    low, high = SHAPE_BOUNDS
    if not log_ratio.max() > 0.0:
        return None
    score_low, score_high = _score(low, log_ratio), _score(high, log_ratio)
    if not score_low > 0.0 > score_high:
        return None
    # Illinois false position on the logarithm of the shape: keeps the bracket, and needs about 25 steps.
    kept, middle = 0, low
    for _ in range(200):
        weight = score_low / (score_low - score_high)
        middle = low * (high / low) ** weight
        score = _score(middle, log_ratio)
        if abs(score) < 1e-12 or high - low < 1e-12:
            break
        if score > 0.0:
            score_high *= 0.5 if kept > 0 else 1.0
            low, score_low, kept = middle, score, 1
        else:
            score_low *= 0.5 if kept < 0 else 1.0
            high, score_high, kept = middle, score, -1
    return middle
