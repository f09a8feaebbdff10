"""A grey z-stack of islets whose volume is known, as a microscope for cleared tissue would give it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from isletnet.synthetic import bodies
from isletnet.synthetic.islets import draw_diameters_um

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PROPORTIONS = np.array([1.0, 0.85, 0.7])
_GAP_UM = 20.0
_GROUND_LEVEL, _ISLET_LEVEL, _NOISE_LEVELS, _BLUR_UM = 18.0, 150.0, 9.0, 2.0
_LARGEST_UM = 260.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SyntheticStack:
    """Samples uint8 and labels int32, both ``(slices, height, width)``, and the true volume of each label, um³."""

    samples: NDArray[np.uint8]
    labels: NDArray[np.int32]
    volumes_um3: NDArray[np.float64]
    um_per_px: float
    um_per_slice: float


def make_stack(seed: int, *, islets_n: int = 8, um_per_px: float = 3.0, um_per_slice: float = 6.0) -> SyntheticStack:
    """Grow lobed islets side by side, none touching, each at a depth of its own.

    Parameters
    ----------
    seed
        The same seed and arguments give the same bytes.
    islets_n
        How many.
    um_per_px, um_per_slice
        Size of a voxel.

    Returns
    -------
    SyntheticStack
        Bright islets on dark ground, blurred and noisy. Labels run from 1.
    """
    rng = np.random.default_rng([seed, 33])
    sizes_um = np.minimum(draw_diameters_um(rng, islets_n), _LARGEST_UM)
    columns_n = int(np.ceil(np.sqrt(islets_n)))
    pitch_um = 1.45 * float(sizes_um.max()) + _GAP_UM
    parts, volumes = [], []
    for number, size_um in enumerate(sizes_um):
        semi_um = size_um / 2 * _PROPORTIONS / np.cbrt(_PROPORTIONS.prod()) * 0.94
        body = bodies.rotated(bodies.lobed(rng, semi_um, int(rng.integers(2, 6))), bodies.random_rotation(rng))
        row, column = divmod(number, columns_n)
        depth_um = rng.uniform(0.0, pitch_um / 4)
        parts.append(bodies.moved(body, [column * pitch_um, row * pitch_um, depth_um]))
        volumes.append(bodies.seen_from_above(body, um_per_px=min(um_per_px, size_um / 60)).volume_um3)
    filled = bodies.voxels(bodies.joined(*parts), um_per_px=um_per_px, um_per_slice=um_per_slice, margin=4)
    labels, order = _numbered(filled, parts, um_per_px, um_per_slice)
    light = np.where(filled, _ISLET_LEVEL, _GROUND_LEVEL).astype(np.float32)
    light *= 1 + 0.15 * ndimage.gaussian_filter(rng.standard_normal(filled.shape).astype(np.float32), 2) * 8
    blurred = ndimage.gaussian_filter(light, _BLUR_UM / np.array([um_per_slice, um_per_px, um_per_px]))
    noisy = blurred + rng.normal(0, _NOISE_LEVELS, filled.shape)
    return SyntheticStack(
        samples=np.clip(np.rint(noisy), 0, 255).astype(np.uint8),
        labels=labels,
        volumes_um3=np.array(volumes)[order],
        um_per_px=um_per_px,
        um_per_slice=um_per_slice,
    )


def _numbered(
    filled: NDArray[np.bool_], parts: list[bodies.Body], um_per_px: float, um_per_slice: float
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Label the solids, and say which part each label is."""
    labels, _ = ndimage.label(filled)
    low, high = bodies.extent_um(bodies.joined(*parts))
    size = np.array([um_per_px, um_per_px, um_per_slice])
    shape = np.array(filled.shape[::-1])
    first = (low + high) / 2 - (shape - 1) / 2 * size
    numbers = []
    for part in parts:
        # The middle of the main ellipsoid is inside.
        x, y, z = np.rint((part.centres_um[0] - first) / size).astype(int)
        numbers.append(int(labels[z, y, x]))
    order = np.argsort(numbers)
    return labels.astype(np.int32), order
