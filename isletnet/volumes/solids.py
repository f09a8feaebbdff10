"""Islets in a z-stack: found slice by slice, joined along z, measured, and held against what one projection says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from isletnet.errors import ParameterError
from isletnet.evaluation.segmentation import overlap_pairs
from isletnet.schemas import IEQ_METHODS, IEQ_UM3
from isletnet.volumes.meshes import sphericity, surface_of_voxels
from isletnet.volumes.trial import measure_silhouettes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from isletnet.volumes.stacks import Stack

# Outlines in neighbouring slices are one islet when they share at least this much of the smaller one.
JOINING_SHARE = 0.5
_SMOOTHING_UM = 2.0


def solids_by_network(stack: Stack, find: Callable[[NDArray[np.uint8]], NDArray[np.int32]]) -> NDArray[np.int32]:
    """Find islets in every slice of an RGB stack and join them.

    Parameters
    ----------
    stack
        Micrographs of stained islets.
    find
        Gives the labelled islets of a slice, uint8 ``(height, width, 3)`` to int32 ``(height, width)``; such as one
        made of `isletnet.analysis.pipeline.analyse`.

    Returns
    -------
    ndarray
        int32 ``(slices, height, width)``, see `joined`.

    Raises
    ------
    ParameterError
        The stack has no colours.
    """
    if not stack.is_rgb:
        raise ParameterError("a network needs colour slices of stained islets, this stack is grey", subject=stack.name)
    return joined(np.stack([find(one.astype(np.uint8)) for one in stack.samples]))


def solids_by_threshold(stack: Stack, *, smallest_um: float) -> NDArray[np.int32]:
    """Find solids in a grey stack, such as a confocal one of a bright label: Otsu's threshold, holes filled.

    Parameters
    ----------
    stack
        Bright tissue on dark ground.
    smallest_um
        Solids with less volume than a ball of this diameter are dropped.

    Returns
    -------
    ndarray
        int32 ``(slices, height, width)``: the 6-connected parts, from 1.

    Raises
    ------
    ParameterError
        The stack has colours, or is one even level.
    """
    from skimage.filters import threshold_otsu

    if stack.is_rgb:
        raise ParameterError("a grey stack of bright tissue was expected, this one has colours", subject=stack.name)
    if stack.samples.min() == stack.samples.max():
        raise ParameterError("the stack is one even level; there is nothing to find", subject=stack.name)
    sigma = _SMOOTHING_UM / np.array([stack.um_per_slice, stack.um_per_px, stack.um_per_px])
    smooth = ndimage.gaussian_filter(stack.samples.astype(np.float32), sigma)
    mask = ndimage.binary_fill_holes(smooth > threshold_otsu(smooth))  # type: ignore[no-untyped-call]
    return _without_small(ndimage.label(mask)[0].astype(np.int32), stack, smallest_um)


def solids_of_labels(stack: Stack) -> NDArray[np.int32]:
    """Take a grey stack for label numbers, the same number for the same islet in every slice.

    Raises
    ------
    ParameterError
        The stack has colours.
    """
    if stack.is_rgb:
        raise ParameterError("a stack of label numbers has one channel, this one has colours", subject=stack.name)
    _, numbers = np.unique(stack.samples, return_inverse=True)
    first = 0 if (stack.samples == 0).any() else 1
    return (numbers.reshape(stack.samples.shape) + first).astype(np.int32)


def joined(slices: NDArray[np.int32]) -> NDArray[np.int32]:
    """Join the islets of neighbouring slices.

    Parameters
    ----------
    slices
        int32 ``(slices, height, width)``; each slice has numbers of its own, 0 for none.

    Returns
    -------
    ndarray
        int32 of the same shape: one number from 1 for each solid. Two outlines are one where they share at least
        `JOINING_SHARE` of the smaller one, directly or through others.
    """
    tops = np.array([int(one.max(initial=0)) for one in slices])
    starts = np.concatenate([[0], np.cumsum(tops)])
    numbered = np.where(slices > 0, slices + starts[:-1, None, None], 0).astype(np.int32)
    areas_px = np.bincount(numbered.ravel(), minlength=starts[-1] + 1)
    links = [overlap_pairs(above, below) for below, above in zip(numbered, numbered[1:], strict=False)]
    pairs = np.concatenate(links) if links else np.empty((0, 3), np.int64)
    smaller_px = np.minimum(areas_px[pairs[:, 0]], areas_px[pairs[:, 1]])
    pairs = pairs[pairs[:, 2] >= JOINING_SHARE * smaller_px]
    nodes = int(starts[-1]) + 1
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
    groups = connected_components(graph, directed=False)[1]
    # The background is a group of its own and the first one, as it has the first node.
    _, numbers = np.unique(np.where(areas_px[:nodes] > 0, groups, groups[0]), return_inverse=True)
    return numbers.astype(np.int32)[numbered]


def measure_solids(solids: NDArray[np.int32], *, um_per_px: float, um_per_slice: float) -> pd.DataFrame:
    """Measure solids in space, and as one projection along z would measure them.

    Parameters
    ----------
    solids
        int32 ``(slices, height, width)``, 0 for none.
    um_per_px, um_per_slice
        Size of a voxel.

    Returns
    -------
    pandas.DataFrame
        One row a solid: ``number``, ``true_volume_um3`` (voxels times their size), ``true_ieq``, ``surface_um2``,
        ``sphericity``, ``height_um`` (along z), ``width_um`` (diameter of the circle with the area of the projection),
        ``flattening`` (height over width), ``slices_n``, ``touches_border`` (of the stack: then all is understated),
        and ``ieq_<method>`` of the projection.
    """
    import pandas as pd

    rows, shadows = [], []
    for number, box in enumerate(ndimage.find_objects(solids), start=1):
        if box is None:
            continue
        mask = solids[box] == number
        mesh = surface_of_voxels(mask, um_per_px=um_per_px, um_per_slice=um_per_slice)
        volume_um3 = float(mask.sum()) * um_per_px**2 * um_per_slice
        shadow = mask.any(axis=0)
        shadows.append(shadow)
        width_um = 2 * float(np.sqrt(shadow.sum() / np.pi)) * um_per_px
        height_um = mask.shape[0] * um_per_slice
        rows.append(
            {
                "number": number,
                "true_volume_um3": volume_um3,
                "true_ieq": volume_um3 / IEQ_UM3,
                "surface_um2": mesh.area_um2,
                "sphericity": sphericity(mesh.volume_um3, mesh.area_um2),
                "height_um": height_um,
                "width_um": width_um,
                "flattening": height_um / width_um,
                "slices_n": mask.shape[0],
                "touches_border": any(
                    side.start == 0 or side.stop == whole for side, whole in zip(box, solids.shape, strict=True)
                ),
            }
        )
    if not rows:
        raise ParameterError("the stack holds no islet; look at its slices, or give a smaller least diameter")
    flat = measure_silhouettes(shadows, um_per_px=um_per_px)
    return pd.DataFrame(rows).assign(**{f"ieq_{method}": flat[f"ieq_{method}"] for method in IEQ_METHODS})


def _without_small(labels: NDArray[np.int32], stack: Stack, smallest_um: float) -> NDArray[np.int32]:
    least_voxels = np.pi / 6 * smallest_um**3 / (stack.um_per_px**2 * stack.um_per_slice)
    is_kept = np.bincount(labels.ravel()) >= least_voxels
    is_kept[0] = False
    return np.where(is_kept, np.cumsum(is_kept), 0).astype(np.int32)[labels]
