"""Training pictures: a bank of synthetic scenes, and annotated real micrographs."""

from __future__ import annotations

import csv
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from isletnet.analysis.preprocess import background_log_levels, resample
from isletnet.errors import InputError
from isletnet.schemas import EXOCRINE
from isletnet.synthetic.scene import make_scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# In a picture whose exocrine tissue was not annotated, all that is no islet says only that.
NOT_ISLET = 3
SCENE_SIDE_PX = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingPicture:
    """A picture at the working scale: uint8 pixels ``(h, w, 3)``, uint8 labels ``(h, w)``, log background cells."""

    name: str
    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    log_background: NDArray[np.float32]


def _scene(job: tuple[int, float]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    seed, working_um_per_px = job
    rng = np.random.default_rng([seed, 7])
    um_per_px = float(working_um_per_px * np.exp(np.clip(rng.normal(0, 0.15), -0.4, 0.4)))
    scene = make_scene(seed, (SCENE_SIDE_PX, SCENE_SIDE_PX), um_per_px)
    return scene.pixels, scene.classes, background_log_levels(scene.pixels)


def synthetic_bank(
    folder: Path, seeds: Sequence[int], working_um_per_px: float, *, workers: int = 2
) -> list[TrainingPicture]:
    """Make the scenes of ``seeds``, or read those that ``folder`` holds already.

    Parameters
    ----------
    folder
        Where shards of 100 scenes are kept, so that a stopped run goes on where it was.
    seeds
        One scene a seed.
    working_um_per_px
        Mean pixel size; each scene varies by up to 50 % around it.
    workers
        Processes.

    Returns
    -------
    list of TrainingPicture
        In the order of ``seeds``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for start in range(0, len(seeds), 100):
        chunk = seeds[start : start + 100]
        shard = folder / f"scenes-{chunk[0]}-{chunk[-1]}-{working_um_per_px:g}.npz"
        if not shard.is_file():
            with ProcessPoolExecutor(workers) as pool:
                made = list(pool.map(_scene, [(seed, working_um_per_px) for seed in chunk], chunksize=5))
            partial = shard.with_suffix(".part.npz")
            pixels, labels, log = (np.stack(arrays) for arrays in zip(*made, strict=True))
            np.savez(partial, pixels=pixels, labels=labels, log=log)
            partial.rename(shard)
        with np.load(shard) as arrays:
            pixels, labels, log = arrays["pixels"], arrays["labels"], arrays["log"]
        pictures += [
            TrainingPicture(name=f"synthetic-{seed}", pixels=pixels[i], labels=labels[i], log_background=log[i])
            for i, seed in enumerate(chunk)
        ]
    return pictures


def real_pictures(folder: Path, working_um_per_px: float) -> Iterator[TrainingPicture]:
    """Read annotated micrographs (``images/``, ``labels/``, ``calibration.csv``) at the working scale.

    Parameters
    ----------
    folder
        The data set; label pixels are 0 background, 1 islet, 2 exocrine.
    working_um_per_px
        Pixel size to resample to.

    Yields
    ------
    TrainingPicture
        A picture whose name starts with ``Lh`` has no exocrine annotation: its background is `NOT_ISLET`.

    Raises
    ------
    InputError
        If the folder is no data set, or a picture and its labels do not belong together.
    """
    table = folder / "calibration.csv"
    if not table.is_file():
        raise InputError("expected calibration.csv with name,um_per_px beside images/ and labels/", subject=str(folder))
    with table.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        pixels, labels = _annotated(folder, row["name"])
        factor = float(row["um_per_px"]) / working_um_per_px
        pixels = resample(pixels, factor)
        shares = [resample((labels == c).astype(np.uint8) * 255, factor) for c in range(3)]
        labels = np.argmax(np.stack(shares), axis=0).astype(np.uint8)
        if row["name"].startswith("Lh"):
            labels[labels == 0] = NOT_ISLET
        yield TrainingPicture(
            name=row["name"], pixels=pixels, labels=labels, log_background=background_log_levels(pixels)
        )


def _annotated(folder: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    try:
        with (
            Image.open(folder / "images" / f"{name}.png") as picture,
            Image.open(folder / "labels" / f"{name}.png") as mask,
        ):
            pixels, labels = np.asarray(picture.convert("RGB")), np.asarray(mask)
    except OSError as error:
        raise InputError(f"expected {name}.png in images/ and in labels/: {error}", subject=str(folder)) from error
    if labels.shape != pixels.shape[:2] or labels.max(initial=0) > EXOCRINE:
        raise InputError(
            f"expected labels of shape {pixels.shape[:2]} with 0 background, 1 islet, 2 exocrine; "
            f"got shape {labels.shape} with values up to {labels.max(initial=0)}",
            subject=name,
        )
    return pixels, labels
