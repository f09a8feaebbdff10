"""What stated certainty is worth: of islets, and of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike


def reliability(certainty: ArrayLike, is_right: ArrayLike, *, bins: Sequence[float]) -> pd.DataFrame:
    """Hold stated certainty against how often it is right.

    Parameters
    ----------
    certainty
        1-D, 0..1, one value an islet.
    is_right
        1-D bool of the same length.
    bins
        Bounds, increasing; half-open but for the last.

    Returns
    -------
    pandas.DataFrame
        One row a bin that holds anything: ``low``, ``high``, ``islets_n``, ``mean_certainty``, ``right_fraction``.
    """
    import pandas as pd

    stated, right = np.asarray(certainty, dtype=np.float64), np.asarray(is_right, dtype=bool)
    place = np.clip(np.searchsorted(bins, stated, side="right") - 1, 0, len(bins) - 2)
    rows = [
        {
            "low": bins[number],
            "high": bins[number + 1],
            "islets_n": int(own.sum()),
            "mean_certainty": float(stated[own].mean()),
            "right_fraction": float(right[own].mean()),
        }
        for number in range(len(bins) - 1)
        if (own := place == number).any()
    ]
    return pd.DataFrame(rows, columns=["low", "high", "islets_n", "mean_certainty", "right_fraction"])


def interval_hits(
    names: Sequence[str], truth: ArrayLike, values: ArrayLike, lows: ArrayLike, highs: ArrayLike
) -> pd.DataFrame:
    """Say for each picture whether its interval holds the truth, and how far off the value is beside its half width.

    Parameters
    ----------
    names
        Of the pictures.
    truth, values, lows, highs
        1-D, one value a picture; NaN where it is not known.

    Returns
    -------
    pandas.DataFrame
        One row a picture where everything is known and above 0: ``name``, ``truth``, ``value``, ``low``, ``high``,
        ``holds``, ``error_fraction`` (value over truth less 1) and ``stated_fraction`` (the half width of the interval
        on the log scale, as a fraction).
    """
    import pandas as pd

    table = pd.DataFrame({"name": list(names), "truth": truth, "value": values, "low": lows, "high": highs})
    numbers = table[["truth", "value", "low", "high"]].astype(float)
    table = table.assign(**numbers)[(numbers > 0).all(axis=1)].reset_index(drop=True)
    return table.assign(
        holds=(table["low"] <= table["truth"]) & (table["truth"] <= table["high"]),
        error_fraction=table["value"] / table["truth"] - 1,
        stated_fraction=np.sqrt(table["high"] / table["low"]) - 1,
    )
