"""Surfaces of solids: from voxels, or as a model over one outline; as STL and OBJ."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from isletnet.analysis.shapes.distance import half_heights, thinned_out, thinning_step
from isletnet.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Without smoothing, the steps between voxels make the surface of a ball half as large again. The mask is smoothed by
# this many of its coarser voxel sides; smoothing more would round off what is there.
_SMOOTHING = 0.7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mesh:
    """A closed surface: ``vertices_um`` float64 ``(n, 3)`` in x, y, z; ``faces`` int64 ``(m, 3)``, outward."""

    vertices_um: NDArray[np.float64]
    faces: NDArray[np.int64]

    @property
    def volume_um3(self) -> float:
        """Volume inside, by the divergence theorem."""
        a, b, c = (self.vertices_um[self.faces[:, corner]] for corner in range(3))
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)

    @property
    def area_um2(self) -> float:
        """Area of the surface."""
        a, b, c = (self.vertices_um[self.faces[:, corner]] for corner in range(3))
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def sphericity(volume_um3: float, area_um2: float) -> float:
    """Give ``pi^(1/3) (6 V)^(2/3) / S``: 1 for a ball, less for all else (Wadell 1932)."""
    return float(np.cbrt(np.pi) * np.cbrt(6 * volume_um3) ** 2 / area_um2)


def surface_of_voxels(mask: NDArray[np.bool_], *, um_per_px: float, um_per_slice: float) -> Mesh:
    """Lay a surface around a solid by marching cubes.

    Parameters
    ----------
    mask
        Bool ``(slices, height, width)`` with at least one voxel.
    um_per_px, um_per_slice
        Size of a voxel.

    Returns
    -------
    Mesh
        The origin is the corner of the first voxel; z runs along the slices.

    Raises
    ------
    ParameterError
        The mask is empty.
    """
    from skimage.measure import marching_cubes

    if not mask.any():
        raise ParameterError("a solid with at least one voxel was expected, but it is empty")
    size = np.array([um_per_slice, um_per_px, um_per_px])
    sigma = _SMOOTHING * size.max() / size
    margin = np.ceil(3 * sigma).astype(int) + 1
    framed = np.pad(mask.astype(np.float32), [(side, side) for side in margin])
    smooth = ndimage.gaussian_filter(framed, sigma, truncate=3.0)
    # The level that keeps the volume: smoothing takes from what is bent outwards.
    level = float(np.partition(smooth, -np.count_nonzero(mask), axis=None)[-np.count_nonzero(mask)])
    vertices, faces, _, _ = marching_cubes(smooth, min(level, float(smooth.max()) * 0.99), spacing=tuple(size))  # type: ignore[no-untyped-call]
    zyx = vertices + (0.5 - margin) * size
    return _outward(zyx[:, ::-1], faces)


def surface_over_outline(mask: NDArray[np.bool_], *, um_per_px: float, cells_across: int = 24) -> Mesh:
    """Model a solid over one outline: the union of balls inscribed in it, as in the volume method ``vext``.

    This is a model, not a measurement: a picture from above says nothing of heights.

    Parameters
    ----------
    mask
        Bool ``(height, width)`` with at least one pixel.
    um_per_px
        Pixel size.
    cells_across
        Fineness: about how many cells the longer side is parted into.

    Returns
    -------
    Mesh
        In the plane z = 0, which cuts it into equal halves; x and y count from the mask's corner.
    """
    from skimage.measure import marching_cubes

    if not mask.any():
        raise ParameterError("an outline with at least one pixel was expected, but it is empty")
    height_px = _height_map(mask)
    step = max(1, max(mask.shape) // cells_across)
    away_px = ndimage.distance_transform_edt(np.pad(~mask, 2 * step, constant_values=True))
    squared = np.where(away_px > 0, -(away_px**2), np.pad(height_px, 2 * step) ** 2)[::step, ::step]
    top = int(np.ceil(height_px.max() / step)) + 2
    z_px = np.arange(-top, top + 1) * step
    # A quarter pixel keeps level 0 off the grid, where the plane z = 0 would be level outside too.
    field = (squared - 0.25)[None] - z_px[:, None, None] ** 2
    vertices, faces, _, _ = marching_cubes(field.astype(np.float32), 0.0, spacing=(step, step, step))  # type: ignore[no-untyped-call]
    xyz = (vertices - [top * step, 2 * step - 0.5, 2 * step - 0.5])[:, ::-1] * um_per_px
    return _outward(xyz, faces)


def stl_bytes(mesh: Mesh) -> bytes:
    """Write a binary STL, in um."""
    corners = mesh.vertices_um[mesh.faces].astype("<f4")
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    rows = np.zeros(len(corners), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["normal"], rows["corners"] = normals / np.where(length > 0, length, 1), corners
    return b"isletnet, micrometres".ljust(80, b" ") + struct.pack("<I", len(corners)) + rows.tobytes()


def obj_bytes(mesh: Mesh) -> bytes:
    """Write a Wavefront OBJ, in um."""
    points = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.vertices_um]
    faces = [f"f {a} {b} {c}" for a, b, c in mesh.faces + 1]
    return "\n".join(["# isletnet, micrometres", *points, *faces, ""]).encode()


def _height_map(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Half heights in px on the mask's own grid; of large masks they are known on every n-th pixel only."""
    step = thinning_step(mask)
    small = thinned_out(mask, step)
    coarse = np.zeros(small.shape)
    coarse[small] = half_heights([mask])[0].values_px
    if small.shape == mask.shape:
        return coarse
    rows, columns = (np.linspace(0, side - 1, whole) for side, whole in zip(small.shape, mask.shape, strict=True))
    full = ndimage.map_coordinates(coarse, np.meshgrid(rows, columns, indexing="ij"), order=1)
    return np.asarray(np.where(mask, full, 0.0))


def _outward(vertices_um: NDArray[np.float64], faces: NDArray[np.int32]) -> Mesh:
    mesh = Mesh(vertices_um=np.ascontiguousarray(vertices_um, dtype=np.float64), faces=faces.astype(np.int64))
    return mesh if mesh.volume_um3 > 0 else Mesh(vertices_um=mesh.vertices_um, faces=mesh.faces[:, ::-1])
