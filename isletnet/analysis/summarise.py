"""Rows to results: counts, IEQ by every method, purity, sizes, integrity and intervals.

One image is a sample of one image, so both go the same way: `image_numbers`, then `pool`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isletnet.analysis.checks.result import too_few_islets
from isletnet.analysis.summary import estimates, integrity, pooling, preparation
from isletnet.analysis.summary.flat import flat_row
from isletnet.analysis.summary.pooling import ImageNumbers, Particles, image_numbers, numbers_of
from isletnet.analysis.summary.preparation import criteria_quantities
from isletnet.analysis.summary.weibull import fit_weibull
from isletnet.errors import ParameterError
from isletnet.schemas import (
    IEQ_METHODS,
    VOLUME_METHODS,
    AnalysisParameters,
    Disagreement,
    QualityWarning,
    SampleParameters,
    Summary,
)

__all__ = [
    "ImageNumbers",
    "check_parameters",
    "criteria_quantities",
    "flat_row",
    "image_numbers",
    "numbers_of",
    "pool",
    "prepare",
    "summarise_image",
]

UM2_PER_MM2 = 1e6


def summarise_image(
    table: pd.DataFrame,
    *,
    name: str,
    classes: NDArray[np.uint8],
    um_per_px: float | None,
    parameters: AnalysisParameters,
    disagreement: Disagreement | None,
    warnings: tuple[QualityWarning, ...],
    exocrine_volume_um3: float | None,
) -> Summary:
    """Summarise one image.

    Parameters
    ----------
    table
        One row per islet-class particle, as `measure` writes it.
    name
        Name of the image.
    classes
        uint8 ``(height, width)``, after cleaning.
    um_per_px
        Pixel size; None where it is unknown or a guess.
    parameters
        Size cut, border rule, IEQ method and confidence level.
    disagreement
        How far the networks differ, if it was measured.
    warnings
        What is known of the image's quality; handed through.
    exocrine_volume_um3
        Vext of the exocrine tissue in um3; None where it is unknown.

    Returns
    -------
    Summary
        Without a preparation and criteria; see `pool`.

    Raises
    ------
    ParameterError
        A parameter is out of its range.
    """
    numbers = image_numbers(
        table,
        name=name,
        classes=classes,
        um_per_px=um_per_px,
        disagreement=disagreement,
        warnings=warnings,
        exocrine_volume_um3=exocrine_volume_um3,
    )
    return pool([numbers], name=name, parameters=parameters)


def pool(
    images: Sequence[ImageNumbers],
    *,
    name: str,
    parameters: AnalysisParameters,
    sample: SampleParameters | None = None,
) -> Summary:
    """Summarise the images of one sample, and its preparation where that is known.

    Counts, IEQ, areas and volumes are sums over all images. For the preparation, images of the same aliquot are
    fields that add up, and different aliquots are replicates that are averaged (see `ImageNumbers`).

    Parameters
    ----------
    images
        At least one; all calibrated or none. Pixel sizes may differ.
    name
        Name of the sample.
    parameters
        Size cut, border rule, IEQ method and confidence level.
    sample
        What is known of the sample. Its own criteria are always judged; the default ones only where something is
        known of the preparation.

    Returns
    -------
    Summary

    Raises
    ------
    ParameterError
        No image, only some images calibrated, or a parameter out of its range.
    """
    check_parameters(parameters)
    particles = pooling.pooled_particles(images, parameters.border)
    image_of = np.repeat(np.arange(len(images)), [len(image.table) for image in images])[particles.counted]
    counted_ieq = particles.ieq(parameters.ieq_method)[particles.counted]
    ieq_by_image = np.bincount(image_of, weights=counted_ieq, minlength=len(images))
    apart = pooling.pooled_disagreement(images, ieq_by_image.tolist())
    summary = _summary(images, particles, apart, name, parameters)
    few = too_few_islets(summary.islets_n, summary.ieq.sampling) if len(images) > 1 else None
    if few is not None:
        summary = replace(summary, warnings=(*summary.warnings, few))
    return summary if sample is None else prepare(summary, sample, _aliquots(images, counted_ieq, image_of))


def prepare(summary: Summary, sample: SampleParameters, aliquots: preparation.Aliquots | None = None) -> Summary:
    """Tell what a summary means for the whole preparation, and judge it.

    Parameters
    ----------
    summary
        Of all images of the sample.
    sample
        What is known of it; see `pool`.
    aliquots
        IEQ of each replicate aliquot; None where all that was counted is one aliquot.

    Returns
    -------
    Summary
        With preparation and criteria.

    Raises
    ------
    ParameterError
        Something of the sample cannot be.
    """
    preparation.check_sample(sample)
    aliquots = aliquots or preparation.Aliquots(ieq=np.array([summary.ieq.value], np.float64), variance=np.zeros(1))
    differ = preparation.replicate_warnings(aliquots)
    whole = preparation.preparation(summary.ieq, summary.count, aliquots, sample)
    summary = replace(summary, preparation=whole, warnings=summary.warnings + differ)
    default = preparation.CIT_PHASE_3_CRITERIA if preparation.is_preparation_known(sample) else ()
    quantities = criteria_quantities(summary, sample)
    return replace(summary, criteria=preparation.judge(sample.criteria or default, quantities))


def _summary(
    images: Sequence[ImageNumbers],
    particles: Particles,
    apart: Disagreement | None,
    name: str,
    parameters: AnalysisParameters,
) -> Summary:
    level, method, cut_um = parameters.confidence_level, parameters.ieq_method, parameters.smallest_islet_um
    # Size classes and the small particles need a volume, which the Ricordi tables do not give.
    volume_method = method if method in VOLUME_METHODS else "sphere"
    rule = _rule(particles, parameters)
    um_per_px = pooling.pooled_um_per_px(images)
    image_area_px = sum(image.image_area_px for image in images)
    exocrine_parts = pooling.pooled_exocrine_parts(images)
    diameter_um = particles.columns["equal_area_diameter_um"]
    ieq_by_method = {one: estimates.total_ieq(particles, apart, one, rule, level) for one in IEQ_METHODS}
    islet_index = estimates.islet_index(particles, apart, method, level)
    return Summary(
        name=name,
        images_n=len(images),
        um_per_px=um_per_px,
        image_area_mm2=None if um_per_px is None else image_area_px * um_per_px**2 / UM2_PER_MM2,
        islets_n=int(particles.counted.sum()),
        small_particles_n=int(particles.small.sum()),
        border_islets_n=particles.border_islets_n,
        oversize_islets_n=int(np.count_nonzero(diameter_um[particles.counted] >= integrity.CLASS_BOUNDS_UM[-1])),
        ieq_method=method,
        ieq=ieq_by_method[method],
        count=estimates.islet_count(particles, apart, rule, level),
        purity_area=estimates.purity_by_area(
            particles,
            apart,
            islet_area=pooling.pooled_islet_area(images),
            exocrine_parts=exocrine_parts,
            level=level,
        ),
        purity_volume=estimates.purity_by_volume(
            particles,
            apart,
            exocrine_volume_um3=pooling.pooled_exocrine_volume_um3(images),
            exocrine_parts=exocrine_parts,
            level=level,
        ),
        islet_index=islet_index,
        mean_diameter=estimates.mean_diameter(particles, apart, level),
        median_diameter=estimates.median_diameter(particles, apart, level),
        islet_area_px=sum(image.islet_area_px for image in images),
        exocrine_area_px=sum(image.exocrine_area_px for image in images),
        ieq_by_method=ieq_by_method,
        volume_by_method_nl={
            one: estimates.total_volume_nl(particles, apart, one, rule, level) for one in VOLUME_METHODS
        },
        size_classes=integrity.size_classes(particles, volume_method=volume_method, smallest_islet_um=cut_um),
        fragmentation=integrity.fragmentation(
            particles, islet_index, volume_method=volume_method, smallest_islet_um=cut_um, level=level
        ),
        contact=integrity.contact(particles, level),
        weibull=fit_weibull(diameter_um[particles.whole], cut_um) if particles.is_calibrated else None,
        preparation=None,
        criteria=(),
        warnings=pooling.pooled_warnings(images),
        exocrine_volume_um3=pooling.pooled_exocrine_volume_um3(images),
    )


def _aliquots(
    images: Sequence[ImageNumbers], ieq: NDArray[np.float64], image_of: NDArray[np.intp]
) -> preparation.Aliquots:
    names = list(dict.fromkeys(image.aliquot for image in images))
    aliquot_of = np.array([names.index(image.aliquot) for image in images])[image_of]
    totals, variances = (
        np.bincount(aliquot_of, weights=ieq**power, minlength=len(names)).astype(np.float64) for power in (1, 2)
    )
    return preparation.Aliquots(ieq=totals, variance=variances)


def _rule(particles: Particles, parameters: AnalysisParameters) -> str:
    which = (
        f"islets of at least {parameters.smallest_islet_um:g} um"
        if particles.is_calibrated
        else "all particles of islet tissue, because the pixel size is unknown"
    )
    return f"{which}; those cut by the border are {'left out' if parameters.border == 'exclude' else 'counted'}"


def check_parameters(parameters: AnalysisParameters) -> None:
    """Refuse parameters that an analysis cannot go by.

    Raises
    ------
    ParameterError
        An unknown name, or a number out of its range.
    """
    if parameters.ieq_method not in IEQ_METHODS:
        raise ParameterError(
            f"expected one of {', '.join(IEQ_METHODS)}, got {parameters.ieq_method!r}", subject="ieq_method"
        )
    if parameters.border not in ("count", "exclude"):
        raise ParameterError(f"expected 'count' or 'exclude', got {parameters.border!r}", subject="border")
    if parameters.uncertainty not in ("networks", "flips", "none"):
        raise ParameterError(
            f"expected 'networks', 'flips' or 'none', got {parameters.uncertainty!r}", subject="uncertainty"
        )
    if not 0.0 < parameters.smallest_islet_um < math.inf:
        raise ParameterError(
            f"expected a diameter above 0 um, got {parameters.smallest_islet_um}", subject="smallest_islet_um"
        )
    if not 0.0 < parameters.confidence_level < 1.0:
        raise ParameterError(
            f"expected a level between 0 and 1, got {parameters.confidence_level}: write 95 % as 0.95",
            subject="confidence_level",
        )
