"""Files that the smaller commands write: outlines for other programs, synthetic micrographs with their truth."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence, Set
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from isletnet.errors import ExportError
from isletnet.schemas import IEQ_UM3

if TYPE_CHECKING:
    import pandas as pd

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
        TIFFs of the same names, ``calibration.csv``, and ``truth.csv`` with one row per islet. Micrographs of other
        seeds that it holds already keep their rows.

    Yields
    ------
    Path
        Each micrograph, as it is written; at the end the two tables.

    Raises
    ------
    ExportError
        A file cannot be written, or a table that is there already is not one of these.
    """
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
    true_columns = ["name", "number", "shape", "stain_strength", "visible_area_px", "volume_um3", "ieq"]
    drawn = {str(row["name"]) for row in calibration}
    for path, rows, columns in (
        (out / "calibration.csv", calibration, ["name", "um_per_px"]),
        (out / "truth.csv", truth, true_columns),
    ):
        yield write_atomically(path, csv_bytes(_with_earlier(path, rows, columns, drawn=drawn)))


def _with_earlier(
    path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str], *, drawn: Set[str]
) -> pd.DataFrame:
    """Put rows together with those of micrographs that a table holds already and that were not drawn again."""
    import pandas as pd

    earlier: list[dict[str, Any]] = []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            if table.fieldnames != list(columns):
                raise ExportError(
                    "expected a table that `isletnet synth` wrote; give another folder", subject=str(path)
                )
            earlier = [row for row in table if row["name"] not in drawn]
    ordered = sorted([*earlier, *rows], key=lambda row: (row["name"], int(row.get("number", 0))))
    return pd.DataFrame(ordered, columns=columns)


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
