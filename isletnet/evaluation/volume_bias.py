"""Volumes found against volumes known: bias and spread of single islets and of totals, method by method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from isletnet.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeBias:
    """How volumes differ from the truth, as fractions of it (0.1 = 10 % too large).

    ``bias_fraction`` and ``sd_fraction`` are mean and standard deviation of ``found / true - 1`` over islets, and
    ``rms_fraction`` its root mean square. ``total_fraction`` is that of the sums, which large islets dominate, with
    its confidence interval.
    """

    islets_n: int
    bias_fraction: float
    sd_fraction: float
    rms_fraction: float
    total_fraction: float
    total_low_fraction: float
    total_high_fraction: float


def volume_bias(found: ArrayLike, true: ArrayLike, *, level: float = 0.95) -> VolumeBias:
    """Compare volumes islet by islet and as totals.

    Parameters
    ----------
    found, true
        1-D, one value an islet, in one unit; ``true`` above 0.
    level
        Confidence level of the interval of the total.

    Returns
    -------
    VolumeBias
        The interval is that of a ratio of sums by the delta method (Cochran 1977, section 6.3): the variance of the
        ratio ``R`` is ``n / (n - 1) sum((found - R true)²) / sum(true)²``. ``sd_fraction`` and the interval are NaN
        for a single islet.

    Raises
    ------
    ParameterError
        The lengths differ, there is no islet, or a true volume is not above 0.
    """
    one, truth = np.asarray(found, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if one.ndim != 1 or one.shape != truth.shape or not one.size:
        raise ParameterError(f"two series of one length are needed, but shapes {one.shape} and {truth.shape} came")
    if not (np.isfinite(one).all() and np.isfinite(truth).all() and (truth > 0).all()):
        raise ParameterError("true volumes must be above 0 and all volumes finite; leave out what is not known")
    n = one.size
    relative = one / truth - 1
    ratio = float(one.sum() / truth.sum())
    half = math.nan
    if n > 1:
        variance = n / (n - 1) * float(np.square(one - ratio * truth).sum()) / float(truth.sum()) ** 2
        half = float(ndtri(0.5 + level / 2)) * math.sqrt(variance)
    return VolumeBias(
        islets_n=n,
        bias_fraction=float(relative.mean()),
        sd_fraction=float(relative.std(ddof=1)) if n > 1 else math.nan,
        rms_fraction=float(np.sqrt(np.square(relative).mean())),
        total_fraction=ratio - 1,
        total_low_fraction=ratio - 1 - half,
        total_high_fraction=ratio - 1 + half,
    )


def bias_table(
    trials: pd.DataFrame, *, methods: Sequence[str], by: Sequence[str] = ("condition",), level: float = 0.95
) -> pd.DataFrame:
    """Give the bias of every method in every group.

    Parameters
    ----------
    trials
        One row an islet with ``true_ieq`` and ``ieq_<method>``; NaN leaves an islet out of that method.
    methods
        Names of methods.
    by
        Columns that make the groups.
    level
        Confidence level.

    Returns
    -------
    pandas.DataFrame
        One row a group and method: the columns of ``by``, ``method`` and the fields of `VolumeBias`. Groups stay in
        the order in which they come.
    """
    import pandas as pd

    rows = []
    for keys, group in trials.groupby(list(by), sort=False, observed=True):
        for method in methods:
            known = group.dropna(subset=[f"ieq_{method}", "true_ieq"])
            if known.empty:
                continue
            bias = volume_bias(known[f"ieq_{method}"], known["true_ieq"], level=level)
            rows.append({**dict(zip(by, keys, strict=True)), "method": method, **asdict(bias)})
    return pd.DataFrame(rows)


def best_methods(biases: pd.DataFrame, *, by: Sequence[str] = ("condition",)) -> pd.DataFrame:
    """Say which method to trust when: the smallest error of single islets, and of totals, in every group.

    Parameters
    ----------
    biases
        From `bias_table`.
    by
        The same groups.

    Returns
    -------
    pandas.DataFrame
        One row a group: the columns of ``by``, ``single_method`` with its ``single_rms_fraction``, ``total_method``
        with its ``total_fraction``, and ``total_ties``: other methods whose error of the total is no larger within
        the intervals.
    """
    import pandas as pd

    rows = []
    for keys, group in biases.groupby(list(by), sort=False, observed=True):
        single = group.loc[group["rms_fraction"].idxmin()]
        error = group["total_fraction"].abs()
        total = group.loc[error.idxmin()]
        half = (group["total_high_fraction"] - group["total_low_fraction"]) / 2
        ties = group[(error - half <= error.min() + half[total.name]) & (group.index != total.name)]
        rows.append(
            {
                **dict(zip(by, keys, strict=True)),
                "single_method": single["method"],
                "single_rms_fraction": single["rms_fraction"],
                "total_method": total["method"],
                "total_fraction": total["total_fraction"],
                "total_ties": ", ".join(ties["method"]),
            }
        )
    return pd.DataFrame(rows)
