"""Synthetic micrographs: the same seed the same bytes, and truth that is true."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from isletnet.schemas import BACKGROUND, EXOCRINE, ISLET
from isletnet.synthetic.islets import draw_diameters_um, grow_islet
from isletnet.synthetic.noise import smooth_noise
from isletnet.synthetic.optics import LIGHTS
from isletnet.synthetic.scene import make_scene


def test_same_seed_same_bytes() -> None:
    one, two, other = (make_scene(seed, (160, 200)) for seed in (5, 5, 6))
    assert (one.pixels == two.pixels).all()
    assert (one.classes == two.classes).all()
    assert one.truth == two.truth
    assert (one.pixels != other.pixels).any()


@pytest.mark.parametrize("light", LIGHTS)
def test_each_light_looks_like_itself(light) -> None:
    red, green, blue = make_scene(11, (200, 260), light=light).pixels.reshape(-1, 3).mean(axis=0)
    if light == "dark":
        assert red < 130
    else:
        assert {"yellow": min(red, green) > 80, "white": blue > 90, "blue": blue > red}[light]


def test_truth_agrees_with_itself() -> None:
    scene = make_scene(8, (500, 600))
    assert len(scene.truth) > 3
    assert set(np.unique(scene.classes)) <= {BACKGROUND, ISLET, EXOCRINE}
    areas = np.bincount(scene.islets.ravel(), minlength=len(scene.truth) + 1)[1:]
    assert all(areas[t.number - 1] <= t.area_px for t in scene.truth)
    # Every pixel of class islet belongs to an islet; rims too thin to see and gaps between touching ones are few.
    assert (scene.islets[scene.classes == ISLET] > 0).all()
    assert ((scene.islets > 0) & (scene.classes != ISLET)).sum() < 0.15 * (scene.islets > 0).sum()


def test_islets_that_touch_are_drawn_apart() -> None:
    scenes = [make_scene(seed, (400, 400)) for seed in range(40, 52)]
    touching = 0
    for scene in scenes:
        right = (scene.islets[:, 1:] != scene.islets[:, :-1]) & (scene.islets[:, 1:] > 0) & (scene.islets[:, :-1] > 0)
        touching += int(right.sum())
        assert (scene.classes[:, :-1][right] == BACKGROUND).all()
    assert touching > 0


@pytest.mark.parametrize("shape", ["smooth", "lobed", "rough", "fragment"])
def test_volume_is_the_drawn_thickness_and_scales_with_its_cube(shape) -> None:
    solid = grow_islet(np.random.default_rng(3), 150.0, 2.0, shape)
    assert solid.volume_um3 == pytest.approx(float(solid.thickness_um.sum()) * 4, rel=1e-5)
    sphere_um3 = np.pi / 6 * 150**3
    assert 0.15 < solid.volume_um3 / sphere_um3 < 2.5


def test_volume_of_a_plain_ellipsoid_is_the_formula() -> None:
    # Fine pixels and no lumps: the drawn volume must approach 4/3 pi a b c of the body alone.
    class Plain(np.random.Generator):
        """A generator whose warps and lumps vanish."""

        def standard_normal(self, *args, **kwargs):
            return np.zeros_like(super().standard_normal(*args, **kwargs))

        def integers(self, *args, **kwargs):
            return 0 if args[:2] == (0, 4) else super().integers(*args, **kwargs)

    rng = Plain(np.random.PCG64(1))
    solid = grow_islet(rng, 200.0, 1.0, "smooth")
    area_um2 = float((solid.thickness_um > 0).sum())
    assert area_um2 == pytest.approx(np.pi * 100**2, rel=0.01)
    assert solid.volume_um3 == pytest.approx(2 / 3 * area_um2 * float(solid.thickness_um.max()), rel=0.01)


def test_sizes_follow_the_published_distribution() -> None:
    diameters_um = draw_diameters_um(np.random.default_rng(2), 60_000)
    volumes = diameters_um**3
    small, large = diameters_um < 150, diameters_um > 250
    # 276 human isolations: 70.2 % of islets below 150 um carry 20.4 % of the volume; 7.4 % above 250 carry 42.4 %.
    assert small.mean() == pytest.approx(0.702, abs=0.03)
    assert volumes[small].sum() / volumes.sum() == pytest.approx(0.204, abs=0.04)
    assert large.mean() == pytest.approx(0.074, abs=0.03)
    assert volumes[large].sum() / volumes.sum() == pytest.approx(0.424, abs=0.08)


@pytest.mark.parametrize("scale_px", [1.0, 5.0, 40.0])
def test_smooth_noise_has_its_deviation_and_scale(scale_px) -> None:
    fields = [smooth_noise(np.random.default_rng(s), (300, 300), scale_px) for s in range(6)]
    # Cubic B-spline weights keep 0.479 of white noise's variance an axis; the field is scaled by 1.5.
    assert np.std(fields) == pytest.approx(1.0 if scale_px == 1 else 0.479 * 1.5, rel=0.08)
    step = np.mean([np.abs(np.diff(f, axis=1)).mean() for f in fields])
    assert step < 2.0 / scale_px


def test_islets_differ_from_their_surroundings_in_colour() -> None:
    for seed in (8, 42, 43):
        scene = make_scene(seed, (400, 400), light="yellow")
        islet = scene.classes == ISLET
        ring = ndi.binary_dilation(islet, iterations=25) & ~ndi.binary_dilation(islet, iterations=10)
        green = scene.pixels[..., 1].astype(float)
        assert green[islet].mean() < 0.8 * green[ring].mean()
