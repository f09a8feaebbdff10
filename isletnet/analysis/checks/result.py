"""Warnings about a result, each a small function that gives None where there is nothing to say."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isletnet.schemas import Disagreement, Interval, QualityWarning

MEDIAN_DIAMETER_RANGE_UM = (20.0, 600.0)
BORDER_SHARE, BORDER_ISLETS_MIN = 0.25, 4
# Half-width of the interval of IEQ over its value at which more islets should be counted; 100 islets give about 0.5.
WIDE_INTERVAL = 0.5
OVERSIZE_UM = 500.0
CONTACT_SHARE, CONTACT_ISLETS_MIN = 0.5, 4
DISAGREEMENT, SEVERE_DISAGREEMENT = 0.1, 0.25
DISAGREEMENT_NAMES = {"ieq": "IEQ", "count": "count", "islet_area": "islet area"}


def nothing_found(*, islets_n: int, particles_n: int) -> QualityWarning | None:
    """Say that no islet was found; this is a result, and may be right."""
    if islets_n:
        return None
    return QualityWarning(
        code="nothing_found",
        message="No islet was found." if not particles_n else "Only particles too small to be counted were found.",
        evidence={"particles_n": float(particles_n)},
    )


def many_cut_by_border(touches_border: NDArray[np.bool_]) -> QualityWarning | None:
    """Warn when many islets are cut by the border of the picture, so that their sizes are wrong."""
    cut_n, islets_n = int(touches_border.sum()), touches_border.size
    if cut_n < BORDER_ISLETS_MIN or cut_n <= BORDER_SHARE * islets_n:
        return None
    return QualityWarning(
        code="many_cut_by_border",
        message=f"{cut_n} of {islets_n} islets are cut by the border; sizes are too small, take a wider field.",
        evidence={"cut_n": float(cut_n), "islets_n": float(islets_n), "threshold_fraction": BORDER_SHARE},
    )


def too_few_islets(islets_n: int, ieq: Interval | None) -> QualityWarning | None:
    """Warn when so few islets were counted that chance alone makes the total IEQ uncertain.

    Judged by the sampling interval of the total IEQ: half its width on the log scale, as a factor above 1.
    """
    if ieq is None or not islets_n or not 0 < ieq.low < ieq.high:
        return None
    half_width = math.sqrt(ieq.high / ieq.low) - 1.0
    if half_width <= WIDE_INTERVAL:
        return None
    # The interval narrows with the square root of the number counted.
    needed_n = math.ceil(islets_n * (math.log(ieq.high / ieq.low) / (2 * math.log1p(WIDE_INTERVAL))) ** 2)
    return QualityWarning(
        code="too_few_islets",
        message=(
            f"{'1 islet gives' if islets_n == 1 else f'{islets_n} islets give'} IEQ only within a factor of "
            f"{1 + half_width:.1f}; count about {needed_n} islets."
        ),
        severity="info",
        evidence={"islets_n": float(islets_n), "relative_half_width": half_width, "needed_n": float(needed_n)},
    )


def sizes_implausible(diameters_um: NDArray[np.float64]) -> QualityWarning | None:
    """Warn when the particles are so small or large that the pixel size must be wrong.

    Parameters
    ----------
    diameters_um
        Equal-area diameters of all particles of the islet class, calibrated.
    """
    if not diameters_um.size:
        return None
    low, high = MEDIAN_DIAMETER_RANGE_UM
    median = float(np.median(diameters_um))
    if low <= median <= high:
        return None
    return QualityWarning(
        code="calibration_implausible",
        message=f"The median diameter of {median:.0f} um is implausible for islets; check the calibration.",
        severity="severe",
        evidence={"median_diameter_um": median, "low_um": low, "high_um": high},
    )


def oversize_islets(diameters_um: NDArray[np.float64]) -> QualityWarning | None:
    """Warn about single islets beyond the size that islets reach: merged islets, or no islets."""
    oversize_n = int((diameters_um > OVERSIZE_UM).sum())
    if not oversize_n:
        return None
    return QualityWarning(
        code="oversize_islets",
        message=(
            f"{'1 islet is' if oversize_n == 1 else f'{oversize_n} islets are'} larger than {OVERSIZE_UM:.0f} um; "
            "an outline may hold several islets."
        ),
        evidence={
            "oversize_n": float(oversize_n),
            "largest_diameter_um": float(diameters_um.max()),
            "threshold_um": OVERSIZE_UM,
        },
    )


def very_high_exocrine_contact(contact_fractions: NDArray[np.float64]) -> QualityWarning | None:
    """Warn when most islets are in close contact with exocrine tissue, which hides part of them."""
    if contact_fractions.size < CONTACT_ISLETS_MIN:
        return None
    mean = float(np.nanmean(contact_fractions))
    if not mean > CONTACT_SHARE:
        return None
    return QualityWarning(
        code="very_high_exocrine_contact",
        message=f"On average {mean:.0%} of an islet's outline borders on exocrine tissue; islet volume is understated.",
        evidence={"mean_contact_fraction": mean, "threshold": CONTACT_SHARE},
    )


def networks_disagree(disagreement: Disagreement | None) -> QualityWarning | None:
    """Warn when the networks, or one network on turned pictures, give different totals.

    What a network is known to err on any picture is no news of this one, and does not count.
    """
    if disagreement is None:
        return None
    parts = {name: disagreement.between_members.get(name, 0.0) for name in DISAGREEMENT_NAMES}
    worst = max(parts, key=lambda name: parts[name])
    if parts[worst] <= DISAGREEMENT:
        return None
    return QualityWarning(
        code="networks_disagree",
        message=(
            f"The networks disagree by {parts[worst]:.0%} in {DISAGREEMENT_NAMES[worst]}; check the outlines by eye."
        ),
        severity="severe" if parts[worst] > SEVERE_DISAGREEMENT else "warning",
        evidence={f"{name}_relative": value for name, value in parts.items()} | {"threshold": DISAGREEMENT},
    )
