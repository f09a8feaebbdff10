"""Tables and figures of the study that compares results with a reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from isletnet.evaluation.comparison import LEAST_SAMPLES_N, Scale, compare
from isletnet.studies.inputs.measurements import ALL, QUANTITIES, RATIO_QUANTITIES, size_class_names
from isletnet.views.agreement_figures import FittedLine, bland_altman_figure, identity_scatter, interval_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Over so wide a range small samples are only seen on logarithmic axes.
_LOG_RANGE = 20.0
_NOTHING = 1e-12


def agreement_table(
    pairs: pd.DataFrame, *, quantities: Sequence[str], seed: int, resamples_n: int, level: float
) -> pd.DataFrame:
    """Compare every quantity in every size class.

    Parameters
    ----------
    pairs
        From `measurements.paired`, with a column ``donor``.
    quantities
        Which of `measurements.QUANTITIES`.
    seed
        Each row draws from its own source, so it stays as it is when others are added.
    resamples_n, level
        See `isletnet.evaluation.clusters.cluster_bootstrap`.

    Returns
    -------
    pandas.DataFrame
        ``quantity``, ``size_class`` and what `isletnet.evaluation.comparison.compare` says.
    """
    rows = []
    for number, quantity in enumerate(quantities):
        own = pairs[pairs["quantity"] == quantity]
        for place, name in enumerate((ALL, *size_class_names())):
            some = own[own["size_class"] == name]
            if some.empty:
                continue
            rng = np.random.default_rng([seed, number, place])
            row = compare(
                some["found"],
                some["reference"],
                some["donor"],
                scale=_scale(quantity),
                rng=rng,
                resamples_n=resamples_n,
                level=level,
            )
            rows.append({"quantity": quantity, "size_class": name, **row})
    return pd.DataFrame(rows)


def donor_table(pairs: pd.DataFrame, *, quantities: Sequence[str]) -> pd.DataFrame:
    """Say for each donor how far found is from reference, all images together.

    Returns
    -------
    pandas.DataFrame
        ``quantity``, ``donor``, ``images_n``, ``found`` and ``reference`` (means per image), and ``ratio`` or
        ``difference`` with the standard deviation over images (of logarithms for ratios; NaN for one image).
    """
    rows = []
    for quantity in quantities:
        own = pairs[(pairs["quantity"] == quantity) & (pairs["size_class"] == ALL)]
        for donor, some in own.groupby("donor", sort=True):
            found, reference = some["found"].to_numpy(float), some["reference"].to_numpy(float)
            row = {
                "quantity": quantity,
                "donor": donor,
                "images_n": len(some),
                "found": found.mean(),
                "reference": reference.mean(),
            }
            if _scale(quantity) == "ratio":
                positive = (found > 0) & (reference > 0)
                logs = np.log(found[positive] / reference[positive])
                mean = float(reference.mean())
                row |= {"ratio": found.mean() / mean if mean else np.nan, "difference": np.nan, "sd": _sd(logs)}
            else:
                row |= {"ratio": np.nan, "difference": (found - reference).mean(), "sd": _sd(found - reference)}
            rows.append(row)
    columns = ["quantity", "donor", "images_n", "found", "reference", "ratio", "difference", "sd"]
    return pd.DataFrame(rows, columns=columns)


def brief_table(agreement: pd.DataFrame) -> pd.DataFrame:
    """Take from `agreement_table` what fits on a page: numbers with their intervals as text."""

    def bounded(row: pd.Series, name: str) -> str:
        if not np.isfinite(row[name]):
            return ""
        value, low, high = (_shown(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
        return f"{value} ({low} to {high})"

    rows = [
        {
            "quantity": row["quantity"],
            "size_class_um": row["size_class"],
            "n": row["samples_n"],
            "donors": row["donors_n"],
            "bias": f"{'× ' if row['scale'] == 'ratio' else ''}{bounded(row, 'bias')}" if row["bias_n"] else "",
            "CCC": bounded(row, "ccc"),
            "R²": f"{row['r2']:.3f}" if np.isfinite(row["r2"]) else "",
            "Passing-Bablok_slope": bounded(row, "passing_bablok_slope"),
            "ICC_agreement": bounded(row, "icc_agreement"),
        }
        for _, row in agreement.iterrows()
    ]
    return pd.DataFrame(rows)


def agreement_figures(
    pairs: pd.DataFrame, agreement: pd.DataFrame, *, found_name: str, reference_name: str
) -> Iterator[tuple[str, Figure, str]]:
    """Draw for each quantity the scatter with identity and the Bland-Altman plot, over whole images.

    Yields
    ------
    name, figure, caption
    """
    for quantity, own in pairs[pairs["size_class"] == ALL].groupby("quantity", sort=False):
        row = _whole_row(agreement, str(quantity))
        if row is None or row["samples_n"] < LEAST_SAMPLES_N:
            continue
        label = QUANTITIES[str(quantity)]
        found, reference = own["found"].to_numpy(float), own["reference"].to_numpy(float)
        # A sign for each donor says something only where donors have several images.
        groups = own["donor"].tolist() if own["donor"].nunique() < len(own) else None
        yield (
            f"scatter_{quantity}",
            identity_scatter(
                found,
                reference,
                found_label=f"{found_name}: {label}",
                reference_label=f"{reference_name}: {label}",
                groups=groups,
                lines=_lines(row),
                is_log=_is_wide(found, reference),
                note=f"n = {row['samples_n']}\nCCC = {row['ccc']:.3f}\nR² = {row['r2']:.3f}",
            ),
            f"{label}: {found_name} against {reference_name}; identity, Passing-Bablok and Deming lines.",
        )
        if row["bias_n"] >= LEAST_SAMPLES_N:
            is_ratio = row["scale"] == "ratio"
            yield (
                f"bland_altman_{quantity}",
                bland_altman_figure(
                    found,
                    reference,
                    bias=row["bias"],
                    limits=(row["limit_low"], row["limit_high"]),
                    bias_interval=(row["bias_low"], row["bias_high"]),
                    quantity_label=label,
                    is_ratio=is_ratio,
                    groups=groups,
                ),
                f"{label}: Bland-Altman plot of {'ratios' if is_ratio else 'differences'}, {found_name} against "
                f"{reference_name}; bias with its interval and limits of agreement (1.96 SD).",
            )


def class_figure(agreement: pd.DataFrame, quantity: str) -> Figure | None:
    """Draw the bias of a quantity by size class, where at least one class has enough samples."""
    own = agreement[(agreement["quantity"] == quantity) & (agreement["bias_n"] >= LEAST_SAMPLES_N)]
    if own.empty or set(own["size_class"]) == {ALL}:
        return None
    names = [name if name == ALL else f"{name} µm".replace("-", "–").replace(">=", "≥") for name in own["size_class"]]
    return _interval(own, names, [int(n) for n in own["bias_n"]], "found / reference, mean with its interval")


def donor_figure(donors: pd.DataFrame, quantity: str) -> Figure | None:
    """Draw the ratio of a quantity by donor with mean +- 1.96 SD of its images, where donors have several images."""
    own = donors[(donors["quantity"] == quantity) & np.isfinite(donors["ratio"]) & (donors["ratio"] > 0)]
    if own.empty or int(own["images_n"].max()) < 2:
        return None
    spread = np.exp(1.96 * own["sd"].fillna(0.0))
    bounded = pd.DataFrame(
        {"bias": own["ratio"], "bias_low": own["ratio"] / spread, "bias_high": own["ratio"] * spread}
    )
    return _interval(
        bounded, own["donor"].tolist(), [int(n) for n in own["images_n"]], "found / reference, with 1.96 SD of images"
    )


def _shown(value: float) -> str:
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    # A sum that should be 0 is some 1e-17; the sign of minus is no formula to a spreadsheet.
    return f"{0.0 if abs(value) < _NOTHING else value:.3g}".replace("-", "−")


def _interval(rows: pd.DataFrame, names: Sequence[str], counts: Sequence[int], label: str) -> Figure:
    return interval_figure(
        names,
        rows["bias"],
        rows["bias_low"],
        rows["bias_high"],
        label=label,
        reference=1.0,
        is_log=True,
        counts=counts,
    )


def _scale(quantity: str) -> Scale:
    scale: Literal["ratio", "difference"] = "ratio" if quantity in RATIO_QUANTITIES else "difference"
    return scale


def _whole_row(agreement: pd.DataFrame, quantity: str) -> pd.Series | None:
    own = agreement[(agreement["quantity"] == quantity) & (agreement["size_class"] == ALL)]
    return None if own.empty else own.iloc[0]


def _lines(row: pd.Series) -> list[FittedLine]:
    fits = (("Passing-Bablok", "passing_bablok"), ("Deming", "deming"))
    return [
        FittedLine(name=name, slope=float(row[f"{key}_slope"]), intercept=float(row[f"{key}_intercept"]))
        for name, key in fits
        if np.isfinite(row[f"{key}_slope"])
    ]


def _is_wide(found: np.ndarray, reference: np.ndarray) -> bool:
    values = np.concatenate([found, reference])
    return bool(values.min() > 0 and values.max() / values.min() > _LOG_RANGE)


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else np.nan
