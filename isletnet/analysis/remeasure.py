"""A result once more, with labels that a person corrected."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import ndimage

from isletnet import __version__
from isletnet.analysis import quality
from isletnet.analysis.measure import measure
from isletnet.analysis.shapes.exocrine import exocrine_volume_um3
from isletnet.analysis.shapes.touching import lobes
from isletnet.analysis.summarise import summarise_image
from isletnet.errors import ParameterError
from isletnet.schemas import (
    BACKGROUND,
    CLASS_NAMES,
    EXOCRINE,
    ISLET,
    AnalysisParameters,
    Disagreement,
    ImageResult,
    LabelledIslets,
    Provenance,
    QualityWarning,
    Segmentation,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Box = tuple[slice, slice]

LARGEST_ID = np.iinfo(np.int32).max


def remeasure(
    before: ImageResult,
    labels: NDArray[Any],
    *,
    kind: Literal["classes", "islets", "regions"],
    corrected_by: str,
    version: int,
) -> ImageResult:
    """Measure a picture anew by a person's labels, with the parameters and the pixel size of the result before.

    The labels are taken as drawn: nothing is cleaned, filled or dropped. An islet whose outline is as before keeps its
    id and its islet probability; one that the person drew has no probability (NaN), for no network saw it so.

    How far the networks differ is known only of outlines that a network drew. So each relative error of
    ``before.disagreement`` counts for the share of the tissue that the person left as it was. What the person drew
    counts as right: how far experts differ on it is not known here.

    Parameters
    ----------
    before
        The result that was corrected, of the network or of an earlier correction.
    labels
        Integers ``(height, width)``. ``classes``: 0 background, 1 islet, 2 exocrine tissue; islets that touch are split
        as the parameters say. ``islets``: a number above 0 for each islet, kept apart as drawn; exocrine tissue stays
        where no islet covers it, and tissue of islets that are no more becomes background. Pieces of one number that do
        not touch are islets of their own. ``regions`` is both at once: 0 background, 1 exocrine tissue, from 2 on
        a number for each islet, kept apart as drawn.
    kind
        What the numbers in ``labels`` mean.
    corrected_by, version
        Who drew them, and the number of the correction; both go into ``provenance.parameters``.

    Returns
    -------
    ImageResult
        Warnings about the picture are those of ``before``.

    Raises
    ------
    ParameterError
        The labels have another size than the picture, or numbers that they may not have.
    """
    um_per_px = before.calibration.um_per_px
    if um_per_px is None:
        raise ParameterError("a result has a pixel size, known or guessed; this one has none", subject="calibration")
    _check(labels, kind, before.micrograph.shape_px)
    known = um_per_px if before.calibration.is_known else None
    parameters = _parameters(before.provenance)
    if kind == "classes":
        labelled = _by_classes(labels, um_per_px=um_per_px, split_touching=parameters.split_touching)
    elif kind == "islets":
        labelled = _by_islets(labels, before.labelled.classes)
    else:
        labelled = _by_islets(np.where(labels > 1, labels, 0), np.where(labels == 1, np.uint8(EXOCRINE), BACKGROUND))
    table = measure(
        labelled,
        Segmentation(classes=labelled.classes, islet_probability=np.zeros_like(labelled.classes)),
        before.micrograph.pixels,
        um_per_px=known,
        smallest_islet_um=parameters.smallest_islet_um,
        image_sha256=before.provenance.image_sha256,
    )
    seen = before.table.set_index("id")["islet_probability"]
    table["islet_probability"] = seen.reindex(table["id"]).to_numpy(dtype=np.float64)
    apart = _what_is_left(before, labelled, table)
    summary = summarise_image(
        table,
        name=before.summary.name,
        classes=labelled.classes,
        um_per_px=known,
        parameters=parameters,
        disagreement=apart,
        warnings=_about_the_picture(before, known),
        exocrine_volume_um3=None if known is None else exocrine_volume_um3(labelled.classes, um_per_px=known),
    )
    found = quality.check_result(table, um_per_px=known, ieq_sampling=summary.ieq.sampling, disagreement=apart)
    made_with = before.provenance.parameters | {"corrected_by": corrected_by, "version": version}
    return ImageResult(
        micrograph=before.micrograph,
        calibration=before.calibration,
        labelled=labelled,
        table=table,
        summary=replace(summary, warnings=(*summary.warnings, *found)),
        disagreement=apart,
        provenance=replace(before.provenance, package_version=__version__, parameters=made_with),
    )


def _check(labels: NDArray[Any], kind: str, shape_px: tuple[int, int]) -> None:
    if labels.shape != shape_px or not np.issubdtype(labels.dtype, np.integer):
        raise ParameterError(
            f"expected whole numbers for a picture of {shape_px[1]} x {shape_px[0]} px, "
            f"came {labels.dtype} of shape {labels.shape}",
            subject="labels",
        )
    largest = len(CLASS_NAMES) - 1 if kind == "classes" else LARGEST_ID
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > largest:
        meaning = ", ".join(f"{number} {name}" for number, name in enumerate(CLASS_NAMES))
        numbers = f"from 2 to at most {largest}, 1 exocrine" if kind == "regions" else f"from 1 to at most {largest}"
        expected = meaning if kind == "classes" else f"islets {numbers}, 0 for none"
        raise ParameterError(f"expected {expected}; came numbers from {low} to {high}", subject="labels")


def _parameters(provenance: Provenance) -> AnalysisParameters:
    names = {field.name for field in fields(AnalysisParameters)}
    return AnalysisParameters(**{name: value for name, value in provenance.parameters.items() if name in names})


def _by_classes(labels: NDArray[Any], *, um_per_px: float, split_touching: bool) -> LabelledIslets:
    classes = labels.astype(np.uint8)
    parts: NDArray[np.int32] = ndimage.label(classes == ISLET, output=np.int32)[0]
    boxes: list[Box] = ndimage.find_objects(parts)
    masks = [parts[box] == number for number, box in enumerate(boxes, start=1)]
    pieces = lobes(masks, um_per_px=um_per_px) if split_touching else [mask.astype(np.int32) for mask in masks]
    return _labelled(classes, boxes, pieces)


def _by_islets(labels: NDArray[Any], classes_before: NDArray[np.uint8]) -> LabelledIslets:
    is_islet = labels > 0
    classes = np.where(classes_before == EXOCRINE, EXOCRINE, BACKGROUND).astype(np.uint8)
    classes[is_islet] = ISLET
    # Numbers without gaps first: a person's may be as large as they like.
    drawn = np.zeros(labels.shape, np.int32)
    drawn[is_islet] = np.unique(labels[is_islet], return_inverse=True)[1] + 1
    boxes: list[Box] = ndimage.find_objects(drawn)
    pieces = [ndimage.label(drawn[box] == number, output=np.int32)[0] for number, box in enumerate(boxes, start=1)]
    return _labelled(classes, boxes, pieces)


def _labelled(classes: NDArray[np.uint8], boxes: Sequence[Box], pieces: Sequence[NDArray[np.int32]]) -> LabelledIslets:
    """Number the pieces from 1 in the order of their first pixels, row by row."""
    parts, parts_n = np.zeros(classes.shape, np.int32), 0
    for box, piece in zip(boxes, pieces, strict=True):
        inside = piece > 0
        parts[box][inside] = piece[inside] + parts_n
        parts_n += int(piece.max(initial=0))
    inside = parts > 0
    _, first, number = np.unique(parts[inside], return_index=True, return_inverse=True)
    rank = np.empty(parts_n, np.int32)
    rank[np.argsort(first)] = np.arange(1, parts_n + 1)
    parts[inside] = rank[number]
    return LabelledIslets(classes=classes, islets=parts, islets_n=parts_n)


def _what_is_left(before: ImageResult, labelled: LabelledIslets, table: pd.DataFrame) -> Disagreement | None:
    """How far the networks differ, on the share that is as they drew it."""
    apart = before.disagreement
    if apart is None:
        return None
    is_left = table["id"].isin(before.table["id"]).to_numpy(dtype=bool)
    counts = table["is_islet"].to_numpy(dtype=bool)
    area_px = table["area_px"].to_numpy(dtype=np.float64)
    exocrine = labelled.classes == EXOCRINE
    is_left_there = (before.labelled.classes == EXOCRINE)[exocrine]
    shares = {
        # Volumes go with the area to the power 3/2, with and without a pixel size.
        "ieq": _share(area_px**1.5 * counts, is_left),
        "count": _share(counts.astype(np.float64), is_left),
        "islet_area": _share(area_px, is_left),
        "exocrine_area": _share(np.ones(is_left_there.size), is_left_there),
    }
    return replace(
        apart,
        ieq_relative=apart.ieq_relative * shares["ieq"],
        count_relative=apart.count_relative * shares["count"],
        islet_area_relative=apart.islet_area_relative * shares["islet_area"],
        exocrine_area_relative=apart.exocrine_area_relative * shares["exocrine_area"],
        between_members={name: value * shares[name] for name, value in apart.between_members.items()},
    )


def _share(weights: NDArray[np.float64], is_left: NDArray[np.bool_]) -> float:
    total = float(weights.sum())
    return float(weights[is_left].sum()) / total if total else 0.0


def _about_the_picture(before: ImageResult, um_per_px: float | None) -> tuple[QualityWarning, ...]:
    """Leave out what was said of the result before."""
    of_result = quality.check_result(
        before.table, um_per_px=um_per_px, ieq_sampling=before.summary.ieq.sampling, disagreement=before.disagreement
    )
    said = {(warning.code, warning.message) for warning in of_result}
    return tuple(one for one in before.summary.warnings if (one.code, one.message) not in said)
