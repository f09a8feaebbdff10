"""Surfaces against balls and ellipsoids; files read back."""

import struct

import numpy as np
import pytest

from isletnet.errors import ParameterError
from isletnet.synthetic import bodies
from isletnet.volumes import meshes


def ball(radius_um, um_per_px, um_per_slice):
    return bodies.voxels(bodies.ellipsoid([radius_um] * 3), um_per_px=um_per_px, um_per_slice=um_per_slice)


def edges_are_shared_by_two(mesh):
    edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
    return (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


@pytest.mark.parametrize(("radius_um", "um_per_px", "um_per_slice"), [(50, 2.0, 2.0), (75, 2.0, 5.0), (30, 1.0, 4.0)])
def test_ball_of_voxels(radius_um, um_per_px, um_per_slice):
    mask = ball(radius_um, um_per_px, um_per_slice)
    mesh = meshes.surface_of_voxels(mask, um_per_px=um_per_px, um_per_slice=um_per_slice)
    assert mesh.volume_um3 == pytest.approx(4 / 3 * np.pi * radius_um**3, rel=0.02)
    assert mesh.area_um2 == pytest.approx(4 * np.pi * radius_um**2, rel=0.03)
    assert meshes.sphericity(mesh.volume_um3, mesh.area_um2) == pytest.approx(1.0, abs=0.02)
    assert edges_are_shared_by_two(mesh)
    middle = np.array(mask.shape[::-1]) * [um_per_px, um_per_px, um_per_slice] / 2
    np.testing.assert_allclose((mesh.vertices_um.min(0) + mesh.vertices_um.max(0)) / 2, middle, atol=um_per_slice / 2)


def test_sphericity_of_an_ellipsoid():
    """Thomsen's formula for the surface, p = 1.6075, within 1.1 %."""
    semi, p = np.array([80.0, 60.0, 30.0]), 1.6075
    products = np.array([semi[0] * semi[1], semi[0] * semi[2], semi[1] * semi[2]]) ** p
    area = 4 * np.pi * products.mean() ** (1 / p)
    mask = bodies.voxels(bodies.ellipsoid(semi), um_per_px=2.0, um_per_slice=2.0)
    mesh = meshes.surface_of_voxels(mask, um_per_px=2.0, um_per_slice=2.0)
    assert mesh.area_um2 == pytest.approx(area, rel=0.025)
    assert meshes.sphericity(4 / 3 * np.pi * semi.prod(), area) == pytest.approx(
        meshes.sphericity(mesh.volume_um3, mesh.area_um2), abs=0.02
    )


def test_sphericity_of_a_cube():
    assert meshes.sphericity(1.0, 6.0) == pytest.approx((np.pi / 6) ** (1 / 3))


def test_a_single_voxel_has_a_surface():
    mesh = meshes.surface_of_voxels(np.ones((1, 1, 1), dtype=bool), um_per_px=2.0, um_per_slice=2.0)
    assert mesh.volume_um3 > 0
    with pytest.raises(ParameterError, match="empty"):
        meshes.surface_of_voxels(np.zeros((2, 2, 2), dtype=bool), um_per_px=1.0, um_per_slice=1.0)


@pytest.mark.parametrize("radius_um", [40.0, 60.0, 300.0])
def test_model_over_a_disc_is_a_ball(radius_um):
    mask = bodies.seen_from_above(bodies.ellipsoid([radius_um] * 3), um_per_px=1.0).mask
    mesh = meshes.surface_over_outline(mask, um_per_px=1.0)
    assert mesh.volume_um3 == pytest.approx(4 / 3 * np.pi * radius_um**3, rel=0.06)
    assert mesh.vertices_um[:, 2].max() == pytest.approx(radius_um, rel=0.04)
    assert mesh.vertices_um[:, 2].min() == pytest.approx(-mesh.vertices_um[:, 2].max(), rel=1e-3)
    assert edges_are_shared_by_two(mesh)
    assert len(mesh.faces) < 8000
    centre = np.argwhere(mask).mean(axis=0)[::-1]
    np.testing.assert_allclose(mesh.vertices_um[:, :2].mean(axis=0), centre, atol=radius_um / 20)


def test_model_of_any_outline_is_closed():
    rng = np.random.default_rng(3)
    for _ in range(5):
        mask = bodies.seen_from_above(bodies.lobed(rng, [60, 50, 40], 6), um_per_px=2.0).mask
        assert edges_are_shared_by_two(meshes.surface_over_outline(mask, um_per_px=2.0))
    assert meshes.surface_over_outline(np.ones((1, 1), dtype=bool), um_per_px=2.0).volume_um3 > 0
    with pytest.raises(ParameterError, match="empty"):
        meshes.surface_over_outline(np.zeros((3, 3), dtype=bool), um_per_px=2.0)


def test_stl_read_back():
    mesh = meshes.surface_of_voxels(ball(20, 4.0, 4.0), um_per_px=4.0, um_per_slice=4.0)
    data = meshes.stl_bytes(mesh)
    (count,) = struct.unpack_from("<I", data, 80)
    assert count == len(mesh.faces)
    assert len(data) == 84 + 50 * count
    first = np.frombuffer(data, "<f4", 12, 84)
    np.testing.assert_allclose(first[3:].reshape(3, 3), mesh.vertices_um[mesh.faces[0]], rtol=1e-6)
    away = first[3:].reshape(3, 3).mean(axis=0) - mesh.vertices_um.mean(axis=0)
    assert first[:3] @ away > 0


def test_obj_read_back():
    mesh = meshes.surface_of_voxels(ball(20, 4.0, 4.0), um_per_px=4.0, um_per_slice=4.0)
    lines = meshes.obj_bytes(mesh).decode().splitlines()
    points = np.array([line.split()[1:] for line in lines if line.startswith("v ")], dtype=float)
    faces = np.array([line.split()[1:] for line in lines if line.startswith("f ")], dtype=int)
    read = meshes.Mesh(vertices_um=points, faces=faces - 1)
    assert read.volume_um3 == pytest.approx(mesh.volume_um3, rel=1e-5)
