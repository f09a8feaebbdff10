"""Results as an Excel workbook. Every text is written as text, whatever sign it begins with."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from isletnet.analysis.summary.flat import flat_row
from isletnet.exports.folder import StoredImage, read_columns
from isletnet.exports.records import to_plain
from isletnet.exports.samples import Sample
from isletnet.exports.text import printable
from isletnet.schemas import Estimate, Summary
from isletnet.views.numbers import shown_title, shown_unit
from isletnet.views.plots import class_label

# An Excel sheet has 2^20 rows; the first is the head.
LAST_ROW = 1_048_575
_LONGEST_TEXT = 32_000
# The file would change with the clock otherwise.
_FIXED_DATE = datetime(1980, 1, 1, tzinfo=UTC)
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    width: float
    number_format: str = "General"


_TEXT, _LONG_TEXT = 24.0, 60.0
_VALUE, _PERCENT, _COUNT = "#,##0.00", "0.0%", "#,##0"


def results_xlsx(samples: Sequence[Sample]) -> bytes:
    """Write the workbook: Summary, Images, Size classes, Methods, Criteria, Islets and Provenance.

    Parameters
    ----------
    samples
        Tables of islets are read from the images' folders, one by one.

    Returns
    -------
    bytes
        The same bytes for the same results. Islets beyond Excel's last row are only in the images' own tables, and
        the sheet says so.
    """
    import xlsxwriter

    buffer = BytesIO()
    images = [(sample.summary.name, image) for sample in samples for image in sample.images]
    with xlsxwriter.Workbook(buffer, _OPTIONS) as book:
        book.set_properties({"title": "isletnet results", "created": _FIXED_DATE})
        _sheet(book, "Summary", _SUMMARY, (row for sample in samples for row in _summary_rows(sample.summary)))
        _sheet(book, "Images", _image_columns(images), _image_rows(images))
        classes = _sheet(book, "Size classes", _CLASSES, (row for one in samples for row in _class_rows(one.summary)))
        _add_histograms(book, classes, samples)
        _sheet(book, "Methods", _METHODS, (row for sample in samples for row in _method_rows(sample.summary)))
        _sheet(book, "Criteria", _CRITERIA, (row for sample in samples for row in _criterion_rows(sample.summary)))
        _sheet(book, "Islets", _islet_columns(images), _islet_rows(images))
        _sheet(book, "Provenance", _PROVENANCE, (_provenance_row(image) for _, image in images))
    return buffer.getvalue()


def _sheet(book: Any, title: str, columns: Sequence[_Column], rows: Iterable[Sequence[Any]]) -> Any:
    head = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1, "bg_color": "#E9EDF2"})
    sheet = book.add_worksheet(title)
    sheet.freeze_panes(1, 1)
    formats: dict[str, Any] = {}
    for number, column in enumerate(columns):
        kind = formats.setdefault(column.number_format, book.add_format({"num_format": column.number_format}))
        sheet.set_column(number, number, column.width, kind)
        sheet.write_string(0, number, column.title, head)
    kinds = [formats[column.number_format] for column in columns]
    # Shares are written as percent wherever they stand in a column of mixed units.
    percent = book.add_format({"num_format": _PERCENT})
    for line, row in enumerate(rows, start=1):
        is_share = "fraction" in row[3:4]
        for number, entry in enumerate(row):
            if isinstance(entry, str):
                sheet.write_string(line, number, printable(entry)[:_LONGEST_TEXT])
            elif isinstance(entry, bool):
                sheet.write_boolean(line, number, entry)
            elif entry is not None and math.isfinite(entry):
                sheet.write_number(line, number, entry, percent if is_share else kinds[number])
    return sheet


_SUMMARY = (
    _Column("Sample", _TEXT),
    _Column("Quantity", 32.0),
    _Column("Value", 14.0, _VALUE),
    _Column("Unit", 12.0),
    _Column("Low", 14.0, _VALUE),
    _Column("High", 14.0, _VALUE),
    _Column("Level", 8.0),
    _Column("Method", _LONG_TEXT),
    _Column("Interval", _LONG_TEXT),
)


def _summary_rows(summary: Summary) -> Iterator[list[Any]]:
    whole = summary.preparation
    named = {
        "IEQ": summary.ieq,
        "Islets": summary.count,
        "Purity by area": summary.purity_area,
        "Purity by volume": summary.purity_volume,
        "Islet index": summary.islet_index,
        "Mean diameter": summary.mean_diameter,
        "Median diameter": summary.median_diameter,
        "IEQ of the preparation": whole.total_ieq if whole else None,
        "Islets of the preparation": whole.total_islets if whole else None,
        "IEQ per kg of the recipient": whole.ieq_per_kg if whole else None,
        "IEQ per g of pancreas": whole.ieq_per_g_pancreas if whole else None,
        "Islet volume of the preparation": whole.islet_volume_ul if whole else None,
        **{shown_title(name): one for name, one in summary.fragmentation.items() if name != "islet_index"},
        **{shown_title(f"{name} of islets"): one for name, one in summary.contact.items()},
    }
    for name, estimate in named.items():
        if estimate is not None:
            yield [summary.name, name, *_estimate_cells(estimate)]
    for name, count in (
        ("Images", summary.images_n),
        ("Small particles", summary.small_particles_n),
        ("Islets cut by the border", summary.border_islets_n),
        ("Islets of 400 µm and more", summary.oversize_islets_n),
    ):
        yield [summary.name, name, count, "", None, None, None, "", ""]
    for warning in summary.warnings:
        yield [summary.name, f"Warning ({warning.severity})", None, "", None, None, None, warning.message, ""]


def _estimate_cells(estimate: Estimate) -> list[Any]:
    interval = estimate.interval
    # A share keeps the word: `_sheet` shows its row in percent.
    unit = estimate.unit if estimate.unit == "fraction" else shown_unit(estimate.unit)
    if interval is None:
        return [estimate.value, unit, None, None, None, estimate.method, ""]
    return [estimate.value, unit, interval.low, interval.high, interval.level, estimate.method, interval.method]


def _image_columns(images: Sequence[tuple[str, StoredImage]]) -> list[_Column]:
    first = list(flat_row(images[0][1].record.summary)) if images else []
    return [_Column("sample", _TEXT), *(_Column(name, _TEXT if name == "name" else 14.0) for name in first)]


def _image_rows(images: Sequence[tuple[str, StoredImage]]) -> Iterator[list[Any]]:
    for sample_name, image in images:
        yield [sample_name, *flat_row(image.record.summary).values()]


_CLASSES = (
    _Column("Sample", _TEXT),
    _Column("Diameter from (µm)", 12.0),
    _Column("Diameter below (µm)", 12.0),
    _Column("Class (µm)", 12.0),
    _Column("Islets", 10.0, _COUNT),
    _Column("Share of islets", 10.0, _PERCENT),
    _Column("IEQ (continuous)", 12.0, _VALUE),
    _Column("IEQ (Ricordi table)", 12.0, _VALUE),
    _Column("Share of IEQ", 10.0, _PERCENT),
)


def _class_rows(summary: Summary) -> Iterator[list[Any]]:
    for row in summary.size_classes:
        bounds = [row.lower_um, row.upper_um, class_label(row)]
        shares = [row.count_fraction, row.ieq_continuous, row.ieq_ricordi, row.ieq_fraction]
        yield [summary.name, *bounds, row.islets_n, *shares]


def _add_histograms(book: Any, sheet: Any, samples: Sequence[Sample]) -> None:
    first = 1
    for number, sample in enumerate(samples):
        last = first + len(sample.summary.size_classes) - 1
        if last >= first:
            chart = book.add_chart({"type": "column"})
            for column, colour in ((5, "#8FA3B8"), (8, "#A8123A")):
                chart.add_series(
                    {
                        "name": ["Size classes", 0, column],
                        "categories": ["Size classes", first, 3, last, 3],
                        "values": ["Size classes", first, column, last, column],
                        "fill": {"color": colour},
                        "gap": 60,
                    }
                )
            # The name stays out of the title: XlsxWriter would take some names for references to cells.
            chart.set_title({"name": f"Sample {number + 1}", "name_font": {"size": 11}})
            chart.set_x_axis({"name": "Equal-area diameter (µm)"})
            chart.set_y_axis({"num_format": "0%", "major_gridlines": {"visible": True, "line": {"color": "#E0E4E9"}}})
            chart.set_legend({"position": "bottom"})
            sheet.insert_chart(1 + 18 * number, 10, chart, {"x_scale": 1.2, "y_scale": 1.15})
        first = last + 1


_METHODS = (
    _Column("Sample", _TEXT),
    _Column("Method", 20.0),
    _Column("IEQ", 14.0, _VALUE),
    _Column("Low", 14.0, _VALUE),
    _Column("High", 14.0, _VALUE),
    _Column("Volume (nL)", 14.0, _VALUE),
    _Column("Definition", _LONG_TEXT),
)


def _method_rows(summary: Summary) -> Iterator[list[Any]]:
    for method, estimate in summary.ieq_by_method.items():
        volume = summary.volume_by_method_nl.get(method)
        interval = estimate.interval
        yield [
            summary.name,
            method,
            estimate.value,
            interval.low if interval else None,
            interval.high if interval else None,
            volume.value if volume else None,
            estimate.method,
        ]


_CRITERIA = (
    _Column("Sample", _TEXT),
    _Column("Criterion", 26.0),
    _Column("Value", 14.0, _VALUE),
    _Column("Unit", 12.0),
    _Column("Comparison", 12.0),
    _Column("Limit", 14.0, _VALUE),
    _Column("Verdict", 12.0),
)


def _criterion_rows(summary: Summary) -> Iterator[list[Any]]:
    for one in summary.criteria:
        verdict = "unknown" if one.passed is None else "pass" if one.passed else "fail"
        asked = one.criterion
        yield [summary.name, asked.name, one.value, asked.unit, asked.comparison, asked.limit, verdict]


def _islet_columns(images: Sequence[tuple[str, StoredImage]]) -> list[_Column]:
    names = read_columns(images[0][1].folder)[0] if images else []
    return [_Column("image", _TEXT), *(_Column(name, 38.0 if name == "id" else 13.0) for name in names)]


def _islet_rows(images: Sequence[tuple[str, StoredImage]]) -> Iterator[list[Any]]:
    written_n = 0
    for _, image in images:
        for row in zip(*read_columns(image.folder)[1], strict=True):
            if written_n == LAST_ROW - 1:
                yield ["More islets than a sheet can hold: the rest is in the tables of the images."]
                return
            written_n += 1
            yield [image.record.image.name, *row]


_PROVENANCE = (
    _Column("Image", _TEXT),
    _Column("SHA-256 of the image", 66.0),
    _Column("Pixel size (µm)", 12.0),
    _Column("Pixel size from", 12.0),
    _Column("isletnet", 12.0),
    _Column("Network", 18.0),
    _Column("Network version", 12.0),
    _Column("SHA-256 of the weights", 66.0),
    _Column("Engine", 12.0),
    _Column("Precision", 12.0),
    _Column("Parameters", _LONG_TEXT),
)


def _provenance_row(image: StoredImage) -> list[Any]:
    record = image.record
    made, network = record.provenance, record.provenance.network
    return [
        record.image.name,
        made.image_sha256,
        record.calibration.um_per_px if record.calibration.is_known else None,
        record.calibration.source,
        made.package_version,
        network.name,
        network.version,
        network.weights_sha256,
        network.engine,
        network.precision,
        json.dumps(to_plain(made.parameters), ensure_ascii=False, sort_keys=True),
    ]
