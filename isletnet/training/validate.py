"""How good a network is: classes and islets found, on pictures that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from isletnet.analysis.segment import winning_classes
from isletnet.evaluation.segmentation import confusion_matrix, islet_parts, pixel_scores
from isletnet.schemas import CELL_PX, EXOCRINE, ISLET
from isletnet.training.datasets import NOT_ISLET

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from isletnet.training.datasets import TrainingPicture

    Runner = Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.uint8]]


def predict_classes(run: Runner, picture: TrainingPicture, islet_threshold: float) -> NDArray[np.uint8]:
    """Class mask of a picture at the working scale, uint8 ``(height, width)``."""
    height, width = picture.labels.shape
    pads = ((0, -height % CELL_PX), (0, -width % CELL_PX), (0, 0))
    probabilities = run(np.pad(picture.pixels, pads, mode="edge"), picture.log_background)
    return winning_classes(probabilities[:height, :width], islet_threshold)


def class_scores(run: Runner, pictures: Sequence[TrainingPicture], *, islet_threshold: float) -> dict[str, Any]:
    """Score class masks, pooled over pictures and for each.

    Parameters
    ----------
    run
        A network, see `isletnet.networks.model.Runner`.
    islet_threshold
        Probability from which a pixel is islet.
    pictures
        With labels at the working scale. Where exocrine tissue was not annotated only islets are scored.

    Returns
    -------
    dict
        ``islet`` and ``exocrine`` (pooled Dice, precision, recall), ``pictures_n``, and ``per_picture`` with name,
        ``islet_dice``, ``exocrine_dice`` (None where undefined) and ``islet_area_ratio``.
    """
    pooled = np.zeros((3, 3), dtype=np.int64)
    islets_only = np.zeros((3, 3), dtype=np.int64)
    rows = []
    for picture in pictures:
        found = predict_classes(run, picture, islet_threshold)
        partial = bool((picture.labels == NOT_ISLET).any())
        truth = np.where(picture.labels == NOT_ISLET, 0, picture.labels).astype(np.uint8)
        confusion = confusion_matrix(
            np.where(found == EXOCRINE, 0, found).astype(np.uint8) if partial else found, truth
        )
        islets_only += confusion
        if not partial:
            pooled += confusion
        scores = pixel_scores(confusion)
        truth_px = int((truth == ISLET).sum())
        rows.append(
            {
                "name": picture.name,
                "islet_dice": _plain(scores[ISLET].dice),
                "exocrine_dice": None if partial else _plain(scores[EXOCRINE].dice),
                "islet_area_ratio": _plain(float((found == ISLET).sum() / truth_px)) if truth_px else None,
                "islet_parts": int(islet_parts(truth).max()),
            }
        )
    return {
        "islet": _score(islets_only, ISLET),
        "exocrine": _score(pooled, EXOCRINE),
        "pictures_n": len(rows),
        "per_picture": rows,
    }


def _plain(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def _score(confusion: NDArray[np.int64], code: int) -> dict[str, float | None]:
    scores = pixel_scores(confusion)[code]
    return {"dice": _plain(scores.dice), "precision": _plain(scores.precision), "recall": _plain(scores.recall)}


def largest_dice_shift(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Largest change of a pooled Dice between two sets of `class_scores`."""
    pairs = [(one[name]["dice"], other[name]["dice"]) for name in ("islet", "exocrine")]
    return max((abs(a - b) for a, b in pairs if a is not None and b is not None), default=0.0)
