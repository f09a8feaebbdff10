"""The headline numbers of pooled particles, each with its unit, method and intervals."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isletnet.analysis.summary.integrity import WHOLE_ISLETS
from isletnet.analysis.summary.pooling import Particles
from isletnet.analysis.summary.sampling import (
    count_interval,
    error_interval,
    estimate,
    joined_error,
    log_error,
    median_interval,
    relative_interval,
)
from isletnet.schemas import Disagreement, Estimate

UM3_PER_NL = 1e6

METHODS = {
    "sphere": "sphere on the diameter of equal area",
    "prolate": "prolate ellipsoid on the moment axes",
    "oblate": "oblate ellipsoid on the moment axes",
    "mean_diameter": "sphere on the mean of the moment axes",
    "revolution": "outline turned about its principal axis",
    "nucleator": "mean cube of the rays from the centroid to the outline",
    "vext": "spherical extrusion of the outline (Vext)",
    "vmod": "spherical extrusion with logarithmic flattening (Vmod)",
    "ricordi_long": "Ricordi 1990 classes of the diameter of equal area, exact factors",
    "ricordi_short": "Ricordi 1990 classes of the diameter of equal area, rounded factors",
    "ricordi_extended": "Ricordi 1990 classes of the diameter of equal area, continued beyond 400 um",
}


def islet_count(particles: Particles, apart: Disagreement | None, rule: str, level: float) -> Estimate:
    """Count the islets."""
    islets_n = int(particles.counted.sum())
    segmentation = relative_interval(islets_n, apart.count_relative if apart else None, level)
    return estimate(
        float(islets_n), "islets", rule, sampling=count_interval(islets_n, level), segmentation=segmentation
    )


def total_ieq(particles: Particles, apart: Disagreement | None, method: str, rule: str, level: float) -> Estimate:
    """Total IEQ of the counted islets by one method."""
    return _total(particles, particles.ieq(method), apart, "IEQ", f"{METHODS[method]}; {rule}", level)


def total_volume_nl(particles: Particles, apart: Disagreement | None, method: str, rule: str, level: float) -> Estimate:
    """Total volume of the counted islets by one method, in nL."""
    volume_nl = particles.volume_um3(method) / UM3_PER_NL
    return _total(particles, volume_nl, apart, "nL", f"{METHODS[method]}; {rule}", level)


def islet_index(particles: Particles, apart: Disagreement | None, method: str, level: float) -> Estimate:
    """IEQ per islet; below 1 the mean volume is less than that of a 150 um islet."""
    apart_relative = math.hypot(apart.ieq_relative, apart.count_relative) if apart else None
    text = f"IEQ ({METHODS[method]}) per islet, {WHOLE_ISLETS}"
    return _mean(particles, particles.ieq(method), apart_relative, "IEQ/islet", text, level)


def mean_diameter(particles: Particles, apart: Disagreement | None, level: float) -> Estimate:
    """Mean diameter of equal area, in um."""
    text = f"mean diameter of equal area, {WHOLE_ISLETS}"
    return _mean(particles, _diameter_um(particles), _diameter_relative(apart), "um", text, level)


def median_diameter(particles: Particles, apart: Disagreement | None, level: float) -> Estimate:
    """Median diameter of equal area, in um."""
    diameter_um = _diameter_um(particles)[particles.whole]
    text = f"median diameter of equal area, {WHOLE_ISLETS}"
    if not (diameter_um.size and particles.is_calibrated):
        return estimate(None, "um", text)
    value = float(np.median(diameter_um))
    segmentation = relative_interval(value, _diameter_relative(apart), level)
    return estimate(value, "um", text, sampling=median_interval(diameter_um, level), segmentation=segmentation)


def purity_by_area(
    particles: Particles,
    apart: Disagreement | None,
    *,
    islet_area: float,
    exocrine_parts: NDArray[np.float64],
    level: float,
) -> Estimate:
    """Share of islet area in all tissue area.

    Parameters
    ----------
    particles
        The pooled particles; each one, small and cut ones too, is islet tissue.
    apart
        Disagreement of the networks.
    islet_area
        Area of all islet tissue, in the unit of ``particles.area``.
    exocrine_parts
        Areas of the separate exocrine parts, in the same unit.
    level
        Confidence level.

    Returns
    -------
    Estimate
        None without tissue.
    """
    apart_relative = math.hypot(apart.islet_area_relative, apart.exocrine_area_relative) if apart else None
    text = "islet area over islet and exocrine area, all tissue in the picture"
    return _purity(particles.area, exocrine_parts, islet_area, float(exocrine_parts.sum()), apart_relative, text, level)


def purity_by_volume(
    particles: Particles,
    apart: Disagreement | None,
    *,
    exocrine_volume_um3: float | None,
    exocrine_parts: NDArray[np.float64],
    level: float,
) -> Estimate:
    """Share of islet volume in all tissue volume, both as Vext.

    Parameters
    ----------
    particles, apart, level
        As for `purity_by_area`.
    exocrine_volume_um3
        Vext of the exocrine tissue.
    exocrine_parts
        Areas of the separate exocrine parts; for the interval their volumes go as area to the power of 1.5.

    Returns
    -------
    Estimate
        None without tissue, calibration or exocrine volume.
    """
    text = "islet over islet and exocrine Vext, all tissue in the picture; depends on how the exocrine tissue clumps"
    if exocrine_volume_um3 is None or not particles.is_calibrated:
        return estimate(None, "fraction", text)
    apart_relative = math.hypot(apart.ieq_relative, 1.5 * apart.exocrine_area_relative) if apart else None
    volumes = np.nan_to_num(particles.volume_um3("vext"))
    parts = exocrine_parts**1.5
    return _purity(volumes, parts, float(volumes.sum()), exocrine_volume_um3, apart_relative, text, level)


def _total(
    particles: Particles,
    sizes: NDArray[np.float64],
    apart: Disagreement | None,
    unit: str,
    text: str,
    level: float,
) -> Estimate:
    counted = sizes[particles.counted]
    value = float(counted.sum())
    if not particles.is_calibrated or not math.isfinite(value):
        return estimate(None, unit, text)
    sampling = error_interval(value, log_error(counted, value), level)
    segmentation = relative_interval(value, apart.ieq_relative if apart else None, level)
    return estimate(value, unit, text, sampling=sampling, segmentation=segmentation)


def _mean(
    particles: Particles,
    values: NDArray[np.float64],
    apart_relative: float | None,
    unit: str,
    text: str,
    level: float,
) -> Estimate:
    whole = values[particles.whole]
    total = float(whole.sum())
    if not (whole.size and particles.is_calibrated and math.isfinite(total)):
        return estimate(None, unit, text)
    mean = total / whole.size
    error = log_error(whole - mean, total)
    sampling = error_interval(mean, error, level, method="mean of a sample, log scale, Student t")
    return estimate(mean, unit, text, sampling=sampling, segmentation=relative_interval(mean, apart_relative, level))


def _purity(
    islet_sizes: NDArray[np.float64],
    exocrine_sizes: NDArray[np.float64],
    islet_total: float,
    exocrine_total: float,
    apart_relative: float | None,
    text: str,
    level: float,
) -> Estimate:
    tissue = islet_total + exocrine_total
    if not tissue:
        return estimate(None, "fraction", text)
    value = islet_total / tissue
    islet_error, exocrine_error = (log_error(sizes, float(sizes.sum())) for sizes in (islet_sizes, exocrine_sizes))
    # Delta method: the odds are the ratio of two independent compound Poisson totals.
    error = joined_error(islet_error, exocrine_error) if islet_error and exocrine_error else None
    method = "islet and exocrine parts each compound Poisson, delta method, logit scale, Student t"
    sampling = error_interval(value, error, level, method=method, scale="logit")
    segmentation = relative_interval(value, apart_relative, level, scale="logit")
    return estimate(value, "fraction", text, sampling=sampling, segmentation=segmentation, scale="logit")


def _diameter_um(particles: Particles) -> NDArray[np.float64]:
    return particles.columns["equal_area_diameter_um"]


def _diameter_relative(apart: Disagreement | None) -> float | None:
    # A mean diameter goes as the root of area per islet, so half of the relative errors reaches it.
    return math.hypot(apart.islet_area_relative, apart.count_relative) / 2.0 if apart else None
