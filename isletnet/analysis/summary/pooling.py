"""What is kept of each image, and how the images of one sample are put together.

Areas, volumes and tables are pooled, never percentages: an image with more tissue weighs more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from isletnet.errors import ParameterError
from isletnet.schemas import EXOCRINE, IEQ_METHODS, ISLET, VOLUME_METHODS, Disagreement, ImageResult, QualityWarning

FLOAT_COLUMNS = (
    "area_px",
    "area_um2",
    "equal_area_diameter_um",
    "solidity",
    "exocrine_contact_fraction",
    *(f"volume_{method}_um3" for method in VOLUME_METHODS),
    *(f"ieq_{method}" for method in IEQ_METHODS),
)
BOOL_COLUMNS = ("touches_border", "is_islet")

# Exocrine parts only feed an interval, so they are told apart on a grid of at most this many points.
PARTS_GRID_PX = 500_000
SEVERITIES = ("info", "warning", "severe")
FEW_ISLETS = "too_few_islets"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageNumbers:
    """What a summary needs of one image; no pictures, so that hundreds fit in memory.

    ``table`` has the columns FLOAT_COLUMNS and BOOL_COLUMNS. ``um_per_px`` is None without calibration.
    ``exocrine_parts_px`` is float64 ``(k,)``, the areas of the separate exocrine parts.

    ``aliquot`` says how images belong together. Images of the same aliquot are fields of one sampled volume: they
    add up. Different aliquots are replicates, each of the sampled volume: they are averaged. By default all images
    are fields of one aliquot.
    """

    name: str
    um_per_px: float | None
    image_area_px: int
    islet_area_px: int
    exocrine_area_px: int
    exocrine_parts_px: NDArray[np.float64]
    exocrine_volume_um3: float | None
    table: pd.DataFrame
    disagreement: Disagreement | None
    warnings: tuple[QualityWarning, ...]
    aliquot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Particles:
    """The pooled table as arrays, one entry per islet-class particle.

    ``counted`` marks the islets that enter counts and IEQ, ``whole`` those of them that no border cuts (for size
    statistics), ``small`` the particles below the size cut. ``area`` is in um2, or in px without calibration.
    """

    is_calibrated: bool
    counted: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    small: NDArray[np.bool_]
    border_islets_n: int
    area: NDArray[np.float64]
    columns: dict[str, NDArray[np.float64]]

    def ieq(self, method: str) -> NDArray[np.float64]:
        """IEQ of every particle by one method."""
        return self.columns[f"ieq_{method}"]

    def volume_um3(self, method: str) -> NDArray[np.float64]:
        """Volume of every particle by one method."""
        return self.columns[f"volume_{method}_um3"]


def image_numbers(
    table: pd.DataFrame,
    *,
    name: str,
    classes: NDArray[np.uint8],
    um_per_px: float | None,
    disagreement: Disagreement | None,
    warnings: tuple[QualityWarning, ...],
    exocrine_volume_um3: float | None,
    aliquot: str = "",
) -> ImageNumbers:
    """Take from one image what a summary needs.

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
    disagreement
        How far the networks differ, if it was measured.
    warnings
        What is known of the image's quality.
    exocrine_volume_um3
        Vext of the exocrine tissue in um3; None where it is unknown.
    aliquot
        See `ImageNumbers`.

    Returns
    -------
    ImageNumbers
    """
    exocrine = classes == EXOCRINE
    exocrine_area_px = int(np.count_nonzero(exocrine))
    return ImageNumbers(
        name=name,
        um_per_px=um_per_px,
        image_area_px=classes.size,
        islet_area_px=int(np.count_nonzero(classes == ISLET)),
        exocrine_area_px=exocrine_area_px,
        exocrine_parts_px=_parts_px(exocrine, exocrine_area_px),
        exocrine_volume_um3=exocrine_volume_um3,
        table=table.loc[:, [*FLOAT_COLUMNS, *BOOL_COLUMNS]],
        disagreement=disagreement,
        warnings=warnings,
        aliquot=aliquot,
    )


def numbers_of(result: ImageResult, *, aliquot: str = "") -> ImageNumbers:
    """Take from a whole result what a summary of several images needs."""
    return image_numbers(
        result.table,
        name=result.summary.name,
        classes=result.labelled.classes,
        um_per_px=result.calibration.um_per_px if result.calibration.is_known else None,
        disagreement=result.disagreement,
        warnings=result.summary.warnings,
        exocrine_volume_um3=result.summary.exocrine_volume_um3,
        aliquot=aliquot,
    )


def pooled_particles(images: Sequence[ImageNumbers], border: Literal["count", "exclude"]) -> Particles:
    """Put the tables of several images into one set of arrays.

    Parameters
    ----------
    images
        At least one image; all calibrated or none.
    border
        ``exclude`` leaves particles that the border cuts out of every number but purity.

    Returns
    -------
    Particles

    Raises
    ------
    ParameterError
        No image, or only some of the images are calibrated.
    """
    is_calibrated = _is_calibrated(images)
    tables = [image.table for image in images]
    columns = {
        column: np.concatenate([table[column].to_numpy(np.float64) for table in tables]) for column in FLOAT_COLUMNS
    }
    is_cut, is_islet = (
        np.concatenate([table[column].to_numpy(np.bool_) for table in tables]) for column in BOOL_COLUMNS
    )
    is_kept = ~is_cut if border == "exclude" else np.ones_like(is_cut)
    return Particles(
        is_calibrated=is_calibrated,
        counted=is_islet & is_kept,
        whole=is_islet & ~is_cut,
        small=~is_islet & is_kept,
        border_islets_n=int(np.count_nonzero(is_islet & is_cut)),
        area=columns["area_um2" if is_calibrated else "area_px"],
        columns=columns,
    )


def pooled_um_per_px(images: Sequence[ImageNumbers]) -> float | None:
    """Pixel size of the images; where they differ, the root mean square by area, so that areas stay right."""
    sizes = [image.um_per_px for image in images]
    known = [size for size in sizes if size is not None]
    if not known or len(set(known)) == 1:
        return known[0] if known else None
    area_um2 = sum(size**2 * image.image_area_px for size, image in zip(known, images, strict=True))
    return math.sqrt(area_um2 / sum(image.image_area_px for image in images))


def pooled_islet_area(images: Sequence[ImageNumbers]) -> float:
    """Area of the islet tissue of all images, in um2, or in px without calibration."""
    return math.fsum(image.islet_area_px * (image.um_per_px or 1.0) ** 2 for image in images)


def pooled_exocrine_parts(images: Sequence[ImageNumbers]) -> NDArray[np.float64]:
    """Areas of the exocrine parts of all images, in um2, or in px without calibration."""
    return np.concatenate([image.exocrine_parts_px * (image.um_per_px or 1.0) ** 2 for image in images])


def pooled_exocrine_volume_um3(images: Sequence[ImageNumbers]) -> float | None:
    """Exocrine volume of all images in um3; None where one image with exocrine tissue does not know it."""
    if any(image.exocrine_volume_um3 is None and image.exocrine_area_px for image in images):
        return None
    return math.fsum(image.exocrine_volume_um3 or 0.0 for image in images)


def pooled_disagreement(images: Sequence[ImageNumbers], ieq_by_image: Sequence[float]) -> Disagreement | None:
    """Disagreement of the networks on the pooled totals.

    The networks err alike on images of one sample, so the errors add up in full instead of cancelling: the relative
    error of a total is the mean of the images' errors, weighted by what each adds. None where an image has none.

    Parameters
    ----------
    images
        The images.
    ieq_by_image
        IEQ that each image adds.

    Returns
    -------
    Disagreement or None
    """
    known = [image.disagreement for image in images if image.disagreement is not None]
    if len(known) < len(images):
        return None
    scales = [(image.um_per_px or 1.0) ** 2 for image in images]
    counts = [float(image.table["is_islet"].sum()) for image in images]
    islet_areas = [image.islet_area_px * scale for image, scale in zip(images, scales, strict=True)]
    exocrine_areas = [image.exocrine_area_px * scale for image, scale in zip(images, scales, strict=True)]
    return Disagreement(
        members=known[0].members,
        ieq_relative=_weighted_mean([one.ieq_relative for one in known], ieq_by_image),
        count_relative=_weighted_mean([one.count_relative for one in known], counts),
        islet_area_relative=_weighted_mean([one.islet_area_relative for one in known], islet_areas),
        exocrine_area_relative=_weighted_mean([one.exocrine_area_relative for one in known], exocrine_areas),
    )


def pooled_warnings(images: Sequence[ImageNumbers]) -> tuple[QualityWarning, ...]:
    """Give each kind of warning once: the most severe one, with the number of images that have it.

    Few islets in one of several images say nothing of their sum, which is judged anew.
    """
    if len(images) == 1:
        return images[0].warnings
    by_code: dict[str, list[tuple[str, QualityWarning]]] = {}
    for image in images:
        for warning in (one for one in image.warnings if one.code != FEW_ISLETS):
            by_code.setdefault(warning.code, []).append((image.name, warning))
    pooled = []
    for found in by_code.values():
        name, worst = max(found, key=lambda pair: SEVERITIES.index(pair[1].severity))
        images_n = len({name for name, _ in found})
        message = f"{images_n} of {len(images)} images, for one {name}: {worst.message}"
        pooled.append(replace(worst, message=message, evidence={**worst.evidence, "images_n": float(images_n)}))
    return tuple(pooled)


def _is_calibrated(images: Sequence[ImageNumbers]) -> bool:
    if not images:
        raise ParameterError("expected at least one image to summarise, got none")
    unknown = [image.name for image in images if image.um_per_px is None]
    if unknown and len(unknown) < len(images):
        raise ParameterError(
            f"expected all images of a sample to be calibrated or none, but {len(unknown)} of {len(images)} have no "
            f"pixel size: give um_per_px for them or leave them out",
            subject=unknown[0],
        )
    return not unknown


def _parts_px(exocrine: NDArray[np.bool_], area_px: int) -> NDArray[np.float64]:
    if not area_px:
        return np.zeros(0)
    step = math.ceil(math.sqrt(exocrine.size / PARTS_GRID_PX))
    labels, parts_n = ndimage.label(exocrine[::step, ::step])
    points = np.bincount(labels.ravel(), minlength=parts_n + 1)[1:].astype(np.float64)
    # Parts so thin that the grid misses them all are one part.
    return points * (area_px / points.sum()) if parts_n else np.array([float(area_px)])


def _weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float:
    pairs = [(value, weight) for value, weight in zip(values, weights, strict=True) if weight]
    total = math.fsum(weight for _, weight in pairs)
    return math.fsum(value * weight for value, weight in pairs) / total if total else math.nan
