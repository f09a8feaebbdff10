"""What is found in a z-stack: islets as solids, their measurements, their surfaces, and slices to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from isletnet.errors import ParameterError
from isletnet.schemas import AnalysisParameters
from isletnet.synthetic.stack import make_stack
from isletnet.volumes.meshes import Mesh
from isletnet.volumes.models import stack_surfaces
from isletnet.volumes.solids import measure_solids, solids_by_network, solids_by_threshold, solids_of_labels
from isletnet.volumes.stacks import Stack, read_stack

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

StackKind = Literal["micrographs", "intensity", "labels"]
_DARK_PERCENTILE, _BRIGHT_PERCENTILE = 0.5, 99.8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundSolids:
    """A stack, the solids found in it int32 ``(slices, height, width)``, and `measure_solids` of them."""

    stack: Stack
    solids: NDArray[np.int32]
    table: pd.DataFrame


def find_solids(
    path: Path | None,
    *,
    kind: StackKind,
    um_per_px: float | None,
    um_per_slice: float | None,
    network: str,
    smallest_um: float,
    seed: int,
) -> FoundSolids:
    """Read a stack and find the islets in it.

    Parameters
    ----------
    path
        A TIFF; None grows a synthetic grey stack of known islets from ``seed``.
    kind
        ``micrographs`` (colour slices, segmented by ``network``), ``intensity`` (grey slices of bright tissue) or
        ``labels`` (numbers).
    um_per_px, um_per_slice
        Size of a voxel; None takes the file's.
    network
        For micrographs.
    smallest_um
        What has less volume than a ball of this diameter is dropped, but not from labels.
    seed
        Of the synthetic stack.

    Raises
    ------
    InputError
        As `read_stack`; or the stack is of another kind, or holds nothing.
    """
    if path is None:
        grown = make_stack(seed)
        stack = Stack(
            name="synthetic stack",
            samples=grown.samples,
            um_per_px=grown.um_per_px,
            um_per_slice=grown.um_per_slice,
            sha256="",
        )
        solids = solids_by_threshold(stack, smallest_um=smallest_um)
    else:
        stack = read_stack(path.read_bytes(), name=path.name, um_per_px=um_per_px, um_per_slice=um_per_slice)
        solids = _found(stack, kind, network, smallest_um)
    if not solids.any():
        raise ParameterError(
            "no islet was found in the stack; look at its slices, or give a smaller least diameter", subject=stack.name
        )
    return FoundSolids(
        stack=stack,
        solids=solids,
        table=measure_solids(solids, um_per_px=stack.um_per_px, um_per_slice=stack.um_per_slice),
    )


def shown_slices(found: FoundSolids, places: Sequence[int]) -> list[NDArray[np.uint8]]:
    """Give slices as RGB for the eye: grey ones stretched over the range of the stack."""
    samples = found.stack.samples
    if found.stack.is_rgb and samples.dtype == np.uint8:
        return [np.asarray(samples[place], dtype=np.uint8) for place in places]
    low, high = np.percentile(samples[:: max(1, len(samples) // 20)], [_DARK_PERCENTILE, _BRIGHT_PERCENTILE])
    levels = [255 * np.clip((samples[place] - low) / max(high - low, 1), 0, 1) for place in places]
    return [np.rint(one if one.ndim == 3 else np.repeat(one[..., None], 3, axis=2)).astype(np.uint8) for one in levels]


def whole_mesh(found: FoundSolids) -> Mesh:
    """Unite the surfaces of all solids, in full detail, for STL and OBJ."""
    placed = stack_surfaces(found.solids, um_per_px=found.stack.um_per_px, um_per_slice=found.stack.um_per_slice)
    starts = np.cumsum([0, *(len(one.mesh.vertices_um) for one in placed)])
    return Mesh(
        vertices_um=np.concatenate([one.mesh.vertices_um for one in placed]),
        faces=np.concatenate([one.mesh.faces + start for one, start in zip(placed, starts, strict=False)]),
    )


def _found(stack: Stack, kind: StackKind, network: str, smallest_um: float) -> NDArray[np.int32]:
    if kind == "labels":
        return solids_of_labels(stack)
    if kind == "intensity":
        return solids_by_threshold(stack, smallest_um=smallest_um)
    from isletnet.analysis.pipeline import analyse

    parameters = AnalysisParameters(network=network, smallest_particle_um=smallest_um, uncertainty="none")

    def find(picture: NDArray[np.uint8]) -> NDArray[np.int32]:
        return analyse(picture, um_per_px=stack.um_per_px, parameters=parameters).labelled.islets

    return solids_by_network(stack, find)
