"""Bodies against solid geometry."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from isletnet.synthetic import bodies

SPHERE = bodies.ellipsoid([50, 50, 50])
SLANTED = bodies.rotated(
    bodies.ellipsoid([80, 60, 40]), Rotation.from_euler("zyx", [20, 50, 70], degrees=True).as_matrix()
)


def test_view_of_a_sphere():
    view = bodies.seen_from_above(SPHERE, um_per_px=1.0, offset_px=(0.3, 0.4))
    assert view.mask.sum() == pytest.approx(np.pi * 50**2, rel=0.003)
    assert view.thickness_um.max() == pytest.approx(100, rel=0.001)
    assert view.volume_um3 == pytest.approx(4 / 3 * np.pi * 50**3, rel=0.001)


def test_volume_stays_when_the_body_is_turned():
    view = bodies.seen_from_above(SLANTED, um_per_px=1.0)
    assert view.volume_um3 == pytest.approx(4 / 3 * np.pi * 80 * 60 * 40, rel=0.001)


def test_shadow_of_a_slanted_ellipsoid():
    """The shadow reaches as far as the support function: sqrt(u' F u) in direction u."""
    view = bodies.seen_from_above(SLANTED, um_per_px=0.5)
    semi = Rotation.from_euler("zyx", [20, 50, 70], degrees=True).as_matrix() * [80, 60, 40]
    angles = np.linspace(0, np.pi, 721)
    widths_um = 2 * np.linalg.norm(np.stack([np.cos(angles), np.sin(angles)], 1) @ semi[:2], axis=1)
    assert view.mask.sum() * 0.25 == pytest.approx(np.pi / 4 * widths_um.max() * widths_um.min(), rel=0.003)
    assert view.mask.any(axis=0).sum() * 0.5 == pytest.approx(widths_um[0], abs=1.0)
    assert view.mask.any(axis=1).sum() * 0.5 == pytest.approx(widths_um[360], abs=1.0)


def test_overlap_of_two_balls_counts_once():
    """Two balls of radius r at distance d: the lens has the volume pi (2r - d)^2 (d^2 + 4dr) / (12 d)."""
    for shift in ([60, 0, 0], [0, 0, 60]):
        pair = bodies.joined(SPHERE, bodies.moved(SPHERE, shift))
        lens = np.pi * (100 - 60) ** 2 * (60**2 + 4 * 60 * 50) / (12 * 60)
        expected = 2 * 4 / 3 * np.pi * 50**3 - lens
        assert bodies.seen_from_above(pair, um_per_px=1.0).volume_um3 == pytest.approx(expected, rel=0.001)
        filled = bodies.voxels(pair, um_per_px=2.0, um_per_slice=4.0)
        assert filled.sum() * 16.0 == pytest.approx(expected, rel=0.01)


def test_a_ray_through_two_balls_apart_counts_both():
    pair = bodies.joined(SPHERE, bodies.moved(SPHERE, [0, 0, 300]))
    assert bodies.seen_from_above(pair, um_per_px=1.0).thickness_um.max() == pytest.approx(200, rel=0.001)


def test_rotations_are_rotations_in_all_directions():
    rng = np.random.default_rng(4)
    turned = np.array([bodies.random_rotation(rng) for _ in range(2000)])
    np.testing.assert_allclose(turned @ turned.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turned.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(turned), 1.0)
    # On the sphere each coordinate is uniform: mean 0, variance 1/3.
    np.testing.assert_allclose(turned.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(turned.var(axis=0), 1 / 3, atol=0.03)


def test_lobed_bodies_are_larger_than_their_core_and_repeat():
    core = bodies.ellipsoid([60, 50, 40])
    grown = [bodies.lobed(np.random.default_rng(2), [60, 50, 40], 6) for _ in range(2)]
    volumes = [bodies.seen_from_above(body, um_per_px=2.0).volume_um3 for body in grown]
    assert volumes[0] == volumes[1]
    assert volumes[0] > 1.05 * bodies.seen_from_above(core, um_per_px=2.0).volume_um3


def test_view_is_cropped_with_a_margin():
    mask = bodies.seen_from_above(SLANTED, um_per_px=2.0, offset_px=(0.3, 0.7)).mask
    margin = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    assert margin.sum() == 0
    assert mask[3:-3].any(axis=1).all()


@pytest.mark.parametrize("shift_um", [-5.0, -1.0, 0.0, 2.0, 7.0])
def test_drawn_outline_runs_beside_the_true_one(shift_um):
    """Steiner: a parallel outline encloses A + P s + pi s^2."""
    semi = np.array([80.0, 50.0])
    angle = np.linspace(0, 2 * np.pi, 20_001)
    perimeter = np.hypot(*np.diff(semi[:, None] * [np.cos(angle), np.sin(angle)])).sum()
    expected = np.pi * semi.prod() + perimeter * shift_um + np.pi * shift_um**2
    body = bodies.ellipsoid([*semi, 40])
    mask = bodies.drawn_outline(body, um_per_px=1.0, shift_um=shift_um, offset_px=(0.2, 0.6))
    assert mask.sum() == pytest.approx(expected, rel=0.003)


def test_drawn_outline_without_a_shift_is_the_silhouette():
    body = bodies.lobed(np.random.default_rng(1), [60, 50, 40], 5)
    drawn = bodies.drawn_outline(body, um_per_px=2.0, shift_um=0.0, offset_px=(0.2, 0.6))
    seen = bodies.seen_from_above(body, um_per_px=2.0, offset_px=(0.2, 0.6)).mask
    assert drawn.shape == seen.shape
    assert (drawn != seen).sum() <= 0.002 * seen.sum()
