"""What is too heavy for a page's kernel: surfaces, stacks and their files, made in a folder by a process of its own.

A folder holds ``job.json`` and what the job needs. The process writes files beside it, and ``outcome.json`` last.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from isletnet.analysis.formats.label_files import read_labels
from isletnet.errors import IsletnetError, ParameterError
from isletnet.views.surfaces import DrawnSolid, surfaces_scene
from isletnet.volumes.found import FoundSolids, find_solids, shown_slices, whole_mesh
from isletnet.volumes.labels_file import labels_ome_tiff
from isletnet.volumes.meshes import Mesh, obj_bytes, stl_bytes
from isletnet.volumes.models import PlacedMesh, modelled_islets, stack_surfaces
from isletnet.volumes.solids import joined, measure_solids
from isletnet.volumes.stacks import Stack, read_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

StackKind = Literal["intensity", "labels", "micrographs"]

JOB, OUTCOME, SCENE, TABLE = "job.json", "outcome.json", "scene.html", "solids.csv"
STL, OBJ, LABELS = "islets.stl", "islets.obj", "labels.ome.tif"
ISLETS, PICTURE, STACK = "islets.tif", "picture.jpg", "stack.tif"
_TRIANGLES_N = 60_000
_LARGEST_SLICE_PX, _SLICE_QUALITY, _SLICES_AT_ONCE_N = 900, 80, 16
_OUTLINE_RGB = (86, 205, 255)


def do_job(folder: Path) -> None:
    """Do what ``job.json`` says; what cannot be done is told in ``outcome.json`` with its code."""
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    tasks = {"model": model_islets, "cut": cut_stack, "stack": measure_stack}
    try:
        outcome = {"code": None, **tasks[job["task"]](folder, job)}
    except IsletnetError as error:
        outcome = {"code": error.code, "message": error.message}
    (folder / OUTCOME).write_text(json.dumps(outcome, allow_nan=False), encoding="utf-8")


def model_islets(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Model the islets of a picture as solids over their outlines.

    Parameters
    ----------
    folder
        Holds ``islets.tif``, and ``picture.jpg`` for the ground if there is one.
    job
        ``um_per_px``, or None to model in pixels; ``smallest_um``, the diameter from which islets are counted and
        modelled; ``size_px`` width and height; ``value_label``, what the colours mean.

    Returns
    -------
    dict
        ``islets_n``, and the ``smallest`` and the ``largest`` equal-area diameter; without islets the number alone.
    """
    width_px, height_px = job["size_px"]
    islets = read_labels((folder / ISLETS).read_bytes(), shape_px=(height_px, width_px)).astype(np.int32)
    scale = job["um_per_px"] or 1.0
    diameters = 2 * np.sqrt(np.bincount(islets.ravel()) / np.pi) * scale
    is_counted = diameters >= job["smallest_um"] if job["um_per_px"] else diameters > 0
    is_counted[0] = False
    if not is_counted.any():
        return {"islets_n": 0}
    islets[~is_counted[islets]] = 0
    placed = modelled_islets(islets, um_per_px=scale)
    scene = surfaces_scene(
        [_drawn(one, float(diameters[one.number])) for one in placed],
        job["value_label"],
        _picture(folder / PICTURE),
        (height_px * scale, width_px * scale),
    )
    (folder / SCENE).write_text(scene, encoding="utf-8")
    _write_mesh(folder, _joined_mesh(placed))
    there = diameters[is_counted]
    return {"islets_n": len(placed), "smallest": float(there.min()), "largest": float(there.max())}


