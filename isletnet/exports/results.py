"""The files of a request: those of each image, and those for all of them, by sample.

Some hold what was measured. The others can be made from these at any time: `drawn_image_files`, `write_drawn`.

A sample that cannot be pooled costs nobody a result: its images stand each by itself, and the reason is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isletnet.analysis.summarise import pool
from isletnet.errors import ExportError, ParameterError
from isletnet.exports.batch import write_batch
from isletnet.exports.folder import (
    OVERLAY_FILE,
    StoredImage,
    measured_files,
    overlay_png,
    read_image,
    read_labelled,
    read_numbers,
    read_table,
)
from isletnet.exports.geojson import qupath_geojson
from isletnet.exports.outlines import trace
from isletnet.exports.records import from_plain, to_json
from isletnet.exports.rois import imagej_rois
from isletnet.exports.samples import Sample
from isletnet.schemas import AnalysisParameters, ImageResult, QualityWarning, SampleParameters, Summary

ROIS_FILE, CONTOURS_FILE = "rois.zip", "contours.geojson"
PICTURE_FILE = "picture.jpg"

LONGEST_SIDE_PX, JPEG_QUALITY = 4096, 90
UNNAMED_SAMPLE = "All images"
# Images of one sample must have been measured alike in these respects.
_POOLED_BY = ("smallest_islet_um", "border", "ieq_method", "confidence_level")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneImage:
    """An analysed image of a request, with what its sender said of it.

    ``stored.folder`` holds its table and its label and overlay pictures.
    """

    number: int
    stored: StoredImage
    parameters: AnalysisParameters = AnalysisParameters()
    sample: SampleParameters = SampleParameters()
    aliquot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedImage:
    """An image of a request that has no result, and why."""

    number: int
    name: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleResult:
    """The images of one sample, pooled; else ``summary`` is None, and ``code`` and ``message`` say why."""

    name: str
    images: tuple[int, ...]
    summary: Summary | None
    code: str | None = None
    message: str | None = None


def picture_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Write a micrograph for a screen.

    Parameters
    ----------
    pixels
        RGB uint8 ``(height, width, 3)``.

    Returns
    -------
    bytes
        A JPEG of quality 90 whose longest side is at most 4096 px; nothing but pixels.
    """
    picture = Image.fromarray(pixels)
    picture.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX), Image.Resampling.BOX)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def kept_image_files(result: ImageResult) -> dict[str, bytes]:
    """Make the picture and what `isletnet.exports.folder.measured_files` makes.

    Parameters
    ----------
    result
        The whole result.

    Returns
    -------
    dict of str to bytes
        The content of each file, by its name; ``summary.json`` comes last.
    """
    return {PICTURE_FILE: picture_jpeg(result.micrograph.pixels), **measured_files(result)}


def drawn_image_files(folder: Path) -> dict[str, bytes]:
    """Make the overlay and the outlines for other programs from the files of `kept_image_files`.

    Parameters
    ----------
    folder
        Has these files.

    Returns
    -------
    dict of str to bytes
        The content of each file, by its name.

    Raises
    ------
    ExportError
        A file is absent or damaged.
    """
    record, labelled, table = read_image(folder).record, read_labelled(folder), read_table(folder)
    outlines = trace(labelled)
    sha256 = record.provenance.image_sha256
    return {
        OVERLAY_FILE: overlay_png(_picture(folder), labelled, table, record.calibration),
        ROIS_FILE: imagej_rois(labelled, table, outlines=outlines),
        CONTOURS_FILE: qupath_geojson(labelled, table, image_sha256=sha256, outlines=outlines),
    }


def pool_samples(images: Iterable[DoneImage]) -> tuple[SampleResult, ...]:
    """Pool the images of each sample; images without a sample's name are one sample, too.

    Parameters
    ----------
    images
        Read one by one.

    Returns
    -------
    tuple of SampleResult
        In the order of their first images.
    """
    groups: dict[str, list[DoneImage]] = {}
    for image in images:
        groups.setdefault(image.sample.sample_name, []).append(image)
    return tuple(_pool(name, group) for name, group in groups.items())


