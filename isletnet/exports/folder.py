"""What is kept of an image and of a batch, and in which files.

An image has a folder of its own with everything that later reports need, so a batch of hundreds of images holds only
their summaries in memory; tables and overlays are read one by one.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from isletnet.analysis.measure import COLUMNS
from isletnet.analysis.summary.pooling import ImageNumbers, image_numbers
from isletnet.errors import ExportError
from isletnet.exports.labels import classes_tiff, islets_tiff
from isletnet.exports.png import png_bytes
from isletnet.exports.records import from_plain, to_json
from isletnet.exports.text import formula_safe
from isletnet.schemas import Calibration, Disagreement, ImageResult, LabelledIslets, Provenance, Summary
from isletnet.views.overlay import overlay

CLASSES_FILE, ISLETS_FILE, TABLE_FILE = "labels.tif", "islets.tif", "islets.csv"
OVERLAY_FILE, SUMMARY_FILE = "overlay.png", "summary.json"

_KINDS = {column.name: column.dtype for column in COLUMNS}
_PARSERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int64": int,
    "float64": lambda text: float(text) if text else math.nan,
    "bool": {"True": True, "False": False}.__getitem__,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What is known of the picture itself."""

    name: str
    width_px: int
    height_px: int
    file_format: str
    bit_depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """The content of ``summary.json``: one image without its pixels."""

    image: ImageFacts
    calibration: Calibration
    summary: Summary
    disagreement: Disagreement | None
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image on disk: its record, and the folder with its tables and pictures."""

    folder: Path
    record: ImageRecord


def measured_files(result: ImageResult) -> dict[str, bytes]:
    """Make the files from which all others can be made: labels, islets, table and, last, the summary.

    Parameters
    ----------
    result
        The whole result.

    Returns
    -------
    dict of str to bytes
        The content of each file, by its name.
    """
    um_per_px = known_um_per_px(result.calibration)
    return {
        CLASSES_FILE: classes_tiff(result.labelled.classes, um_per_px=um_per_px),
        ISLETS_FILE: islets_tiff(result.labelled.islets, um_per_px=um_per_px),
        TABLE_FILE: csv_bytes(result.table),
        SUMMARY_FILE: to_json(image_record(result)),
    }


def overlay_png(
    pixels: NDArray[np.uint8], labelled: LabelledIslets, table: pd.DataFrame, calibration: Calibration
) -> bytes:
    """Draw `isletnet.views.overlay.overlay` with a scale bar where the pixel size is known, as PNG."""
    return png_bytes(overlay(pixels, labelled, table, um_per_px=known_um_per_px(calibration)))


def known_um_per_px(calibration: Calibration) -> float | None:
    """Tell the pixel size, None where it was only guessed."""
    return calibration.um_per_px if calibration.is_known else None


def write_image(result: ImageResult, folder: Path) -> list[Path]:
    """Write the overlay and `measured_files` into a folder.

    Parameters
    ----------
    result
        The whole result.
    folder
        Is made if it is absent. Files in it are replaced as wholes; ``summary.json`` comes last.

    Returns
    -------
    list of Path
        The files, in the order of writing.

    Raises
    ------
    ExportError
        A file cannot be written.
    """
    picture = overlay_png(result.micrograph.pixels, result.labelled, result.table, result.calibration)
    files = {OVERLAY_FILE: picture, **measured_files(result)}
    return [write_atomically(folder / name, content) for name, content in files.items()]


def image_record(result: ImageResult) -> ImageRecord:
    """Take from a whole result what ``summary.json`` holds."""
    height, width = result.micrograph.shape_px
    return ImageRecord(
        image=ImageFacts(
            name=result.micrograph.name,
            width_px=width,
            height_px=height,
            file_format=result.micrograph.file_format,
            bit_depth=result.micrograph.bit_depth,
        ),
        calibration=result.calibration,
        summary=result.summary,
        disagreement=result.disagreement,
        provenance=result.provenance,
    )


def read_image(folder: Path) -> StoredImage:
    """Read what `write_image` kept, without pixels and tables.

    Raises
    ------
    ExportError
        The folder has no result, or a damaged one.
    """
    path = folder / SUMMARY_FILE
    try:
        data: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ExportError(
            f"A {SUMMARY_FILE} of an analysed image was expected, but it cannot be read: {error}. "
            "Analyse the image again.",
            subject=str(folder),
        ) from error
    return StoredImage(folder=folder, record=from_plain(ImageRecord, data))


def read_table(folder: Path) -> pd.DataFrame:
    """Read the islets' table with the kinds of `measure.COLUMNS`, also when it is empty.

    Raises
    ------
    ExportError
        The table is absent or damaged.
    """
    names, columns = read_columns(folder)
    return pd.DataFrame(
        {
            name: pd.array(column, dtype="str") if _KINDS[name] == "str" else np.array(column, dtype=_KINDS[name])
            for name, column in zip(names, columns, strict=True)
        }
    )


def read_columns(folder: Path) -> tuple[list[str], list[list[Any]]]:
    """Read the names and the entries of the columns that `measure.COLUMNS` knows, each number as it was written.

    Raises
    ------
    ExportError
        The table is absent or damaged.
    """
    path = folder / TABLE_FILE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        by_name = dict(zip(head, zip(*rows, strict=True) if rows else ((),) * len(head), strict=True))
        names = [name for name in head if name in _KINDS]
        return names, [[_PARSERS[_KINDS[name]](text) for text in by_name[name]] for name in names]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ExportError(
            f"A table of islets was expected, but it cannot be read: {error}. Analyse the image again.",
            subject=str(path),
        ) from error


def read_labelled(folder: Path) -> LabelledIslets:
    """Read the label pictures.

    Raises
    ------
    ExportError
        A picture is absent or damaged.
    """
    classes: NDArray[np.uint8] = _read_picture(folder / CLASSES_FILE)
    islets: NDArray[np.int32] = _read_picture(folder / ISLETS_FILE).astype(np.int32)
    return LabelledIslets(classes=classes, islets=islets, islets_n=int(islets.max(initial=0)))


def read_numbers(stored: StoredImage, *, aliquot: str = "") -> ImageNumbers:
    """Read what pooling needs of an image; ``aliquot`` is explained at `ImageNumbers`."""
    record = stored.record
    return image_numbers(
        read_table(stored.folder),
        name=record.summary.name,
        classes=_read_picture(stored.folder / CLASSES_FILE),
        um_per_px=known_um_per_px(record.calibration),
        disagreement=record.disagreement,
        warnings=record.summary.warnings,
        exocrine_volume_um3=record.summary.exocrine_volume_um3,
        aliquot=aliquot,
    )


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Write a table as CSV in UTF-8 whose texts no spreadsheet runs as formulas; numbers keep full precision."""
    texts = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    safe = table.assign(**{name: [_safe(entry) for entry in table[name]] for name in texts})
    text: str = safe.to_csv(index=False, lineterminator="\n")
    return text.encode()


def write_atomically(path: Path, content: bytes) -> Path:
    """Write a file so that a reader sees the old one or the new one, never a part.

    Raises
    ------
    ExportError
        The file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ExportError(
            f"The file cannot be written ({error.strerror}). Check the space and the rights of the folder.",
            subject=str(path),
        ) from error
    return path


def _read_picture(path: Path) -> NDArray[Any]:
    try:
        picture: NDArray[Any] = tifffile.imread(path)
    except Exception as error:  # a damaged TIFF raises errors of many kinds
        raise ExportError(
            f"A label picture was expected, but it cannot be read: {error}. Analyse the image again.",
            subject=str(path),
        ) from error
    return picture


def _safe(entry: object) -> object:
    return formula_safe(entry) if isinstance(entry, str) else entry