def cut_stack(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Write the slices of a colour stack as pictures for the service, ``slices/0000.png`` and so on.

    Returns
    -------
    dict
        ``slices_n`` and ``um_per_px``.

    Raises
    ------
    ParameterError
        The stack has no colours.
    InputError
        As `isletnet.volumes.stacks.read_stack`.
    """
    from PIL import Image

    stack = _stack(folder, job)
    if not stack.is_rgb or stack.samples.dtype != np.uint8:
        raise ParameterError("a network needs colour slices of stained islets, of 8 bits; this stack has others")
    (folder / "slices").mkdir()
    for number, one in enumerate(stack.samples):
        Image.fromarray(np.asarray(one, np.uint8)).save(folder / "slices" / f"{number:04d}.png", compress_level=1)
    return {"slices_n": len(stack.samples), "um_per_px": stack.um_per_px}


def measure_stack(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Find the solids of a stack, measure and draw them.

    Parameters
    ----------
    folder
        Holds ``stack.tif``; for micrographs also what the service found in each slice, ``found/0000.tif`` and so on.
    job
        ``kind`` (see `StackKind`), ``um_per_px`` and ``um_per_slice`` or None for those of the file, ``smallest_um``,
        ``value_label``, and ``name``.

    Returns
    -------
    dict
        ``shape`` of the stack, the size of a voxel, and ``solids``: number, volume_um3, ieq, surface_um2,
        sphericity, height_um, width_um, ieq_sphere and touches_border of each.

    Raises
    ------
    InputError
        As `isletnet.volumes.found.find_solids`.
    """
    kind: StackKind = job["kind"]
    found = (
        _found_by_service(folder, job)
        if kind == "micrographs"
        else find_solids(
            folder / STACK,
            kind=kind,
            um_per_px=job["um_per_px"],
            um_per_slice=job["um_per_slice"],
            network="",
            smallest_um=float(job["smallest_um"]),
            seed=0,
        )
    )
    stack = found.stack
    volumes = found.table.set_index("number")["true_ieq"]
    placed = stack_surfaces(
        found.solids, um_per_px=stack.um_per_px, um_per_slice=stack.um_per_slice, triangles_n=_TRIANGLES_N
    )
    scene = surfaces_scene([_drawn(one, float(volumes[one.number])) for one in placed], job["value_label"])
    (folder / SCENE).write_text(scene, encoding="utf-8")
    _write_mesh(folder, whole_mesh(found))
    (folder / LABELS).write_bytes(
        labels_ome_tiff(found.solids, um_per_px=stack.um_per_px, um_per_slice=stack.um_per_slice)
    )
    found.table.to_csv(folder / TABLE, index=False)
    _write_slices(folder, found)
    return {
        "shape": list(found.solids.shape),
        "um_per_px": stack.um_per_px,
        "um_per_slice": stack.um_per_slice,
        "solids": [_row(one) for one in found.table.to_dict("records")],
    }


def _found_by_service(folder: Path, job: dict[str, Any]) -> FoundSolids:
    stack = _stack(folder, job)
    paths = sorted((folder / "found").iterdir())
    shape_px = stack.samples.shape[1], stack.samples.shape[2]
    solids = joined(np.stack([read_labels(one.read_bytes(), shape_px=shape_px).astype(np.int32) for one in paths]))
    table = measure_solids(solids, um_per_px=stack.um_per_px, um_per_slice=stack.um_per_slice)
    return FoundSolids(stack=stack, solids=solids, table=table)


def _row(solid: dict[str, Any]) -> dict[str, Any]:
    shown = ("surface_um2", "sphericity", "height_um", "width_um", "ieq_sphere")
    return {
        "number": int(solid["number"]),
        "volume_um3": float(solid["true_volume_um3"]),
        "ieq": float(solid["true_ieq"]),
        **{name: float(solid[name]) for name in shown},
        "touches_border": bool(solid["touches_border"]),
    }


def _stack(folder: Path, job: dict[str, Any]) -> Stack:
    data = (folder / STACK).read_bytes()
    return read_stack(data, name=job["name"], um_per_px=job["um_per_px"], um_per_slice=job["um_per_slice"])


def _write_slices(folder: Path, found: FoundSolids) -> None:
    """Write every slice for the eye, with the outlines of what was found."""
    from PIL import Image

    (folder / "shown").mkdir()
    step = max(1, -(-max(found.solids.shape[1:]) // _LARGEST_SLICE_PX))
    for first in range(0, len(found.solids), _SLICES_AT_ONCE_N):
        numbers = range(first, min(first + _SLICES_AT_ONCE_N, len(found.solids)))
        for number, picture in zip(numbers, shown_slices(found, numbers), strict=True):
            small = np.ascontiguousarray(picture[::step, ::step])
            small[_edges(found.solids[number, ::step, ::step])] = _OUTLINE_RGB
            Image.fromarray(small).save(folder / "shown" / f"{number:04d}.jpg", quality=_SLICE_QUALITY)


def _edges(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels of a solid beside one that is none of it."""
    framed = np.pad(labels, 1)
    inner = framed[1:-1, 1:-1]
    beside = (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:])
    edges: NDArray[np.bool_] = (inner > 0) & np.logical_or.reduce([inner != one for one in beside])
    return edges


def _picture(path: Path) -> NDArray[np.uint8] | None:
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB")) if path.is_file() else None


def _write_mesh(folder: Path, mesh: Mesh) -> None:
    (folder / STL).write_bytes(stl_bytes(mesh))
    (folder / OBJ).write_bytes(obj_bytes(mesh))


def _joined_mesh(placed: Sequence[PlacedMesh]) -> Mesh:
    starts = np.cumsum([0, *(len(one.mesh.vertices_um) for one in placed)])
    return Mesh(
        vertices_um=np.concatenate([one.mesh.vertices_um for one in placed]),
        faces=np.concatenate([one.mesh.faces + start for one, start in zip(placed, starts, strict=False)]),
    )


def _drawn(placed: PlacedMesh, value: float) -> DrawnSolid:
    return DrawnSolid(vertices_um=placed.mesh.vertices_um, faces=placed.mesh.faces, value=value)
