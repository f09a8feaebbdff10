"""The truth of pictures: class masks and islets that experts drew or a synthetic scene holds."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isletnet.analysis.decode import decode
from isletnet.analysis.formats.label_files import read_labels
from isletnet.errors import InputError, ParameterError
from isletnet.evaluation.segmentation import islet_parts
from isletnet.schemas import ISLET

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isletnet.studies.inputs.sources import StudyImage

_PICTURES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """A result and the truth of its picture, in one pixel grid. ``pixels`` is None where the picture is absent."""

    name: str
    um_per_px: float
    found_classes: NDArray[np.uint8]
    found_islets: NDArray[np.int32]
    true_classes: NDArray[np.uint8]
    true_islets: NDArray[np.int32]
    pixels: NDArray[np.uint8] | None


def read_pair(image: StudyImage, truth: Path) -> Pair | None:
    """Read the truth of a result.

    Parameters
    ----------
    image
        A result.
    truth
        A folder with ``labels/`` (0 background, 1 islet, 2 exocrine) and perhaps ``islets/`` (numbers), ``images/``
        and ``calibration.csv``, as `isletnet synth` writes it; files are named like the result's picture.

    Returns
    -------
    Pair or None
        None where the folder knows nothing of the picture. Islets below the smallest particle of the analysis are
        left out of the truth, as they are of the result.

    Raises
    ------
    ParameterError
        The sizes differ, or the size of a pixel is not known.
    """
    labels = find_picture(truth / "labels", image.key)
    if labels is None:
        return None
    labelled = image.labelled()
    true_classes = _read(labels, labelled.classes.shape).astype(np.uint8)
    calibration = image.record.calibration
    um_per_px = calibration.um_per_px if calibration.is_known else _calibrations(truth).get(image.key)
    if um_per_px is None:
        raise ParameterError(
            "no pixel size is known; analyse with one or add it to calibration.csv", subject=image.name
        )
    numbers = find_picture(truth / "islets", image.key)
    islets = islet_parts(true_classes)
    if numbers is not None:
        # Numbers cover the whole footprint; the truth ends at what can be seen.
        islets = np.where(true_classes == ISLET, _read(numbers, true_classes.shape), 0).astype(np.int32)
    smallest_um = float(image.record.provenance.parameters.get("smallest_particle_um", 0.0))
    smallest_px = np.pi / 4 * (smallest_um / um_per_px) ** 2
    islets[(np.bincount(islets.ravel()) < smallest_px)[islets]] = 0
    picture = find_picture(truth / "images", image.key)
    pixels = None if picture is None else decode(picture.read_bytes(), name=picture.name).pixels
    return Pair(
        name=image.key,
        um_per_px=um_per_px,
        found_classes=labelled.classes,
        found_islets=labelled.islets,
        true_classes=true_classes,
        true_islets=islets,
        pixels=pixels,
    )


def find_picture(folder: Path, key: str) -> Path | None:
    """Find the picture of a name, whatever its suffix; None where there is none."""
    return next((path for suffix in _PICTURES if (path := folder / f"{key}{suffix}").is_file()), None)


def _read(path: Path, shape_px: tuple[int, int]) -> NDArray[np.int64]:
    try:
        return read_labels(path.read_bytes(), shape_px=shape_px).astype(np.int64)
    except InputError as error:
        raise type(error)(error.message, subject=str(path)) from error


def _calibrations(truth: Path) -> dict[str, float]:
    table = truth / "calibration.csv"
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as lines:
        return {row["name"]: float(row["um_per_px"]) for row in csv.DictReader(lines)}
