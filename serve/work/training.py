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
from isletnet.storage.layout import file_key, image_key
from isletnet.storage.store import Store
from isletnet.storage.training import TrainingCopy, add_copy

PIXELS_FILE, LABELS_FILE, SCALE_FILE = "image.png", "labels.png", "scale.json"


def copy_for_training(
    store: Store, request_id: str, number: int, *, attempt: int, now: datetime
) -> TrainingCopy | None:
    """Copy an analysed image for training; doing it again changes nothing.

    Parameters
    ----------
    attempt
        The attempt whose labels are copied.

    Returns
    -------
    TrainingCopy or None
        None where the image is not given, or not any more.

    Raises
    ------
    ConflictError
        Another copy is there already.
    """
    if not is_held(store, request_id, number):
        return None
    folder = f"images/{number}"
    labels = np.asarray(
        tifffile.imread(BytesIO(store.read(file_key(request_id, attempt, f"{folder}/labels.tif"))), is_ome=False)
    )
    summary = json.loads(store.read(file_key(request_id, attempt, f"{folder}/summary.json")))
    # The labels tell how large the picture is, so no other limit is needed.
    pixels = decode(store.read(image_key(request_id, number)), name="image", max_pixels=labels.size).pixels
    files = {PIXELS_FILE: _png(pixels), LABELS_FILE: _png(labels), SCALE_FILE: _scale(summary["calibration"])}
    return add_copy(store, request_id, number, files, now=now)


def _png(picture: NDArray[np.uint8]) -> bytes:
    return bytes(imagecodecs.png_encode(picture, level=6))


def _scale(calibration: dict[str, Any]) -> bytes:
    """Say how large a pixel is; a guess is no knowledge."""
    known = calibration["source"] != "guess"
    scale = {"um_per_px": calibration["um_per_px"] if known else None, "source": calibration["source"]}
    return json.dumps(scale).encode()
