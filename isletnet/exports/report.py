"""The content of the report: records in, ready texts out. What it looks like is in ``report.typ``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isletnet.exports.folder import StoredImage
from isletnet.exports.records import to_plain
from isletnet.exports.samples import Sample
from isletnet.exports.text import printable
from isletnet.schemas import CriterionResult, Estimate, Preparation, QualityWarning, SizeClass, Summary
from isletnet.views.numbers import (
    UNKNOWN,
    shown,
    shown_interval,
    shown_text,
    shown_title,
    shown_unit,
    shown_value,
)
from isletnet.views.plots import class_label

FOOTER = "isletnet: research software, not a medical device. A person must check the overlay before any use."
FIRST_PAGE_PICTURES_N = 4
FIRST_PAGE_WARNINGS_N = 5
_LONGEST_NAME = 60
_SEVERITIES = ("severe", "warning", "info")

Texts = dict[str, Any]


def report_data(samples: Sequence[Sample], pictures: dict[Path, str]) -> Texts:
    """Put everything that the report shows into words.

    Parameters
    ----------
    samples
        One first page each.
    pictures
        The name of the picture file for each image folder.

    Returns
    -------
    dict
        What ``report.typ`` reads.
    """
    images = [image for sample in samples for image in sample.images]
    return {
        "title": f"Islet report: {', '.join(_name(sample.summary.name) for sample in samples[:3])}",
        "kind": "Islet report",
        "footer": FOOTER,
        "samples": [_sample(sample, pictures) for sample in samples],
        "pictures": [_picture(image, pictures) for image in images],
        "provenance": _provenance(images),
        "files": [
            [_name(one.record.image.name), _pixel_size(one), one.record.provenance.image_sha256] for one in images
        ],
    }


def _sample(sample: Sample, pictures: dict[Path, str]) -> Texts:
    summary = sample.summary
    shown_images = sample.images[:FIRST_PAGE_PICTURES_N]
    left_out_n = summary.images_n - len(shown_images)
    warnings = sorted(summary.warnings, key=lambda one: _SEVERITIES.index(one.severity))
    more_n = len(warnings) - FIRST_PAGE_WARNINGS_N
    return {
        "name": _name(summary.name),
        "facts": _sample_facts(summary),
        "headline": [
            _fact("Islet equivalents in the images", summary.ieq),
            _fact("Purity", summary.purity_area),
            _fact("Islets counted", summary.count),
            _fact("Islet index", summary.islet_index),
        ],
        "preparation": _preparation(summary.preparation) if summary.preparation else [],
        "pictures": [_frame(one, pictures) for one in shown_images],
        "caption": "Islets blue (dashed: cut by the border), small particles white, exocrine tissue pink"
        + (f"; {left_out_n} more on later pages" if left_out_n > 0 else ""),
        "bins": [_bin(row) for row in summary.size_classes] if summary.ieq.value is not None else [],
        "warnings": [_warning(one) for one in warnings[:FIRST_PAGE_WARNINGS_N]],
        "more_warnings": f"{more_n} more with the images." if more_n > 0 else "",
        "criteria": [_criterion(one) for one in summary.criteria],
        "classes": [_class(row) for row in summary.size_classes] if summary.ieq.value is not None else [],
        "methods": _methods(summary),
        "marked": list(summary.ieq_by_method).index(summary.ieq_method),
        "others": _others(summary),
        "per_image": [_image_row(one) for one in sample.images] if len(sample.images) > 1 else [],
    }


def _sample_facts(summary: Summary) -> str:
    images = "1 image" if summary.images_n == 1 else f"{summary.images_n} images"
    area = f"{shown_value(summary.image_area_mm2)} mm² seen" if summary.image_area_mm2 else "no pixel size known"
    return f"{images} · {area}"


def _fact(label: str, estimate: Estimate) -> Texts:
    is_known = estimate.value is not None
    return {
        "label": label,
        "value": shown_value(estimate.value, estimate.unit),
        "unit": shown_unit(estimate.unit) if is_known else "",
        "interval": shown_interval(estimate) if is_known else "not known",
        "method": shown_text(estimate.method.partition(" on the mean of ")[0]),
    }


def _preparation(whole: Preparation) -> list[Texts]:
    parts = [
        ("Whole preparation", whole.total_ieq),
        ("Per kg of the recipient", whole.ieq_per_kg),
        ("Per g of pancreas", whole.ieq_per_g_pancreas),
        ("Islet volume", whole.islet_volume_ul),
    ]
    facts = [_fact(label, estimate) for label, estimate in parts if estimate is not None]
    if whole.replicate_cv_fraction is not None:
        facts[0]["interval"] += (
            f"; {whole.replicates_n} replicates, CV {shown_value(whole.replicate_cv_fraction, 'fraction')} %"
        )
    return facts


def _bin(row: SizeClass) -> Texts:
    return {
        "label": class_label(row),
        "count": row.count_fraction,
        "ieq": row.ieq_fraction,
        "islets": str(row.islets_n),
    }


def _class(row: SizeClass) -> list[str]:
    return [
        class_label(row),
        shown_value(row.islets_n),
        f"{shown_value(row.count_fraction, 'fraction')} %",
        shown_value(row.ieq_continuous),
        shown_value(row.ieq_ricordi),
        f"{shown_value(row.ieq_fraction, 'fraction')} %",
    ]


def _methods(summary: Summary) -> list[list[str]]:
    rows = []
    for method, estimate in summary.ieq_by_method.items():
        volume = summary.volume_by_method_nl.get(method)
        text = estimate.method.partition(";")[0]
        rows.append(
            [
                f"{shown_title(method)}: {shown_text(text)}",
                shown_value(estimate.value, estimate.unit),
                _bounds(estimate),
                shown_value(volume.value, volume.unit) if volume else UNKNOWN,
            ]
        )
    return rows


def _bounds(estimate: Estimate) -> str:
    # The level stands in the heading numbers; in a table the bounds are enough.
    return shown_interval(estimate).rpartition(" interval ")[2] or UNKNOWN


def _others(summary: Summary) -> list[Texts]:
    named = {
        "purity by volume": summary.purity_volume,
        "mean diameter": summary.mean_diameter,
        "median diameter": summary.median_diameter,
        **{name: one for name, one in summary.fragmentation.items() if name != "islet_index"},
        **{f"{name} of islets": one for name, one in summary.contact.items()},
    }
    return [
        {
            "name": shown_title(name),
            "method": shown_text(one.method),
            "value": shown(one),
            "interval": _bounds(one),
        }
        for name, one in named.items()
    ]


def _image_row(image: StoredImage) -> list[str]:
    summary = image.record.summary
    return [
        _name(image.record.image.name),
        shown_value(summary.ieq.value),
        shown_value(summary.islets_n),
        shown(summary.purity_area),
        shown_value(summary.islet_index.value),
        str(len(summary.warnings)),
    ]


def _frame(image: StoredImage, pictures: dict[Path, str]) -> Texts:
    facts = image.record.image
    return {"file": pictures[image.folder], "name": _name(facts.name), "ratio": facts.width_px / facts.height_px}


def _picture(image: StoredImage, pictures: dict[Path, str]) -> Texts:
    summary, facts = image.record.summary, image.record.image
    return {
        **_frame(image, pictures),
        "facts": [
            ["IEQ", shown_value(summary.ieq.value)],
            ["", shown_interval(summary.ieq)],
            ["Islets", shown_value(summary.islets_n)],
            ["Small particles", shown_value(summary.small_particles_n)],
            ["Cut by the border", shown_value(summary.border_islets_n)],
            ["Purity by area", shown(summary.purity_area)],
            ["Islet index", shown_value(summary.islet_index.value)],
            ["Mean diameter", shown(summary.mean_diameter)],
            ["Pixel size", _pixel_size(image)],
            ["Picture", f"{facts.width_px} × {facts.height_px} px, {facts.file_format}, {facts.bit_depth} bit"],
        ],
        "warnings": [_warning(one) for one in summary.warnings],
    }


def _pixel_size(image: StoredImage) -> str:
    calibration = image.record.calibration
    if not calibration.is_known:
        return "not known"
    return f"{calibration.um_per_px:.4g} µm (from the {calibration.source})"


def _criterion(result: CriterionResult) -> Texts:
    criterion = result.criterion
    sign = "≥" if criterion.comparison == ">=" else "≤"
    unit = shown_unit(criterion.unit)
    value = shown_value(result.value, criterion.unit)
    return {
        "name": printable(criterion.name),
        "value": value if result.value is None else f"{value} {unit}",
        "limit": f"{sign} {shown_value(criterion.limit, criterion.unit)} {unit}",
        "verdict": "unknown" if result.passed is None else "passed" if result.passed else "failed",
    }


def _warning(warning: QualityWarning) -> Texts:
    return {"severity": warning.severity, "message": printable(warning.message)}


def _provenance(images: Sequence[StoredImage]) -> list[Texts]:
    """List each way of making once, with the number of images that were made so."""
    ways: dict[str, tuple[Texts, int]] = {}
    for image in images:
        made = image.record.provenance
        network = made.network
        rows = [
            ["isletnet", made.package_version],
            ["Network", f"{network.name}, version {network.version}"],
            ["Weights, SHA-256", network.weights_sha256],
            ["Engine", f"{network.engine}, {network.precision}"],
        ]
        # The pixel size differs from image to image and stands beside each file.
        rows += [
            [shown_title(name), "not set" if entry is None else printable(str(entry))]
            for name, entry in to_plain(made.parameters).items()
            if name not in ("network", "um_per_px")
        ]
        seen_n = ways.get(str(rows), ({}, 0))[1]
        ways[str(rows)] = ({"rows": rows}, seen_n + 1)
    return [
        {**way, "title": f"Analysis of {images_n} image{'s' if images_n > 1 else ''}"}
        for way, images_n in ways.values()
    ]


def _name(name: str) -> str:
    clean = printable(name) or UNKNOWN
    return clean if len(clean) <= _LONGEST_NAME else f"{clean[: _LONGEST_NAME - 1]}…"
