"""The numbers that follow an edit at once: count, IEQ of spheres, purity. The service measures everything later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from isletnet.schemas import SMALLEST_ISLET_UM
from isletnet.ui.editing.regions import FIRST_ISLET, TISSUE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from isletnet.ui.editing.regions import Map, Patch

_REFERENCE_UM = 150.0
_ROWS_AT_ONCE_N = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a result counts; ``um_per_px`` None: no micrometres, every islet counts."""

    um_per_px: float | None
    smallest_islet_um: float = SMALLEST_ISLET_UM
    border: Literal["count", "exclude"] = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What is known at once; ``ieq`` is None without a pixel size, ``purity_fraction`` without tissue."""

    islets_n: int
    ieq: float | None
    purity_fraction: float | None
    islet_area_px: int
    exocrine_area_px: int


def rules_of(record: Mapping[str, Any]) -> Rules:
    """Take the rules from an image's record, as the service gives it in ``results``."""
    parameters = record["provenance"]["parameters"]
    return Rules(
        um_per_px=record["summary"]["um_per_px"],
        smallest_islet_um=parameters.get("smallest_islet_um", SMALLEST_ISLET_UM),
        border=parameters.get("border", "count"),
    )


def areas(codes: Map) -> NDArray[np.int64]:
    """Pixels of each number of a map, int64 ``(65536,)``."""
    counted = np.zeros(np.iinfo(np.uint16).max + 1, np.int64)
    # Counting needs eight bytes for each pixel, so a page's kernel does it in parts.
    for first in range(0, len(codes), _ROWS_AT_ONCE_N):
        counted += np.bincount(codes[first : first + _ROWS_AT_ONCE_N].ravel(), minlength=len(counted))
    return counted


def areas_after(before: NDArray[np.int64], patch: Patch) -> NDArray[np.int64]:
    """Areas once a patch is in place, without a look at the rest of the map."""
    size = len(before)
    gained = np.bincount(patch.after.ravel(), minlength=size)
    return np.asarray(before + gained - np.bincount(patch.before.ravel(), minlength=size))


def numbers(area_px: NDArray[np.int64], codes: Map, rules: Rules) -> Numbers:
    """Count and add up as `isletnet.analysis.summarise` does.

    Parameters
    ----------
    area_px
        See `areas`.
    codes
        The map; only its border is looked at.
    rules
        How to count.

    Returns
    -------
    Numbers
        IEQ is the sum of ``(d / 150 um)^3`` over counted islets, ``d`` of the circle of equal area.
    """
    counted = area_px[FIRST_ISLET:].astype(np.float64)
    islet_area_px, exocrine_area_px = int(area_px[FIRST_ISLET:].sum()), int(area_px[TISSUE])
    if rules.border == "exclude":
        edge = np.concatenate([codes[0], codes[-1], codes[:, 0], codes[:, -1]])
        cut = np.unique(edge[edge >= FIRST_ISLET])
        counted[cut.astype(np.intp) - FIRST_ISLET] = 0
    counted = counted[counted > 0]
    ieq = None
    if rules.um_per_px is not None:
        diameters_um = 2 * np.sqrt(counted / np.pi) * rules.um_per_px
        diameters_um = diameters_um[diameters_um >= rules.smallest_islet_um]
        counted, ieq = diameters_um, float(((diameters_um / _REFERENCE_UM) ** 3).sum())
    tissue_px = islet_area_px + exocrine_area_px
    return Numbers(
        islets_n=len(counted),
        ieq=ieq,
        purity_fraction=islet_area_px / tissue_px if tissue_px else None,
        islet_area_px=islet_area_px,
        exocrine_area_px=exocrine_area_px,
    )
