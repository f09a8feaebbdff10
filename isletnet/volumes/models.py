"""Every islet of a picture as a modelled solid, with no more triangles than a page can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from isletnet.volumes.meshes import Mesh, surface_of_voxels, surface_over_outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

# About 25 bytes a triangle in a page.
MOST_TRIANGLES_N = 20_000
_LEAST_CELLS_ACROSS, _MOST_CELLS_ACROSS = 5, 40
_TRIANGLES_PER_SQUARE_CELL = 9.0
# A side of a voxel on the surface gives about so many triangles.
_TRIANGLES_PER_SIDE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedMesh:
    """A solid at its place in the picture or stack; ``number`` is its label."""

    number: int
    mesh: Mesh


def modelled_islets(
    islets: NDArray[np.int32], *, um_per_px: float, triangles_n: int = MOST_TRIANGLES_N
) -> list[PlacedMesh]:
    """Model the islets of a picture, see `isletnet.volumes.meshes.surface_over_outline`; each rests on z = 0.

    Parameters
    ----------
    islets
        Labels int32 ``(height, width)``.
    um_per_px
        Pixel size.
    triangles_n
        About how many triangles in all; large islets get more of them.

    Returns
    -------
    list of PlacedMesh
        By number; x and y count from the picture's corner.
    """
    boxes = ndimage.find_objects(islets)
    covered_px = float(np.count_nonzero(islets))
    step_px = np.sqrt(_TRIANGLES_PER_SQUARE_CELL * max(covered_px, 1.0) / triangles_n)
    placed = []
    for number, box in enumerate(boxes, start=1):
        if box is None:
            continue
        mask = islets[box] == number
        cells = int(np.clip(max(mask.shape) / step_px, _LEAST_CELLS_ACROSS, _MOST_CELLS_ACROSS))
        mesh = surface_over_outline(mask, um_per_px=um_per_px, cells_across=cells)
        corner = np.array([box[1].start * um_per_px, box[0].start * um_per_px, -float(mesh.vertices_um[:, 2].min())])
        placed.append(PlacedMesh(number=number, mesh=Mesh(vertices_um=mesh.vertices_um + corner, faces=mesh.faces)))
    return placed


def stack_surfaces(
    solids: NDArray[np.int32], *, um_per_px: float, um_per_slice: float, triangles_n: int | None = None
) -> list[PlacedMesh]:
    """Lay a surface around every solid of a stack.

    Parameters
    ----------
    solids
        Labels int32 ``(slices, height, width)``.
    um_per_px, um_per_slice
        Size of a voxel.
    triangles_n
        About how many triangles in all, by taking voxels together; None takes every voxel as it is.

    Returns
    -------
    list of PlacedMesh
        By number, at their place in the stack. A solid lost among voxels taken together keeps its own ones.
    """
    step = 1
    if triangles_n is not None:
        shell = sum(np.count_nonzero(np.diff(solids, axis=axis)) for axis in range(3))
        step = max(1, int(np.ceil(np.sqrt(_TRIANGLES_PER_SIDE * shell / triangles_n))))
    # Voxels taken together are about as high as wide.
    steps = max(1, round(step * um_per_px / um_per_slice)), step, step
    placed = []
    for number, box in enumerate(ndimage.find_objects(solids), start=1):
        if box is None:
            continue
        mask = solids[box] == number
        coarse = _taken_together(mask, steps)
        own, sides = (coarse, steps) if coarse.any() else (mask, (1, 1, 1))
        mesh = surface_of_voxels(own, um_per_px=um_per_px * sides[1], um_per_slice=um_per_slice * sides[0])
        corner = np.array([box[2].start * um_per_px, box[1].start * um_per_px, box[0].start * um_per_slice])
        placed.append(PlacedMesh(number=number, mesh=Mesh(vertices_um=mesh.vertices_um + corner, faces=mesh.faces)))
    return placed


def _taken_together(mask: NDArray[np.bool_], steps: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Blocks of voxels, true where at least half of one is; what is missing at the end is empty."""
    framed = np.pad(mask, [(0, -side % step) for side, step in zip(mask.shape, steps, strict=True)])
    shape = [part for side, step in zip(framed.shape, steps, strict=True) for part in (side // step, step)]
    half: NDArray[np.bool_] = framed.reshape(shape).mean(axis=(1, 3, 5)) >= 0.5
    return half