def results_json(images: Sequence[DoneImage], failed: Iterable[FailedImage]) -> bytes:
    """Pool the samples, and write all numbers of a request for programs: samples, images, and images that failed.

    Parameters
    ----------
    images
        Their tables and label pictures are read one by one.
    failed
        Images without a result.

    Returns
    -------
    bytes
        JSON.

    Raises
    ------
    ExportError
        An image's files cannot be read.
    """
    return to_json(
        {
            "samples": list(pool_samples(images)),
            "images": [
                {
                    "number": image.number,
                    "name": image.stored.record.image.name,
                    "sample": image.sample.sample_name,
                    "record": image.stored.record,
                }
                for image in images
            ],
            "failed": list(failed),
        }
    )


def write_drawn(images: Iterable[DoneImage], results: bytes, out: Path) -> list[Path]:
    """Write ``summary.csv``, ``results.xlsx`` and ``report.pdf`` of all images of a request.

    Parameters
    ----------
    images
        All that `results_json` was given; their folders hold their tables and overlays.
    results
        What it gave.
    out
        Is made if it is absent.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ExportError
        A file cannot be read or written.
    """
    pooled = [from_plain(SampleResult, one) for one in json.loads(results)["samples"]]
    by_number = {image.number: image for image in images}
    samples = [sample for one in pooled for sample in _shown(one, [by_number[number] for number in one.images])]
    return write_batch(samples, out)


def copies(images: Iterable[StoredImage]) -> tuple[QualityWarning, ...]:
    """Warn of images that came more than once: their islets would be counted again and again."""
    names_of: dict[str, list[str]] = {}
    for image in images:
        names_of.setdefault(image.record.provenance.image_sha256, []).append(image.record.image.name)
    return tuple(
        QualityWarning(
            code="same_image_twice",
            message=f"{', '.join(names)} are copies of one file: its islets count {len(names)} times. Keep one.",
            severity="severe",
            evidence={"copies_n": float(len(names))},
        )
        for names in names_of.values()
        if len(names) > 1
    )


def _pool(name: str, group: Sequence[DoneImage]) -> SampleResult:
    first = group[0]
    shown = name or (first.stored.record.image.name if len(group) == 1 else UNNAMED_SAMPLE)
    numbers = tuple(image.number for image in group)
    try:
        _check_alike(group)
        pooled = pool(
            [read_numbers(image.stored, aliquot=image.aliquot) for image in group],
            name=shown,
            parameters=first.parameters,
            sample=first.sample,
        )
    except ParameterError as error:
        return SampleResult(name=shown, images=numbers, summary=None, code=error.code, message=str(error))
    warnings = pooled.warnings + copies(image.stored for image in group)
    return SampleResult(name=shown, images=numbers, summary=replace(pooled, warnings=warnings))


def _check_alike(group: Sequence[DoneImage]) -> None:
    """Raise ``ParameterError`` where the images of a sample contradict each other."""
    first = group[0]
    names = [field.name for field in fields(SampleParameters) if field.name != "sample_name"]
    for image in group[1:]:
        apart = [name for name in names if getattr(image.sample, name) != getattr(first.sample, name)]
        apart += [name for name in _POOLED_BY if getattr(image.parameters, name) != getattr(first.parameters, name)]
        if apart:
            raise ParameterError(
                f"images {first.number} and {image.number} of one sample have different values; give them the same, "
                "or different sample names",
                subject=", ".join(apart),
            )


def _picture(folder: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(folder / PICTURE_FILE) as opened:
            return np.asarray(opened.convert("RGB"))
    except (OSError, ValueError) as error:
        raise ExportError(
            f"A picture was expected, but it cannot be read: {error}. Analyse the image again.",
            subject=str(folder / PICTURE_FILE),
        ) from error


def _shown(sample: SampleResult, images: Sequence[DoneImage]) -> list[Sample]:
    """Give what the table, the workbook and the report show: the sample or, where it is not pooled, each image."""
    if sample.summary is not None:
        stored = tuple(image.stored for image in images)
        return [Sample(summary=sample.summary, images=stored, parameters=images[0].sample)]
    reason = QualityWarning(
        code="sample_not_pooled",
        message=f"The sample {sample.name} was not pooled, each image stands by itself: {sample.message}",
        severity="severe",
    )
    return [
        Sample(
            summary=replace(image.stored.record.summary, warnings=(*image.stored.record.summary.warnings, reason)),
            images=(image.stored,),
        )
        for image in images
    ]
