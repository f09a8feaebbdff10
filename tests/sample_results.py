"""Whole results built from label pictures, for the tests of views and exports."""

from __future__ import annotations

import hashlib
import math
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from isletnet.analysis.measure import measure
from isletnet.analysis.summarise import pool, summarise_image
from isletnet.analysis.summary.pooling import numbers_of
from isletnet.schemas import (
    EXOCRINE,
    IEQ_METHODS,
    IEQ_UM3,
    ISLET,
    RICORDI_TABLES,
    VOLUME_METHODS,
    AnalysisParameters,
    Calibration,
    Disagreement,
    ImageResult,
    LabelledIslets,
    Micrograph,
    NetworkIdentity,
    Provenance,
    QualityWarning,
    SampleParameters,
    Segmentation,
    Summary,
)

YELLOW, RED, TAN = (195, 190, 5), (205, 60, 12), (200, 165, 20)


def drawn_labels(shape: tuple[int, int] = (240, 320)) -> LabelledIslets:
    """Two touching islets, one with a hole, one at the border, two small ones, and a ring of exocrine tissue."""
    y, x = np.mgrid[: shape[0], : shape[1]]

    def disc(row: float, column: float, radius: float) -> NDArray[np.bool_]:
        return (y - row) ** 2 + (x - column) ** 2 <= radius**2

    islets = np.zeros(shape, dtype=np.int32)
    islets[disc(8, 150, 26)] = 1
    islets[disc(90, 70, 40)] = 2
    islets[disc(90, 70, 40) & (x > 85)] = 3
    islets[disc(90, 200, 35) & ~disc(95, 205, 9)] = 4
    islets[disc(180, 60, 6)] = 5
    islets[200, 200] = islets[201, 201] = 6
    exocrine = disc(180, 260, 40) & ~disc(180, 260, 20)
    classes = np.where(islets > 0, ISLET, np.where(exocrine, EXOCRINE, 0)).astype(np.uint8)
    return LabelledIslets(classes=classes, islets=islets, islets_n=6)


def drawn_pixels(labelled: LabelledIslets) -> NDArray[np.uint8]:
    """Colour the classes as dithizone under yellow light does, with some noise."""
    colours = np.array([YELLOW, RED, TAN], dtype=np.int16)[labelled.classes]
    noise = np.random.default_rng(7).integers(-4, 5, colours.shape, dtype=np.int16)
    return np.clip(colours + noise, 0, 255).astype(np.uint8)


def made_table(labelled: LabelledIslets, um_per_px: float | None) -> pd.DataFrame:
    """One row per islet, every volume as of a sphere: enough columns for a summary, views and exports."""
    height, width = labelled.islets.shape
    scale = math.nan if um_per_px is None else um_per_px
    rows = []
    for number in range(1, labelled.islets_n + 1):
        y, x = np.nonzero(labelled.islets == number)
        diameter_um = 2 * math.sqrt(len(x) / math.pi) * scale
        volume_um3 = math.pi * diameter_um**3 / 6
        touches_border = min(x.min(), y.min()) == 0 or x.max() == width - 1 or y.max() == height - 1
        rows.append(
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"islet {number}")),
                "number": number,
                "centroid_x_px": x.mean(),
                "centroid_y_px": y.mean(),
                "area_px": len(x),
                "area_um2": len(x) * scale**2,
                "equal_area_diameter_um": diameter_um,
                "solidity": 0.95,
                "exocrine_contact_fraction": 0.1 * (number % 10),
                **{f"volume_{method}_um3": volume_um3 for method in VOLUME_METHODS},
                **{f"ieq_{method}": volume_um3 / IEQ_UM3 for method in IEQ_METHODS if method not in RICORDI_TABLES},
                **{f"ieq_{table}": 1.1 * volume_um3 / IEQ_UM3 for table in RICORDI_TABLES},
                "touches_border": bool(touches_border),
                "is_islet": um_per_px is None or diameter_um >= 50,
            }
        )
    columns = list(rows[0]) if rows else list(made_table(drawn_labels(), um_per_px).columns)
    empty_kinds: dict[str, Any] = {"touches_border": bool, "is_islet": bool, "number": int, "area_px": int}
    table = pd.DataFrame(rows, columns=columns)
    return table if rows else table.astype(dict.fromkeys(columns, float) | {"id": str} | empty_kinds)


