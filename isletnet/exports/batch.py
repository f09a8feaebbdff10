"""The files of a whole batch: one table, one workbook, one report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from isletnet.analysis.summary.flat import flat_row
from isletnet.exports.folder import csv_bytes, write_atomically
from isletnet.exports.pdf import report_pdf
from isletnet.exports.samples import Sample
from isletnet.exports.xlsx import results_xlsx

TABLE_FILE, WORKBOOK_FILE, REPORT_FILE = "summary.csv", "results.xlsx", "report.pdf"


def write_batch(samples: Sequence[Sample], out: Path) -> list[Path]:
    """Write ``summary.csv``, ``results.xlsx`` and ``report.pdf``.

    Parameters
    ----------
    samples
        At least one image in all; see `isletnet.exports.folder.read_image`.
    out
        Is made if it is absent. Files in it are replaced as wholes.

    Returns
    -------
    list of Path
        The files, in the order of writing.

    Raises
    ------
    ExportError
        No image, an image's files that cannot be read, or a file that cannot be written.
    """
    return [
        write_atomically(out / TABLE_FILE, csv_bytes(_summary_table(samples))),
        write_atomically(out / WORKBOOK_FILE, results_xlsx(samples)),
        write_atomically(out / REPORT_FILE, report_pdf(samples)),
    ]


def _summary_table(samples: Sequence[Sample]) -> pd.DataFrame:
    """One row per image, then one per sample; ``level`` tells them apart."""
    rows = [
        {"level": "image", "sample": sample.summary.name, **flat_row(image.record.summary)}
        for sample in samples
        for image in sample.images
    ]
    rows += [{"level": "sample", "sample": sample.summary.name, **flat_row(sample.summary)} for sample in samples]
    return pd.DataFrame(rows)
