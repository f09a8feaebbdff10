"""Files that the smaller commands write: outlines for other programs, synthetic micrographs with their truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from isletnet.schemas import IEQ_UM3

if TYPE_CHECKING:
    from isletnet.synthetic.scene import Scene

Program = Literal["imagej", "qupath", "coco"]

ROIS_FILE, CONTOURS_FILE, COCO_FILE = "rois.zip", "contours.geojson", "coco.json"


def write_outlines(program: Program, folders: Sequence[Path], results: Path) -> Iterator[Path]:
    """Write the outlines of stored results for another program.

    Parameters
    ----------
    program
        ``imagej`` and ``qupath`` get a file in each folder, ``coco`` gets one for all.
    folders
        Folders of single images.
    results
        Where the file for all of them goes.

    Yields
    ------
    Path
        Each file, as it is written.

    Raises
    ------
    ExportError
        A result is damaged, or a file cannot be written.
    """
    from isletnet.exports.coco import CocoImage, coco
    from isletnet.exports.folder import read_image, read_labelled, read_table, write_atomically
    from isletnet.exports.geojson import qupath_geojson
    from isletnet.exports.rois import imagej_rois

    if program == "coco":
        images = (
            CocoImage(
                file_name=read_image(folder).record.image.name,
                labelled=read_labelled(folder),
                table=read_table(folder),
            )
            for folder in folders
        )
        yield write_atomically(results / COCO_FILE, coco(images))
        return
    for folder in folders:
        labelled, table = read_labelled(folder), read_table(folder)
        if program == "imagej":
            yield write_atomically(folder / ROIS_FILE, imagej_rois(labelled, table))
        else:
            sha256 = read_image(folder).record.provenance.image_sha256
            content = qupath_geojson(labelled, table, image_sha256=sha256)
            yield write_atomically(folder / CONTOURS_FILE, content)


def write_scenes(scenes: Iterable[Scene], out: Path) -> Iterator[Path]:
    """Write synthetic micrographs and their truth.

    Parameters
    ----------
    scenes
        Taken one by one, so that a generator keeps memory flat.
    out
        Gets ``images/``, ``labels/`` (0 background, 1 islet, 2 exocrine) and ``islets/`` (numbers) with calibrated
        TIFFs of the same names, ``calibration.csv``, and ``truth.csv`` with one row per islet.

    Yields
    ------
    Path
        Each micrograph, as it is written; at the end the two tables.

    Raises
    ------
    ExportError
        A file cannot be written.
    """
    import pandas as pd

    from isletnet.exports.folder import csv_bytes, write_atomically
    from isletnet.exports.labels import classes_tiff, islets_tiff

    calibration, truth = [], []
    for scene in scenes:
        name = f"synthetic-{scene.seed:06d}"
        size = scene.um_per_px
        write_atomically(out / "labels" / f"{name}.tif", classes_tiff(scene.classes, um_per_px=size))
        write_atomically(out / "islets" / f"{name}.tif", islets_tiff(scene.islets, um_per_px=size))
        calibration.append({"name": name, "um_per_px": size})
        truth += [
            {
                "name": name,
                "number": islet.number,
                "shape": islet.shape,
                "stain_strength": islet.stain_strength,
                "visible_area_px": islet.area_px,
                "volume_um3": islet.volume_um3,
                "ieq": islet.volume_um3 / IEQ_UM3,
            }
            for islet in scene.truth
        ]
        yield write_atomically(out / "images" / f"{name}.tif", _micrograph_tiff(scene))
    columns = ["name", "number", "shape", "stain_strength", "visible_area_px", "volume_um3", "ieq"]
    yield write_atomically(out / "calibration.csv", csv_bytes(pd.DataFrame(calibration)))
    yield write_atomically(out / "truth.csv", csv_bytes(pd.DataFrame(truth, columns=columns)))


def _micrograph_tiff(scene: Scene) -> bytes:
    import tifffile

    buffer = BytesIO()
    pixels_per_um = 1.0 / scene.um_per_px
    tifffile.imwrite(
        buffer,
        scene.pixels,
        photometric="rgb",
        compression="zlib",
        predictor=True,
        # ImageJ and the decoder take the unit from its description.
        description="ImageJ=1.54f\nunit=micron\n",
        resolution=(pixels_per_um, pixels_per_um),
        resolutionunit="NONE",
        software="isletnet",
        metadata=None,
    )
    return buffer.getvalue()
