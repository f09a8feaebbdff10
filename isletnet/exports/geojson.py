"""Outlines as GeoJSON that QuPath opens as annotations."""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from typing import Any

import pandas as pd

from isletnet.exports.outlines import Outline, Outlines, Ring, trace
from isletnet.schemas import LabelledIslets

_ISLET = {"name": "Islet", "color": [86, 205, 255]}
_SMALL = {"name": "Small particle", "color": [255, 255, 255]}
_EXOCRINE = {"name": "Exocrine tissue", "color": [255, 130, 215]}


def qupath_geojson(
    labelled: LabelledIslets, table: pd.DataFrame, *, image_sha256: str, outlines: Outlines | None = None
) -> bytes:
    """Write every region as a QuPath annotation with its measurements.

    Parameters
    ----------
    labelled
        Classes and islet ids.
    table
        One row per islet id, with ``id``, ``number`` and ``is_islet``. Every finite numeric column becomes a
        measurement of the same name.
    image_sha256
        Identifies the image: exocrine regions get ids that are the same in each rerun.
    outlines
        Those of ``labelled``, where they are traced already.

    Returns
    -------
    bytes
        A GeoJSON FeatureCollection, coordinates in pixels as QuPath wants them, UTF-8.
    """
    outlines = outlines or trace(labelled)
    features = []
    rows = zip(table["id"].tolist(), table["number"].tolist(), table["is_islet"].tolist(), strict=True)
    for (identity, number, is_islet), measurements in zip(rows, _measurements(table), strict=True):
        kind = _ISLET if is_islet else _SMALL
        parts = outlines.islets[number - 1]
        features.append(_feature(str(identity), f"{kind['name']} {number}", kind, parts, measurements))
    for number, part in enumerate(outlines.exocrine, start=1):
        shape = hashlib.sha256(part.exterior.astype("<i4").tobytes()).hexdigest()
        identity = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{image_sha256}/exocrine/{shape}"))
        name = f"{_EXOCRINE['name']} {number}"
        features.append(_feature(identity, name, _EXOCRINE, (part,), {"area_px": part.area_px}))
    return f'{{"type":"FeatureCollection","features":[{",".join(features)}]}}'.encode()


def _feature(
    identity: str, name: str, kind: dict[str, Any], parts: tuple[Outline, ...], measurements: dict[str, float]
) -> str:
    polygons = [f"[{','.join(_closed(ring) for ring in part.rings)}]" for part in parts]
    geometry = (
        f'{{"type":"Polygon","coordinates":{polygons[0]}}}'
        if len(polygons) == 1
        else f'{{"type":"MultiPolygon","coordinates":[{",".join(polygons)}]}}'
    )
    properties = {"objectType": "annotation", "name": name, "classification": kind, "measurements": measurements}
    return f'{{"type":"Feature","id":{_json(identity)},"geometry":{geometry},"properties":{_json(properties)}}}'


def _closed(ring: Ring) -> str:
    """Write a ring as text: thousands of pairs as lists of their own would cost several times as much."""
    numbers = (*ring.ravel().tolist(), *ring[0].tolist())
    return f"[{','.join(['[%d,%d]'] * (len(ring) + 1))}]" % numbers


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _measurements(table: pd.DataFrame) -> list[dict[str, float]]:
    """Give the finite numbers of each row by name; truth is 1 or 0."""
    columns = {
        name: (column.astype(float) if column.dtype == bool else column).tolist()
        for name, column in table.items()
        if name != "number" and pd.api.types.is_numeric_dtype(column.dtype)
    }
    return [
        {name: value for name, value in zip(columns, row, strict=True) if math.isfinite(value)}
        for row in zip(*columns.values(), strict=True)
    ]
