"""Sizes, fragments and contact with exocrine tissue (domain facts, sections 3 and 4).

No formula for fragmentation or trapped islets is agreed on, so each number has its own name and definition.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isletnet.analysis.summary.pooling import Particles
from isletnet.analysis.summary.sampling import estimate, ratio_interval, share_interval
from isletnet.schemas import Estimate, SizeClass

# The classes of Ricordi 1990; the last one is open and was added, because the table ends at 400 um.
CLASS_BOUNDS_UM = (50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 350.0, 400.0)
SMALL_ISLET_UM = 100.0
LOW_SOLIDITY = 0.9
FREE_CONTACT_FRACTION = 0.25
EMBEDDED_CONTACT_FRACTION = 0.75
WHOLE_ISLETS = "of the islets that no border cuts"


def size_classes(particles: Particles, *, volume_method: str, smallest_islet_um: float) -> tuple[SizeClass, ...]:
    """Sort the counted islets into the classes of Ricordi 1990.

    Parameters
    ----------
    particles
        The pooled particles.
    volume_method
        Volume method of ``ieq_continuous`` and ``ieq_fraction``; ``ieq_ricordi`` is by the long table.
    smallest_islet_um
        The size cut. Below 50 um it opens one more class, up to 50 um, to which Ricordi gives no IEQ.

    Returns
    -------
    tuple of SizeClass
        Half-open by equal-area diameter, the last one from 400 um open. They add up to all counted islets. Empty
        without calibration.
    """
    if not particles.is_calibrated:
        return ()
    extra = (smallest_islet_um,) if smallest_islet_um < CLASS_BOUNDS_UM[0] else ()
    bounds = (*extra, *CLASS_BOUNDS_UM)
    place = np.searchsorted(bounds, particles.columns["equal_area_diameter_um"][particles.counted], side="right") - 1
    weights = (np.ones(place.size), *(particles.ieq(one)[particles.counted] for one in ("ricordi_long", volume_method)))
    islets_n, ricordi, continuous = (
        np.bincount(place, weights=weight, minlength=len(bounds)).astype(np.float64) for weight in weights
    )
    count_fraction, ieq_fraction = _shares(islets_n), _shares(continuous)
    return tuple(
        SizeClass(
            lower_um=lower,
            upper_um=upper,
            islets_n=int(islets_n[row]),
            ieq_ricordi=float(ricordi[row]),
            ieq_continuous=float(continuous[row]),
            count_fraction=float(count_fraction[row]),
            ieq_fraction=float(ieq_fraction[row]),
        )
        for row, (lower, upper) in enumerate(zip(bounds, (*bounds[1:], None), strict=True))
    )


def fragmentation(
    particles: Particles, islet_index: Estimate, *, volume_method: str, smallest_islet_um: float, level: float
) -> dict[str, Estimate]:
    """Give the numbers that tell whole islets from fragments.

    Parameters
    ----------
    particles
        The pooled particles.
    islet_index
        The islet index, which is one of these numbers.
    volume_method
        Volume method for the IEQ of the small particles.
    smallest_islet_um
        The size cut between islets and small particles.
    level
        Confidence level of the intervals.

    Returns
    -------
    dict of str to Estimate
        ``islet_index``, ``small_islet_fraction``, ``low_solidity_fraction``, ``small_particles_per_islet`` and
        ``small_particles_ieq``; those that need micrometres are None without calibration.
    """
    whole_n = int(particles.whole.sum())
    islets_n, small_n = int(particles.counted.sum()), int(particles.small.sum())
    is_small = particles.columns["equal_area_diameter_um"][particles.whole] < SMALL_ISLET_UM
    is_ragged = particles.columns["solidity"][particles.whole] < LOW_SOLIDITY
    small_ieq = float(np.nansum(particles.ieq(volume_method)[particles.small]))
    cut = f"{smallest_islet_um:g} um"
    known = particles.is_calibrated
    return {
        "islet_index": islet_index,
        "small_islet_fraction": _share(
            int(is_small.sum()), whole_n if known else 0, level, f"share of diameter < {SMALL_ISLET_UM:g} um"
        ),
        "low_solidity_fraction": _share(
            int(is_ragged.sum()), whole_n, level, f"share of solidity (area over hull area) < {LOW_SOLIDITY:g}"
        ),
        "small_particles_per_islet": estimate(
            small_n / islets_n if islets_n and known else None,
            "per islet",
            f"particles of islet tissue below {cut} over islets of at least {cut}",
            sampling=ratio_interval(small_n, islets_n, level),
        ),
        "small_particles_ieq": estimate(
            small_ieq if known else None, "IEQ", f"{volume_method} volume of the particles below {cut}, in no other IEQ"
        ),
    }


def contact(particles: Particles, level: float) -> dict[str, Estimate]:
    """Give the shares of free, mantled and embedded islets.

    Parameters
    ----------
    particles
        The pooled particles. Islets of unknown contact are left out.
    level
        Confidence level of the intervals.

    Returns
    -------
    dict of str to Estimate
        ``free_fraction``, ``mantled_fraction`` and ``embedded_fraction``, which add up to 1. No numeric cut is agreed
        on; these are an engineering choice.
    """
    shares = particles.columns["exocrine_contact_fraction"][particles.whole]
    shares = shares[np.isfinite(shares)]
    is_free, is_embedded = shares < FREE_CONTACT_FRACTION, shares > EMBEDDED_CONTACT_FRACTION
    free, embedded = f"{FREE_CONTACT_FRACTION:.0%}", f"{EMBEDDED_CONTACT_FRACTION:.0%}"
    kinds = {
        "free_fraction": (is_free, f"less than {free} of the outline"),
        "mantled_fraction": (~is_free & ~is_embedded, f"{free} to {embedded} of the outline"),
        "embedded_fraction": (is_embedded, f"more than {embedded} of the outline"),
    }
    return {
        name: _share(int(mask.sum()), shares.size, level, f"share with exocrine tissue at {part}")
        for name, (mask, part) in kinds.items()
    }


def _shares(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    total = parts.sum()
    return parts / total if total else np.zeros_like(parts)


def _share(part: int, whole: int, level: float, method: str) -> Estimate:
    sampling = share_interval(part, whole, level)
    return estimate(part / whole if whole else None, "fraction", f"{method}, {WHOLE_ISLETS}", sampling=sampling)
