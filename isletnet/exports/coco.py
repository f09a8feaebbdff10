"""Outlines as a COCO data set of instances, for training other networks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from isletnet.exports.outlines import Outline, fill, trace
from isletnet.exports.text import printable
from isletnet.schemas import CLASS_NAMES, EXOCRINE, ISLET, LabelledIslets


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CocoImage:
    """One picture of the data set; ``table`` has ``id`` and ``number``."""

    file_name: str
    labelled: LabelledIslets
    table: pd.DataFrame


def coco(images: Iterable[CocoImage]) -> bytes:
    """Write islets and exocrine regions of some pictures as COCO instances.

    Parameters
    ----------
    images
        Taken one by one, so that a generator keeps memory flat.

    Returns
    -------
    bytes
        JSON, UTF-8. Regions are polygons on pixel edges; those with holes are uncompressed run lengths, as COCO
        polygons know no holes. ``area`` is the pixel count. ``isletnet_id`` is the id of the islet's table.
    """
    pictures: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_number, image in enumerate(images, start=1):
        height, width = image.labelled.classes.shape
        name = printable(image.file_name)
        pictures.append({"id": image_number, "file_name": name, "height": height, "width": width})
        identities = dict(zip(image.table["number"].tolist(), image.table["id"].tolist(), strict=True))
        outlines = trace(image.labelled)
        regions = [(ISLET, identities[number], parts) for number, parts in enumerate(outlines.islets, start=1) if parts]
        regions += [(EXOCRINE, None, (part,)) for part in outlines.exocrine]
        for category, identity, parts in regions:
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_number,
                "category_id": category,
                "iscrowd": 0,
                "area": sum(part.area_px for part in parts),
                "bbox": _bbox(parts),
                "segmentation": _segmentation(parts, (height, width)),
            }
            annotations.append(annotation if identity is None else {**annotation, "isletnet_id": str(identity)})
    document = {
        "info": {"description": "isletnet: pancreatic islets and exocrine tissue"},
        "images": pictures,
        "categories": [{"id": number, "name": CLASS_NAMES[number]} for number in (ISLET, EXOCRINE)],
        "annotations": annotations,
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _bbox(parts: tuple[Outline, ...]) -> list[int]:
    corners = np.concatenate([part.exterior for part in parts])
    left, top = corners.min(axis=0).tolist()
    right, bottom = corners.max(axis=0).tolist()
    return [left, top, right - left, bottom - top]


def _segmentation(parts: tuple[Outline, ...], shape: tuple[int, int]) -> list[list[int]] | dict[str, Any]:
    if any(part.holes for part in parts):
        return {"size": list(shape), "counts": _run_lengths(parts, shape)}
    return [part.exterior.ravel().tolist() for part in parts]


def _run_lengths(parts: tuple[Outline, ...], shape: tuple[int, int]) -> list[int]:
    """Give column-wise run lengths of background and region in turn, over the whole picture."""
    left, top, width, height = _bbox(parts)
    region = fill(parts, (height, width), offset_px=(left, top))
    steps = np.diff(np.pad(region.astype(np.int8), ((1, 1), (0, 0))), axis=0).T
    columns, starts = np.nonzero(steps == 1)
    _, stops = np.nonzero(steps == -1)
    first = (columns + left) * shape[0] + starts + top
    last = (columns + left) * shape[0] + stops + top
    joined = np.concatenate([[0], np.column_stack([first, last]).ravel(), [shape[0] * shape[1]]])
    runs: list[int] = np.diff(joined).tolist()
    return runs