def made_result(
    labelled: LabelledIslets,
    pixels: NDArray[np.uint8],
    *,
    name: str = "drawn",
    um_per_px: float | None = 2.0,
    warnings: tuple[QualityWarning, ...] = (),
    table: pd.DataFrame | None = None,
) -> ImageResult:
    """Join labels and pixels to a whole result; the table is `made_table` unless another is given."""
    calibration = Calibration(um_per_px=um_per_px or 1.7, source="caller" if um_per_px else "guess")
    table = made_table(labelled, um_per_px) if table is None else table
    disagreement = Disagreement(
        members=("islet-unet", "islet-unet-small"),
        ieq_relative=0.04,
        count_relative=0.03,
        islet_area_relative=0.02,
        exocrine_area_relative=0.2,
    )
    summary = summarise_image(
        table,
        name=name,
        classes=labelled.classes,
        um_per_px=um_per_px,
        parameters=AnalysisParameters(),
        disagreement=disagreement,
        warnings=warnings,
        exocrine_volume_um3=2.0e7 if um_per_px else None,
    )
    sha256 = hashlib.sha256(pixels.tobytes()).hexdigest()
    return ImageResult(
        micrograph=Micrograph(name=name, pixels=pixels, calibration=calibration, sha256=sha256, file_format="PNG"),
        calibration=calibration,
        labelled=labelled,
        table=table,
        summary=summary,
        disagreement=disagreement,
        provenance=Provenance(
            package_version="0.1.0",
            image_sha256=sha256,
            network=NetworkIdentity(
                name="islet-unet", version="1", weights_sha256="ab" * 32, engine="openvino", precision="f32"
            ),
            parameters={"network": "islet-unet", "border": "count", "um_per_px": um_per_px},
        ),
    )


def drawn_result(**chosen: Any) -> ImageResult:
    """The result of `drawn_labels`."""
    labelled = drawn_labels()
    return made_result(labelled, drawn_pixels(labelled), **chosen)


def empty_result() -> ImageResult:
    """A result of a picture without tissue."""
    none = LabelledIslets(classes=np.zeros((60, 80), np.uint8), islets=np.zeros((60, 80), np.int32), islets_n=0)
    return made_result(none, drawn_pixels(none), name="nothing")


def real_result(real_data: Path, name: str, um_per_px: float) -> ImageResult:
    """A measured result of a real micrograph with the experts' labels."""
    classes = np.asarray(Image.open(real_data / "labels" / f"{name}.png"))
    pixels = np.asarray(Image.open(real_data / "images" / f"{name}.png").convert("RGB"))
    islets, islets_n = ndimage.label(classes == ISLET)
    labelled = LabelledIslets(classes=classes, islets=islets.astype(np.int32), islets_n=islets_n)
    certain = np.where(classes == ISLET, 255, 0).astype(np.uint8)
    table = measure(
        labelled,
        Segmentation(classes=classes, islet_probability=certain),
        pixels,
        um_per_px=um_per_px,
        smallest_islet_um=50.0,
        image_sha256=hashlib.sha256(pixels.tobytes()).hexdigest(),
    )
    return made_result(labelled, pixels, name=name, um_per_px=um_per_px, table=table)


def pooled(results: list[ImageResult], *, name: str, sample: SampleParameters | None = None) -> Summary:
    """Pool images of one sample."""
    summary = pool([numbers_of(one) for one in results], name=name, parameters=AnalysisParameters(), sample=sample)
    return replace(summary, name=name)
