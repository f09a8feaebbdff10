"""Outlines as an ImageJ ROI archive (``RoiSet.zip``), for the ROI manager."""

from __future__ import annotations

import zipfile
from io import BytesIO

import numpy as np
import pandas as pd
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

from isletnet.exports.outlines import Outline, Outlines, trace
from isletnet.schemas import LabelledIslets

_MOVE_TO, _LINE_TO, _CLOSE = 0.0, 1.0, 4.0
# Without it the archive's bytes would change with the clock.
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)


def imagej_rois(labelled: LabelledIslets, table: pd.DataFrame, *, outlines: Outlines | None = None) -> bytes:
    """Write islets, small particles and exocrine tissue as ROIs with unique names.

    Parameters
    ----------
    labelled
        Classes and islet ids.
    table
        One row per islet id, with ``number`` and ``is_islet``.
    outlines
        Those of ``labelled``, where they are traced already.

    Returns
    -------
    bytes
        A ZIP of ``islet-0001.roi``, ``particle-0002.roi``, ..., ``exocrine-0001.roi``, ... The area that ImageJ
        measures is the pixel count. Regions with holes or several parts are composite ROIs.
    """
    outlines = outlines or trace(labelled)
    is_islet = dict(zip(table["number"].tolist(), table["is_islet"].tolist(), strict=True))
    named: list[tuple[str, tuple[Outline, ...]]] = [
        (f"{'islet' if is_islet[number] else 'particle'}-{number:04d}", parts)
        for number, parts in enumerate(outlines.islets, start=1)
        if parts
    ]
    named += [(f"exocrine-{number:04d}", (part,)) for number, part in enumerate(outlines.exocrine, start=1)]
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, parts in named:
            entry = zipfile.ZipInfo(f"{name}.roi", date_time=_FIXED_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, _roi(name, parts).tobytes(), compresslevel=1)
    return buffer.getvalue()


def _roi(name: str, parts: tuple[Outline, ...]) -> ImagejRoi:
    corners = np.concatenate([part.exterior for part in parts])
    left, top = corners.min(axis=0).tolist()
    right, bottom = corners.max(axis=0).tolist()
    roi = ImagejRoi(
        roitype=ROI_TYPE.POLYGON,
        options=ROI_OPTIONS.OVERLAY_BACKGROUNDS | ROI_OPTIONS.OVERLAY_LABELS,
        name=name,
        left=left,
        top=top,
        right=right,
        bottom=bottom,
    )
    if len(parts) == 1 and not parts[0].holes:
        roi.integer_coordinates = (parts[0].exterior - [left, top]).astype(np.int32)
        roi.n_coordinates = len(parts[0].exterior)
    else:
        path = [number for part in parts for ring in part.rings for number in _path(ring.tolist())]
        roi.roitype = ROI_TYPE.RECT
        roi.multi_coordinates = np.array(path, dtype=np.float32)
        roi.shape_roi_size = len(path)
    return roi


def _path(ring: list[list[int]]) -> list[float]:
    path = [_MOVE_TO, *ring[0]]
    for corner in ring[1:]:
        path += [_LINE_TO, *corner]
    return [*path, _CLOSE]
