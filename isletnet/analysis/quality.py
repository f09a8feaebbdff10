"""Warnings about a picture and about its result, each with the numbers that it rests on.

`check_picture` looks at the pixels, `check_result` at the islet table. Every warning is made by one small function
that gives None where there is nothing to say. Thresholds are constants with their reason beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isletnet.analysis.checks import features, kind, picture, result
from isletnet.schemas import Disagreement, Interval, QualityWarning

if TYPE_CHECKING:
    import pandas as pd

SEVERITY_ORDER = ("severe", "warning", "info")


def check_picture(
    pixels: NDArray[np.uint8],
    *,
    um_per_px: float | None,
    training_colours: Mapping[str, Sequence[float]] | None = None,
) -> tuple[QualityWarning, ...]:
    """Look for everything about a picture that may spoil its result.

    Parameters
    ----------
    pixels
        RGB uint8 ``(height, width, 3)``.
    um_per_px
        Pixel size, None without calibration.
    training_colours
        ``[low, high]`` of each number of `colour_statistics` over the training pictures, as in the
        network's ``model.json``; None leaves that comparison out.

    Returns
    -------
    Warnings, the worst first. A picture that is no islet micrograph is not judged by its focus, light or colours.
    """
    small, factor = features.thumbnail(pixels)
    tiny, _ = features.thumbnail(small, longest_px=kind.KIND_PX)
    colours = features.log_colours(tiny)
    values = kind.kind_features(tiny, colours)
    stranger = picture.not_islet_micrograph(float(kind.islet_micrograph_probability(values, kind.kind_model())))
    found = [
        stranger,
        picture.calibration_missing(um_per_px),
        picture.pixel_size_implausible(um_per_px),
        picture.clipped(small),
    ]
    if stranger is None:
        surface = features.background_surface(colours)
        found += [
            picture.out_of_focus(features.edge_spread_px(pixels, small, factor), um_per_px),
            picture.uneven_light(surface),
            picture.low_contrast(colours, surface),
            picture.colours_unlike_training(features.colour_statistics(colours), training_colours or {}),
            picture.bubble_suspected(small, factor),
        ]
    return _worst_first(found)


def check_result(
    table: pd.DataFrame,
    *,
    um_per_px: float | None,
    ieq_sampling: Interval | None = None,
    disagreement: Disagreement | None = None,
) -> tuple[QualityWarning, ...]:
    """Look for everything about a result that a person should know before using it.

    Parameters
    ----------
    table
        One row per islet with the columns of `measure`; read are ``is_islet``, ``touches_border``,
        ``equal_area_diameter_um`` and ``exocrine_contact_fraction``.
    um_per_px
        Pixel size, None without calibration.
    ieq_sampling
        Sampling interval of the total IEQ.
    disagreement
        How far the networks differ.

    Returns
    -------
    Warnings, the worst first.
    """
    islets = table[table["is_islet"]]
    particles_um = table["equal_area_diameter_um"].to_numpy(dtype=np.float64)
    islets_um = islets["equal_area_diameter_um"].to_numpy(dtype=np.float64)
    return _worst_first(
        [
            result.nothing_found(islets_n=len(islets), particles_n=len(table)),
            result.many_cut_by_border(islets["touches_border"].to_numpy(dtype=bool)),
            result.too_few_islets(len(islets), ieq_sampling),
            result.sizes_implausible(particles_um if um_per_px is not None else np.empty(0)),
            result.oversize_islets(islets_um if um_per_px is not None else np.empty(0)),
            result.very_high_exocrine_contact(islets["exocrine_contact_fraction"].to_numpy(dtype=np.float64)),
            result.networks_disagree(disagreement),
        ]
    )


def colour_statistics(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """Give the colour numbers of a picture, whose ranges over the training pictures a network keeps.

    See `checks.features.colour_statistics`; a network's ``model.json`` holds ``[low, high]`` of each under
    ``training_colours``.
    """
    small, _ = features.thumbnail(pixels, longest_px=kind.KIND_PX)
    return features.colour_statistics(features.log_colours(small))


def _worst_first(found: Iterable[QualityWarning | None]) -> tuple[QualityWarning, ...]:
    warnings = [warning for warning in found if warning is not None]
    return tuple(sorted(warnings, key=lambda warning: SEVERITY_ORDER.index(warning.severity)))
