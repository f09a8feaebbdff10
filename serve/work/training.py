"""What is kept of an image for training: pixels, labels and scale, and nothing else that a camera writes."""

from __future__ import annotations

import json
from datetime import datetime
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from isletnet.analysis.decode import decode
from isletnet.storage.consent import is_held
from isletnet.storage.layout import image_key
from isletnet.storage.store import Store
from isletnet.storage.training import TrainingCopy, add_copy
from isletnet.storage.versions import files_of
from serve.work.tasks import CopyDone, CopyTask

PIXELS_FILE, LABELS_FILE, SCALE_FILE = "image.png", "labels.png", "scale.json"


def copy_for_training(
    store: Store, request_id: str, number: int, *, labels_key: str, summary_key: str, version: int, now: datetime
) -> TrainingCopy | None:
    """Copy an analysed image for training; doing it again changes nothing.

    Parameters
    ----------
    labels_key, summary_key
        Where the labels of the image and its summary are.
    version
        Whose labels these are: 0 of the network, else of a correction.

    Returns
    -------
    TrainingCopy or None
        None where the image is not given, or not any more.

    Raises
    ------
    ConflictError
        Another copy of this version is there already.
    """
    if not is_held(store, request_id, number):
        return None
    labels = np.asarray(tifffile.imread(BytesIO(store.read(labels_key)), is_ome=False))
    calibration = json.loads(store.read(summary_key))["calibration"]
    # The labels tell how large the picture is, so no other limit is needed.
    pixels = decode(store.read(image_key(request_id, number)), name="image", max_pixels=labels.size).pixels
    files = {PIXELS_FILE: _png(pixels), LABELS_FILE: _png(labels), SCALE_FILE: _scale(calibration)}
    return add_copy(store, request_id, number, files, version=version, now=now)


def do_copy(store: Store, task: CopyTask, *, now: datetime) -> CopyDone:
    """Make a copy that is missing, as `isletnet.storage.training.copies_due` lists them; raises like the store."""
    files = files_of(store, task.request_id, task.version)
    labels_key, summary_key = (files[f"images/{task.number}/{name}"][0] for name in ("labels.tif", "summary.json"))
    copy_for_training(
        store,
        task.request_id,
        task.number,
        labels_key=labels_key,
        summary_key=summary_key,
        version=task.version,
        now=now,
    )
    return CopyDone()


def _png(picture: NDArray[np.uint8]) -> bytes:
    return bytes(imagecodecs.png_encode(picture, level=6))


def _scale(calibration: dict[str, Any]) -> bytes:
    """Say how large a pixel is; a guess is no knowledge."""
    known = calibration["source"] != "guess"
    scale = {"um_per_px": calibration["um_per_px"] if known else None, "source": calibration["source"]}
    return json.dumps(scale).encode()
