"""From the counted sample to the whole preparation, and the release criteria (domain facts, section 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from isletnet.analysis.summary.sampling import estimate
from isletnet.errors import ParameterError
from isletnet.schemas import (
    IEQ_UM3,
    Criterion,
    CriterionResult,
    Estimate,
    Interval,
    Preparation,
    QualityWarning,
    SampleParameters,
    Summary,
)

UL_PER_ML = 1_000.0
UM3_PER_UL = 1e9
REPLICATES_DIFFER_P = 0.01

# Product release of the CIT phase 3 trial (Ricordi 2016), for a first infusion. Its limit of 7.5 mL a bag needs the
# bags, which nobody tells us. Endotoxin cannot be seen in a picture: it stays in the table as unknown.
CIT_PHASE_3_CRITERIA = (
    Criterion(name="Islet dose", quantity="ieq_per_kg", comparison=">=", limit=5_000.0, unit="IEQ/kg"),
    Criterion(name="Viability", quantity="viability_fraction", comparison=">=", limit=0.70, unit="fraction"),
    Criterion(
        name="Islet concentration",
        quantity="ieq_per_ml_settled_tissue",
        comparison=">=",
        limit=20_000.0,
        unit="IEQ/mL",
    ),
    Criterion(name="Settled tissue", quantity="settled_tissue_ml", comparison="<=", limit=15.0, unit="mL"),
    Criterion(name="Endotoxin", quantity="endotoxin_eu_per_kg", comparison="<=", limit=5.0, unit="EU/kg"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aliquots:
    """IEQ found in each replicate aliquot, with its compound Poisson variance; float64 ``(replicates,)``."""

    ieq: NDArray[np.float64]
    variance: NDArray[np.float64]


def check_sample(sample: SampleParameters) -> None:
    """Refuse what a sample cannot be.

    Raises
    ------
    ParameterError
        A volume, mass or dilution is not above 0, the endotoxin is below 0, the viability is no fraction, or a
        criterion cannot be judged.
    """
    positive = {
        "sample_volume_ul": sample.sample_volume_ul,
        "dilution_factor": sample.dilution_factor,
        "preparation_volume_ml": sample.preparation_volume_ml,
        "recipient_kg": sample.recipient_kg,
        "pancreas_g": sample.pancreas_g,
        "settled_tissue_ml": sample.settled_tissue_ml,
    }
    for name, value in positive.items():
        if value is not None and not 0.0 < value < math.inf:
            raise ParameterError(f"expected a number above 0, got {value}: correct it or leave it out", subject=name)
    endotoxin = sample.endotoxin_eu_per_ml
    if endotoxin is not None and not 0.0 <= endotoxin < math.inf:
        raise ParameterError(
            f"expected a number of at least 0, got {endotoxin}: correct it or leave it out",
            subject="endotoxin_eu_per_ml",
        )
    viability = sample.viability_fraction
    if viability is not None and not 0.0 <= viability <= 1.0:
        raise ParameterError(
            f"expected a fraction from 0 to 1, got {viability}: write 85 % as 0.85", subject="viability_fraction"
        )
    for criterion in sample.criteria:
        if criterion.comparison not in (">=", "<=") or not math.isfinite(criterion.limit):
            raise ParameterError(
                f"expected '>=' or '<=' and a finite limit, got {criterion.comparison!r} and {criterion.limit}: "
                "correct the criterion",
                subject=criterion.name,
            )


def preparation(ieq: Estimate, count: Estimate, aliquots: Aliquots, sample: SampleParameters) -> Preparation | None:
    """Scale what was counted to the whole preparation.

    ``IEQ_total = mean_j(IEQ_j / v) * V_preparation * DF`` over replicates j of the same sampled volume v. Dilution
    means dilution before sampling; stain added to the aliquot is none.

    Parameters
    ----------
    ieq, count
        Sums over all aliquots, with their intervals.
    aliquots
        IEQ of each replicate aliquot.
    sample
        What is known of the sample; ``sample_volume_ul`` is the volume of one aliquot.

    Returns
    -------
    Preparation or None
        None where the sampled volume or the volume of the preparation is unknown. The intervals are those of the
        counted sample, scaled; errors of the volumes themselves are not in them.
    """
    if sample.sample_volume_ul is None or sample.preparation_volume_ml is None:
        return None
    replicates_n = aliquots.ieq.size
    sampled_ul = replicates_n * sample.sample_volume_ul
    factor = sample.preparation_volume_ml * UL_PER_ML * sample.dilution_factor / sampled_ul
    rule = (
        f"mean of {replicates_n} aliquot(s) of {sample.sample_volume_ul:g} uL, times {sample.preparation_volume_ml:g} "
        f"mL, times dilution {sample.dilution_factor:g}"
    )
    total_ieq = _scaled(ieq, factor, "IEQ", f"{ieq.method}; {rule}")
    mean_ieq = float(aliquots.ieq.mean())
    has_cv = replicates_n > 1 and mean_ieq > 0.0
    return Preparation(
        total_ieq=total_ieq,
        total_islets=_scaled(count, factor, "islets", f"{count.method}; {rule}"),
        ieq_per_kg=_per(total_ieq, sample.recipient_kg, "IEQ/kg", "body weight of the recipient"),
        ieq_per_g_pancreas=_per(total_ieq, sample.pancreas_g, "IEQ/g", "weight of the pancreas"),
        islet_volume_ul=_scaled(total_ieq, IEQ_UM3 / UM3_PER_UL, "uL", "total IEQ times the volume of 1 IEQ"),
        replicate_cv_fraction=float(aliquots.ieq.std(ddof=1)) / mean_ieq if has_cv else None,
        replicates_n=replicates_n,
    )


def replicate_warnings(aliquots: Aliquots) -> tuple[QualityWarning, ...]:
    """Warn where replicates differ by more than the chance of sampling allows.

    Parameters
    ----------
    aliquots
        IEQ of each replicate aliquot, with its variance.

    Returns
    -------
    tuple of QualityWarning
        ``replicates_differ`` where the chi-squared test of equal IEQ gives p < 0.01, else empty.
    """
    replicates_n, variance = aliquots.ieq.size, float(aliquots.variance.mean())
    if replicates_n < 2 or not variance > 0.0:
        return ()
    chi_squared = float(np.square(aliquots.ieq - aliquots.ieq.mean()).sum()) / variance
    chance = float(chdtrc(replicates_n - 1, chi_squared))
    if chance >= REPLICATES_DIFFER_P:
        return ()
    message = (
        f"The {replicates_n} replicates differ by more than chance (p = {chance:.2g}). The interval is too narrow: "
        "mix the suspension, check the volumes and sample again."
    )
    return (QualityWarning(code="replicates_differ", message=message, evidence={"p": chance}),)


def criteria_quantities(summary: Summary, sample: SampleParameters) -> dict[str, float | None]:
    """Give every number that a release criterion may be set on.

    Parameters
    ----------
    summary
        The pooled summary, with its preparation.
    sample
        What is known of the sample.

    Returns
    -------
    dict of str to float or None
        Values by the names that `Criterion.quantity` uses, units in the names; None where unknown.
    """
    whole = summary.preparation
    total_ieq = whole.total_ieq.value if whole else None
    settled_ml = sample.settled_tissue_ml
    return {
        "ieq": summary.ieq.value,
        "islets_n": float(summary.islets_n),
        "islet_index": summary.islet_index.value,
        "mean_diameter_um": summary.mean_diameter.value,
        "purity_area_fraction": summary.purity_area.value,
        "purity_volume_fraction": summary.purity_volume.value,
        "total_ieq": total_ieq,
        "total_islets": whole.total_islets.value if whole else None,
        "ieq_per_kg": _value(whole.ieq_per_kg) if whole else None,
        "ieq_per_g_pancreas": _value(whole.ieq_per_g_pancreas) if whole else None,
        "islet_volume_ul": whole.islet_volume_ul.value if whole else None,
        "replicate_cv_fraction": whole.replicate_cv_fraction if whole else None,
        "settled_tissue_ml": settled_ml,
        "ieq_per_ml_settled_tissue": total_ieq / settled_ml if total_ieq is not None and settled_ml else None,
        "viability_fraction": sample.viability_fraction,
        "endotoxin_eu_per_kg": _endotoxin_eu_per_kg(sample),
    }


def _endotoxin_eu_per_kg(sample: SampleParameters) -> float | None:
    """What the recipient gets with the whole suspension, in endotoxin units per kg."""
    if sample.endotoxin_eu_per_ml is None or sample.preparation_volume_ml is None or sample.recipient_kg is None:
        return None
    return sample.endotoxin_eu_per_ml * sample.preparation_volume_ml / sample.recipient_kg


def judge(criteria: Sequence[Criterion], quantities: dict[str, float | None]) -> tuple[CriterionResult, ...]:
    """Compare each criterion with what was found, by the value alone and not its interval.

    Parameters
    ----------
    criteria
        The criteria.
    quantities
        From `criteria_quantities`.

    Returns
    -------
    tuple of CriterionResult
        ``passed`` is None where the value is unknown.

    Raises
    ------
    ParameterError
        A criterion is set on a quantity that does not exist.
    """
    return tuple(_judged(criterion, quantities) for criterion in criteria)


def is_preparation_known(sample: SampleParameters) -> bool:
    """Whether enough is said of the preparation to judge it by the default criteria."""
    known = (
        sample.preparation_volume_ml,
        sample.recipient_kg,
        sample.settled_tissue_ml,
        sample.viability_fraction,
        sample.endotoxin_eu_per_ml,
    )
    return any(value is not None for value in known)


def _judged(criterion: Criterion, quantities: dict[str, float | None]) -> CriterionResult:
    if criterion.quantity not in quantities:
        raise ParameterError(
            f"expected one of {', '.join(quantities)}, got {criterion.quantity!r}: correct the criterion's quantity",
            subject=criterion.name,
        )
    value = quantities[criterion.quantity]
    if value is None:
        return CriterionResult(criterion=criterion, value=None, passed=None)
    passed = value >= criterion.limit if criterion.comparison == ">=" else value <= criterion.limit
    return CriterionResult(criterion=criterion, value=value, passed=passed)


def _scaled(base: Estimate, factor: float, unit: str, method: str) -> Estimate:
    if base.value is None:
        return estimate(None, unit, method)
    return Estimate(
        value=base.value * factor,
        unit=unit,
        method=method,
        interval=_scaled_interval(base.interval, factor),
        sampling=_scaled_interval(base.sampling, factor),
        segmentation=_scaled_interval(base.segmentation, factor),
    )


def _scaled_interval(base: Interval | None, factor: float) -> Interval | None:
    if base is None:
        return None
    return Interval(low=base.low * factor, high=base.high * factor, level=base.level, method=base.method)


def _per(total: Estimate, divisor: float | None, unit: str, what: str) -> Estimate | None:
    return None if divisor is None else _scaled(total, 1.0 / divisor, unit, f"total IEQ over {divisor:g}, the {what}")


def _value(maybe: Estimate | None) -> float | None:
    return None if maybe is None else maybe.value
