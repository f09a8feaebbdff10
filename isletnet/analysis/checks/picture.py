"""Warnings about a picture, each a small function that gives None where there is nothing to say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isletnet.analysis.checks.bubbles import find_bubbles
from isletnet.analysis.checks.features import LogColours
from isletnet.schemas import QualityWarning

# Real micrographs in focus have edges of 2.3 to 3.8 px; blurred by 8 px, 7.3 and more.
BLUR_PX, BLUR_UM = 6.0, 5.0
SEVERE_BLUR_PX, SEVERE_BLUR_UM = 12.0, 10.0
# An edge lower than this is noise or dust, and says nothing about focus.
EDGE_LEVELS = 15.0
CLIPPED_SHARE, SEVERE_CLIPPED_SHARE = 0.02, 0.2
# Light at the brightest place of the background over that at the darkest; the network is trained up to about 2.
UNEVEN_RATIO, SEVERE_UNEVEN_RATIO = 2.0, 3.0
# How far the most distant 0.2 % of pixels stand from the background, in log units.
LOW_CONTRAST = 0.08
# How far a colour number may leave its training range, as a share of the range and at least this in log units.
COLOUR_MARGIN_SHARE, COLOUR_MARGIN = 0.1, 0.1
# Cross-validated over sources (`python -m tests.benchmarks.not_islets`): 96 % of other pictures are detected, and 0.3 %
# of islet micrographs, real ones in altered light and synthetic ones, raise a false alarm.
NOT_ISLETS_BELOW = 0.2
UM_PER_PX_RANGE = (0.1, 20.0)


def not_islet_micrograph(probability: float) -> QualityWarning | None:
    """Warn when the picture looks like no micrograph of stained islets: a face, a page, fluorescence, histology."""
    if probability >= NOT_ISLETS_BELOW:
        return None
    return QualityWarning(
        code="not_islet_micrograph",
        message="This does not look like a micrograph of dithizone-stained islets; do not use its numbers.",
        severity="severe",
        evidence={"islet_micrograph_probability": probability, "threshold": NOT_ISLETS_BELOW},
    )


def calibration_missing(um_per_px: float | None) -> QualityWarning | None:
    """Warn that without a pixel size there are no micrometres and no IEQ."""
    if um_per_px is not None:
        return None
    return QualityWarning(
        code="calibration_missing",
        message="The pixel size is unknown, so there are no micrometres and no IEQ; give um_per_px.",
    )


def pixel_size_implausible(um_per_px: float | None) -> QualityWarning | None:
    """Warn about a pixel size that no islet micrograph has."""
    low, high = UM_PER_PX_RANGE
    if um_per_px is None or low <= um_per_px <= high:
        return None
    return QualityWarning(
        code="calibration_implausible",
        message=f"A pixel of {um_per_px:g} um is implausible ({low:g} to {high:g} um is usual); check it.",
        severity="severe",
        evidence={"um_per_px": um_per_px, "low": low, "high": high},
    )


def clipped(small: NDArray[np.uint8]) -> QualityWarning | None:
    """Warn about places with no light at all, or with so much that colour is lost.

    A single channel at its end is usual (blue in yellow light, red within islets), so over-exposed means that two
    channels are full, and under-exposed that all three are empty.
    """
    red, green, blue = (small[..., channel] for channel in range(3))
    over = float((np.maximum(np.minimum(red, green), np.minimum(np.maximum(red, green), blue)) >= 254).mean())
    under = float((np.maximum(np.maximum(red, green), blue) <= 1).mean())
    worst = max(over, under)
    if worst <= CLIPPED_SHARE:
        return None
    which, cure = ("over", "less") if over >= under else ("under", "more")
    return QualityWarning(
        code="clipped",
        message=f"{worst:.0%} of the picture is {which}-exposed; take it again with {cure} light.",
        severity="severe" if worst > SEVERE_CLIPPED_SHARE else "warning",
        evidence={"over_exposed_fraction": over, "under_exposed_fraction": under, "threshold": CLIPPED_SHARE},
    )


def out_of_focus(edges: tuple[float, float] | None, um_per_px: float | None) -> QualityWarning | None:
    """Warn when even the sharpest edges are wide, in pixels and, where they are known, in micrometres.

    Parameters
    ----------
    edges
        Spread in px and height in levels, from `features.edge_spread_px`.
    um_per_px
        Pixel size.
    """
    if edges is None or edges[1] < EDGE_LEVELS:
        return None
    spread_px = edges[0]
    spread_um = math.nan if um_per_px is None else spread_px * um_per_px
    if spread_px <= BLUR_PX or spread_um <= BLUR_UM:
        return None
    severe = spread_px > SEVERE_BLUR_PX and not spread_um <= SEVERE_BLUR_UM
    evidence = {"edge_spread_px": spread_px, "threshold_px": BLUR_PX}
    return QualityWarning(
        code="out_of_focus",
        message="The picture is out of focus; outlines and small islets are uncertain.",
        severity="severe" if severe else "warning",
        evidence=evidence if um_per_px is None else {**evidence, "edge_spread_um": spread_um, "threshold_um": BLUR_UM},
    )


def uneven_light(surface: NDArray[np.float32]) -> QualityWarning | None:
    """Warn when the background is much brighter in one place than in another.

    Parameters
    ----------
    surface
        Logarithm of the background's light, from `features.background_surface`.
    """
    ratio = math.exp(float(surface.max() - surface.min()))
    if ratio <= UNEVEN_RATIO:
        return None
    return QualityWarning(
        code="uneven_light",
        message=f"The light is uneven: its brightest place has {ratio:.1f} times the light of its darkest.",
        severity="severe" if ratio > SEVERE_UNEVEN_RATIO else "warning",
        evidence={"brightest_over_darkest": ratio, "threshold": UNEVEN_RATIO},
    )


def low_contrast(colours: LogColours, surface: NDArray[np.float32]) -> QualityWarning | None:
    """Warn when nothing in the picture stands out from the background, in light or in colour.

    Parameters
    ----------
    colours
        Thumbnail in logarithms.
    surface
        Logarithm of the background's light, so that uneven light is no contrast.
    """
    rises = (colours.light - surface, colours.red - colours.background_red)
    contrast = max(float(np.percentile(np.abs(ndimage.gaussian_filter(rise, 1.0)), 99.8)) for rise in rises)
    if contrast >= LOW_CONTRAST:
        return None
    return QualityWarning(
        code="low_contrast",
        message="Hardly anything stands out from the background; the field may be empty or the stain too weak.",
        evidence={"log_contrast": contrast, "threshold": LOW_CONTRAST},
    )


def colours_unlike_training(
    statistics: Mapping[str, float], ranges: Mapping[str, Sequence[float]]
) -> QualityWarning | None:
    """Warn when a colour number lies outside the range of the pictures that the network learned from."""
    excess = {}
    for name, (low, high) in ranges.items():
        margin = max(COLOUR_MARGIN, COLOUR_MARGIN_SHARE * (high - low))
        if name in statistics:
            excess[name] = max(low - statistics[name], statistics[name] - high) - margin
    outside = {name: statistics[name] for name, value in excess.items() if value > 0}
    if not outside:
        return None
    worst = max(excess, key=lambda name: excess[name])
    return QualityWarning(
        code="colours_unlike_training",
        message=f"The colours are unlike the training pictures', most the {worst.replace('_', ' ')}; see the outlines.",
        evidence=outside,
    )


def bubble_suspected(small: NDArray[np.uint8], factor: int) -> QualityWarning | None:
    """Warn about air bubbles: round rings without red around a core as bright as the background.

    Parameters
    ----------
    small, factor
        Thumbnail, and the pixels of the picture that one of its pixels stands for.
    """
    bubbles = find_bubbles(small)
    if not bubbles:
        return None
    largest = max(bubbles, key=lambda bubble: bubble.diameter_px)
    return QualityWarning(
        code="bubble_suspected",
        message="There seems to be an air bubble in the field; see that it is not counted as tissue.",
        evidence={
            "bubbles_n": float(len(bubbles)),
            "largest_diameter_px": largest.diameter_px * factor,
            "centre_x_px": largest.column * factor,
            "centre_y_px": largest.row * factor,
        },
    )
