"""Whether a picture is a micrograph of stained islets at all.

A logistic regression on hand-made features of a thumbnail and on their squares. Its numbers are in ``kind.json``, made
by ``python -m tests.benchmarks.not_islets``, which also measures it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isletnet.analysis.checks.features import LogColours, gradient

KIND_PX = 200
# Distance from the background in log units at which a pixel counts as an object.
OBJECT_DISTANCE = 0.25
RED_RISE = 0.3

KIND_FEATURES = (
    "background_share",
    "background_light",
    "background_red_over_green",
    "background_blue_over_green",
    "object_redder_share",
    "object_greener_share",
    "object_bluer_share",
    "object_light",
    "red_share",
    "hue_concentration",
    "edge_density",
    "edges_at_red_share",
    "roughness",
    "coarse_share",
    "grey_share",
    "black_share",
    "white_share",
    "reddest",
    "red_compactness",
    "red_parts",
    "background_spread",
    "greenest",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KindModel:
    """Coefficients, one for each of ``KIND_FEATURES``; features are standardised and clipped to ``+-clip``."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    linear: NDArray[np.float64]
    square: NDArray[np.float64]
    intercept: float
    clip: float


@cache
def kind_model() -> KindModel:
    """Read the trained coefficients."""
    numbers = json.loads(Path(__file__).with_name("kind.json").read_text(encoding="utf-8"))
    vectors = {name: np.array(numbers[name]) for name in ("mean", "scale", "linear", "square")}
    return KindModel(**vectors, intercept=numbers["intercept"], clip=numbers["clip"])


def islet_micrograph_probability(values: NDArray[np.float64], model: KindModel) -> NDArray[np.float64]:
    """Give the probability that pictures are islet micrographs.

    Parameters
    ----------
    values
        Features, ``(..., len(KIND_FEATURES))``.
    model
        Coefficients.

    Returns
    -------
    float64 of the leading shape, 0..1.
    """
    standard = np.clip((values - model.mean) / model.scale, -model.clip, model.clip)
    score = standard @ model.linear + standard**2 @ model.square + model.intercept
    return np.asarray(1.0 / (1.0 + np.exp(-score)), dtype=np.float64)


def kind_features(small: NDArray[np.uint8], colours: LogColours) -> NDArray[np.float64]:
    """Describe a thumbnail by the numbers ``KIND_FEATURES``, from which the regression tells an islet micrograph.

    Parameters
    ----------
    small
        RGB uint8, longer side about ``KIND_PX``.
    colours
        Its logarithms.

    Returns
    -------
    float64 ``(len(KIND_FEATURES),)``, every number finite. Shares of something that the picture does not hold are 0.
    """
    light_rise = colours.light - colours.background_light
    red_rise = colours.red - colours.background_red
    blue_rise = colours.blue - colours.background_blue
    distance = colours.distance
    objects = distance > OBJECT_DISTANCE
    red_objects = ndimage.binary_opening(red_rise > RED_RISE)
    edges = gradient(ndimage.gaussian_filter(colours.light, 0.7)) + gradient(ndimage.gaussian_filter(colours.red, 0.7))
    strong_edges = edges > 0.1
    near_red = ndimage.maximum_filter(red_objects, 7) & ~ndimage.minimum_filter(red_objects, 7)
    spread = float(colours.light.std()) + float(colours.red.std())
    coarse = ndimage.gaussian_filter(colours.light, 4.0).std() + ndimage.gaussian_filter(colours.red, 4.0).std()
    parts_n, compactness = _compactness(red_objects)
    # Hue alone, so that strong and weak stain point the same way.
    length = np.sqrt(red_rise**2 + (0.5 * blue_rise) ** 2)
    coloured = length > 0.1
    tint = float(length[coloured].sum())
    hue = np.hypot(red_rise[coloured].sum(), 0.5 * blue_rise[coloured].sum()) / tint if tint else 0.0
    grey = (np.abs(colours.red) < 0.06) & (np.abs(colours.blue) < 0.06)
    first, second, third = (small[..., channel] for channel in range(3))
    highest = np.maximum(np.maximum(first, second), third)
    lowest = np.minimum(np.minimum(first, second), third)
    laplacian = np.abs(ndimage.laplace(colours.light))
    values = (
        1.0 - objects.mean(),
        colours.background_light,
        colours.background_red,
        colours.background_blue,
        _share(red_rise > 0.15, objects),
        _share(red_rise < -0.15, objects),
        _share(blue_rise > 0.2, objects),
        float(light_rise[objects].mean()) if objects.any() else 0.0,
        red_objects.mean(),
        hue,
        strong_edges.mean(),
        _share(near_red, strong_edges),
        np.log(float(np.median(laplacian)) + 1e-3),
        coarse / (spread + 1e-3),
        grey.mean(),
        (highest < 10).mean(),
        (lowest > 245).mean(),
        float(np.percentile(red_rise, 99.5)),
        compactness,
        np.log1p(parts_n),
        float(np.median(np.abs(light_rise[~objects]))) if not objects.all() else 0.0,
        float(np.percentile(red_rise, 0.5)),
    )
    return np.array(values, dtype=np.float64)


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    total = int(whole.sum())
    return float((part & whole).sum() / total) if total else 0.0


def _compactness(mask: NDArray[np.bool_]) -> tuple[int, float]:
    """Count the parts of at least 6 px, and give the share of their boxes that they fill, weighed by area."""
    labels, labels_n = ndimage.label(mask)
    areas = np.bincount(labels.ravel(), minlength=labels_n + 1)
    boxes = ndimage.find_objects(labels)
    kept = [(int(areas[i + 1]), labels[box].size) for i, box in enumerate(boxes) if areas[i + 1] >= 6]
    total = sum(area for area, _ in kept)
    return len(kept), sum(area * area / box for area, box in kept) / total if total else 0.0
