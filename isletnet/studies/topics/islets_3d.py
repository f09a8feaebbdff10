"""Islets in space for the study: pages of models over pictures, and what a z-stack holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isletnet.analysis.decode import decode
from isletnet.errors import ParameterError
from isletnet.studies.inputs.truth import find_picture
from isletnet.views.surfaces import DrawnSolid, stack_page, surfaces_page
from isletnet.volumes.found import FoundSolids, shown_slices, whole_mesh
from isletnet.volumes.labels_file import labels_ome_tiff
from isletnet.volumes.meshes import obj_bytes, stl_bytes
from isletnet.volumes.models import PlacedMesh, modelled_islets, stack_surfaces

if TYPE_CHECKING:
    from isletnet.studies.inputs.sources import StudyImage

MODEL_NOTE = (
    "A model, not a measurement: each islet is the union of the balls that fit into its outline (method vext). "
    "A picture from above says nothing of heights."
)
STACK_NOTE = (
    "Surfaces of the solids that were found in the slices of the stack; lengths in µm, voxels in true proportion."
)
_SLICE_SIDE_PX = 400
_TRIANGLES_N = 20_000
_STACK_SUFFIXES = (".tif", ".tiff")
_OTHER_SIGNS = re.compile(r"[^A-Za-z0-9_-]+")


def page_name(place: int, image: StudyImage) -> str:
    """Name the page of a picture: its place among the pages keeps pictures of one name apart."""
    return f"{place:03d}_{_OTHER_SIGNS.sub('_', image.key)}.html"


def model_page(image: StudyImage, pictures: Path | None) -> str:
    """Make the page of an analysed picture: a model of each islet, coloured by size, over the micrograph.

    Parameters
    ----------
    image
        A calibrated result with at least one islet.
    pictures
        Folder of the micrographs; None, or a folder that lacks this one, leaves the ground empty.

    Raises
    ------
    ParameterError
        There is no calibration, or no islet.
    """
    calibration = image.record.calibration
    if not calibration.is_known or calibration.um_per_px is None:
        raise ParameterError(
            "no pixel size is known, so there are no sizes to show; analyse with one", subject=image.name
        )
    um_per_px = calibration.um_per_px
    labelled = image.labelled()
    if not labelled.islets_n:
        raise ParameterError("there is no islet to show", subject=image.name)
    table = image.table().set_index("number")
    placed = modelled_islets(labelled.islets, um_per_px=um_per_px)
    picture = None if pictures is None else find_picture(pictures, image.key)
    ground = None if picture is None else decode(picture.read_bytes(), name=picture.name).pixels
    height_px, width_px = labelled.classes.shape
    return surfaces_page(
        [_drawn(one, float(table.loc[one.number, "equal_area_diameter_um"])) for one in placed],
        title=f"Islets of {image.key}",
        note=MODEL_NOTE,
        value_label="diameter (um)",
        ground=ground,
        ground_um=(height_px * um_per_px, width_px * um_per_px),
    )


def stack_paths(source: str, *, with_synthetic: bool) -> list[Path | None]:
    """List the stacks of a study, in order of their names.

    Parameters
    ----------
    source
        A file, or a folder with ``.tif`` and ``.tiff`` files; "" for none.
    with_synthetic
        Whether a synthetic stack, which has no file (None), takes the place of none.

    Raises
    ------
    ParameterError
        The folder holds no stack.
    """
    if not source:
        return [None] if with_synthetic else []
    place = Path(source)
    if place.is_file():
        return [place]
    found = sorted(path for path in place.iterdir() if path.suffix.lower() in _STACK_SUFFIXES and path.is_file())
    if not found:
        raise ParameterError("z-stacks as .tif or .tiff were expected, but there are none", subject=source)
    return [*found]


def slice_places(found: FoundSolids, most_n: int) -> list[int]:
    """Choose slices evenly over those that hold an islet."""
    held = np.flatnonzero(found.solids.any(axis=(1, 2)))
    return sorted(set(np.linspace(held[0], held[-1], most_n).round().astype(int).tolist()))


def solid_files(found: FoundSolids) -> Iterator[tuple[str, bytes, str]]:
    """Write what a stack gave for other programs, and a page of it.

    Yields
    ------
    suffix, content, caption
        Labels as OME-TIFF, surfaces as STL and OBJ, and `solids_page`.
    """
    stack, mesh = found.stack, whole_mesh(found)
    labels = labels_ome_tiff(found.solids, um_per_px=stack.um_per_px, um_per_slice=stack.um_per_slice)
    yield "labels.ome.tif", labels, f"{stack.name}: numbers of the solids as OME-TIFF."
    yield "solids.stl", stl_bytes(mesh), f"{stack.name}: surfaces of all solids as STL, µm."
    yield "solids.obj", obj_bytes(mesh), f"{stack.name}: surfaces of all solids as OBJ, µm."
    yield "page.html", solids_page(found).encode(), f"{stack.name}: slices and surfaces side by side, to turn."


def solids_page(found: FoundSolids) -> str:
    """Make the page of a stack: its slices to leaf through beside its surfaces, coloured by volume."""
    stack = found.stack
    placed = stack_surfaces(
        found.solids, um_per_px=stack.um_per_px, um_per_slice=stack.um_per_slice, triangles_n=_TRIANGLES_N
    )
    volumes = found.table.set_index("number")["true_ieq"]
    step = max(1, max(found.solids.shape[1:]) // _SLICE_SIDE_PX)
    slices = [one[::step, ::step] for one in shown_slices(found, range(len(stack.samples)))]
    return stack_page(
        [_drawn(one, float(volumes[one.number])) for one in placed],
        slices,
        title=f"Islets of {stack.name}",
        note=STACK_NOTE,
        value_label="volume (IEQ)",
    )


def _drawn(placed: PlacedMesh, value: float) -> DrawnSolid:
    return DrawnSolid(vertices_um=placed.mesh.vertices_um, faces=placed.mesh.faces, value=value)
