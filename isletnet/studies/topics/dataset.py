"""The study that prepares data for others: tidy tables, pictures and labels under codes, with a codebook."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pandas as pd

from isletnet.analysis.decode import decode
from isletnet.analysis.summary.flat import flat_row
from isletnet.errors import ParameterError
from isletnet.exports.folder import csv_bytes
from isletnet.exports.labels import classes_tiff, islets_tiff
from isletnet.studies.inputs.sources import Results, StudyImage
from isletnet.studies.topics.pseudonyms import Pseudonyms


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodedImage:
    """An image under its code."""

    code: str
    donor: str
    image: StudyImage


def coded_images(results: Results, donors: Mapping[str, str], names: Pseudonyms) -> tuple[CodedImage, ...]:
    """Give every image its code, and sort by code: an order of names or of time would tell something.

    Two pictures of one name are told apart by their content.
    """
    coded = [
        CodedImage(
            code=names.code("image", f"{one.key}/{one.record.provenance.image_sha256}"),
            donor=names.code("donor", donors[one.key]),
            image=one,
        )
        for one in results.images
    ]
    return tuple(sorted(coded, key=lambda one: one.code))


def image_table(images: tuple[CodedImage, ...]) -> pd.DataFrame:
    """Give one row per image: codes, picture, network, and the numbers of its summary; no names, times or hashes."""
    rows = []
    for one in images:
        record = one.image.record
        numbers = flat_row(record.summary)
        del numbers["name"]
        rows.append(
            {
                "image": one.code,
                "donor": one.donor,
                "width_px": record.image.width_px,
                "height_px": record.image.height_px,
                "file_format": record.image.file_format,
                "calibration_source": record.calibration.source,
                "network": record.provenance.network.name,
                "network_version": record.provenance.network.version,
                "weights_sha256": record.provenance.network.weights_sha256,
                "package_version": record.provenance.package_version,
                **numbers,
            }
        )
    return pd.DataFrame(rows)


def islet_table(images: tuple[CodedImage, ...]) -> pd.DataFrame:
    """Give one row per islet-class particle: codes and measurements, without the ids, which come from the picture."""
    tables = [one.image.table().drop(columns="id") for one in images]
    filled = [
        table.assign(image=one.code, donor=one.donor) for one, table in zip(images, tables, strict=True) if len(table)
    ]
    whole = pd.concat(filled, ignore_index=True) if filled else tables[0].assign(image="", donor="")
    first = ["image", "donor", "number"]
    return whole[[*first, *(name for name in whole.columns if name not in first)]]


def table_files(frame: pd.DataFrame) -> dict[str, bytes]:
    """Write a table as CSV and Parquet."""
    stream = BytesIO()
    frame.to_parquet(stream, index=False, engine="pyarrow")
    return {"csv": csv_bytes(frame), "parquet": stream.getvalue()}


def label_files(images: tuple[CodedImage, ...]) -> Iterator[tuple[str, bytes]]:
    """Write the label pictures under codes: ``labels/<code>.tif`` (classes) and ``islets/<code>.tif`` (numbers)."""
    for one in images:
        labelled, calibration = one.image.labelled(), one.image.record.calibration
        size = calibration.um_per_px if calibration.is_known else None
        yield f"labels/{one.code}.tif", classes_tiff(labelled.classes, um_per_px=size)
        yield f"islets/{one.code}.tif", islets_tiff(labelled.islets, um_per_px=size)


def picture_files(images: tuple[CodedImage, ...], folder: Path | None) -> Iterator[tuple[str, bytes]]:
    """Write the pictures under codes as PNG, pixels alone.

    Parameters
    ----------
    images
        From `coded_images`.
    folder
        Where the pictures are; None asks the source of the results for them.

    Raises
    ------
    ParameterError
        A picture is absent, or is not the one that was analysed.
    """
    from PIL import Image

    for one in images:
        name = one.image.name
        content = _picture(one.image, folder)
        if hashlib.sha256(content).hexdigest() != one.image.record.provenance.image_sha256:
            raise ParameterError("this is not the picture that was analysed; give the folder of those", subject=name)
        stream = BytesIO()
        Image.fromarray(decode(content, name=name).pixels).save(stream, "PNG")
        yield f"pictures/{one.code}.png", stream.getvalue()


def _picture(image: StudyImage, folder: Path | None) -> bytes:
    if folder is None:
        if image.original is None:
            raise ParameterError("results of a folder do not hold the pictures; give `pictures`", subject=image.name)
        return image.original()
    # The name came from outside: only its last part is a name.
    path = folder / Path(image.name).name
    try:
        return path.read_bytes()
    except OSError as error:
        raise ParameterError(f"the picture is not in {folder} ({error.strerror})", subject=image.name) from error
