"""Every volume estimator on trial: silhouettes of bodies whose volume is known.

The silhouettes are measured by `isletnet.analysis.measure`, so what is tried is what is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from isletnet.analysis.measure import measure
from isletnet.errors import ParameterError
from isletnet.schemas import IEQ_METHODS, IEQ_UM3, ISLET, LabelledIslets, Segmentation
from isletnet.synthetic import bodies
from isletnet.synthetic.islets import draw_diameters_um

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Shape = Literal["sphere", "oval", "flat", "lobed"]
Lie = Literal["any", "settled"]

# Semi-axes against each other; lobes are set into an oval.
PROPORTIONS: dict[Shape, tuple[float, float, float]] = {
    "sphere": (1.0, 1.0, 1.0),
    "oval": (1.0, 0.8, 0.65),
    "flat": (1.0, 0.9, 0.45),
    "lobed": (1.0, 0.8, 0.65),
}
_LOBES_N = (3, 8)
_GAP_PX = 2
_MOSAIC_WIDTH_PX = 2400


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What islets are like, how they lie, and what goes wrong between them and their numbers.

    ``diameter_um`` is that of the ball of equal volume; None draws from the published sizes of human islets.
    ``lie`` is ``any`` (every orientation alike) or ``settled`` (the shortest axis upright). With ``pairs`` every two
    islets touch and are taken for one. ``pixel_size_error`` 0.01 means that the pixel size is given 1 % too large;
    ``outline_shift_um`` above 0 draws the outline that much too far out.
    """

    name: str
    shape: Shape = "oval"
    lie: Lie = "any"
    diameter_um: float | None = None
    pairs: bool = False
    pixel_size_error: float = 0.0
    outline_shift_um: float = 0.0


def run_trial(condition: Condition, *, islets_n: int, seed: int, um_per_px: float = 2.0) -> pd.DataFrame:
    """Grow islets, look at them from above, and measure them as any picture would be.

    Parameters
    ----------
    condition
        What to try.
    islets_n
        How many silhouettes; with ``pairs`` each holds two islets.
    seed
        The same seed and arguments give the same numbers.
    um_per_px
        True pixel size.

    Returns
    -------
    pandas.DataFrame
        One row a silhouette: ``condition``, ``shape``, ``lie``, ``true_volume_um3``, ``true_ieq``,
        ``true_diameter_um`` (of the ball of equal volume), ``equal_area_diameter_um`` as measured, and for each
        method ``ieq_<method>``.

    Raises
    ------
    ParameterError
        ``islets_n`` is below 1.
    """
    if islets_n < 1:
        raise ParameterError(f"at least 1 islet is needed, but {islets_n} came", subject="islets_n")
    rng = np.random.default_rng([seed, 3])
    masks, volumes = [], []
    for _ in range(islets_n):
        mask, volume_um3 = _silhouette(rng, condition, um_per_px)
        if condition.pairs:
            other, other_um3 = _silhouette(rng, condition, um_per_px)
            mask, volume_um3 = touching(mask, other), volume_um3 + other_um3
        masks.append(mask)
        volumes.append(volume_um3)
    table = measure_silhouettes(masks, um_per_px=um_per_px * (1 + condition.pixel_size_error))
    true_um3 = np.array(volumes)
    kept = table[["equal_area_diameter_um", *(f"ieq_{method}" for method in IEQ_METHODS)]]
    facts = {
        "condition": condition.name,
        "shape": condition.shape,
        "lie": condition.lie,
        "true_volume_um3": true_um3,
        "true_ieq": true_um3 / IEQ_UM3,
        "true_diameter_um": np.cbrt(6 * true_um3 / np.pi),
    }
    return kept.assign(**facts)[[*facts, *kept.columns]]


# What the study of volume methods tries. The first group has nothing but shape and lie between truth and result.
CONDITIONS = (
    Condition(name="spheres", shape="sphere"),
    Condition(name="ovals, any orientation"),
    Condition(name="ovals, settled", lie="settled"),
    Condition(name="flat, any orientation", shape="flat"),
    Condition(name="flat, settled", shape="flat", lie="settled"),
    Condition(name="lobed, any orientation", shape="lobed"),
    Condition(name="lobed, settled", shape="lobed", lie="settled"),
    Condition(name="spheres, pairs not split", shape="sphere", pairs=True),
    Condition(name="ovals, pairs not split", pairs=True),
    Condition(name="spheres, pixel size 1 % too large", shape="sphere", pixel_size_error=0.01),
    Condition(name="spheres, pixel size 2 % too large", shape="sphere", pixel_size_error=0.02),
    Condition(name="spheres, outline 1 µm too far out", shape="sphere", outline_shift_um=1.0),
    Condition(name="spheres, outline 2 µm too far out", shape="sphere", outline_shift_um=2.0),
    Condition(name="spheres, outline 2 µm too far in", shape="sphere", outline_shift_um=-2.0),
)
SIZES_UM = (50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 400.0)
SIZE_SHAPES: tuple[Shape, ...] = ("sphere", "oval", "lobed")


def run_trials(conditions: Sequence[Condition], *, islets_n: int, seed: int) -> pd.DataFrame:
    """Run `run_trial` for several conditions, with the same seed, and put the tables below each other."""
    import pandas as pd

    return pd.concat([run_trial(one, islets_n=islets_n, seed=seed) for one in conditions], ignore_index=True)


def run_sizes(*, islets_n: int, seed: int) -> pd.DataFrame:
    """Try islets of the diameters `SIZES_UM` and the shapes `SIZE_SHAPES`; adds the column ``diameter_um``."""
    import pandas as pd

    tables = [
        run_trial(
            Condition(name=f"{shape} {diameter_um:g}", shape=shape, diameter_um=diameter_um),
            islets_n=islets_n,
            seed=seed,
            # Larger islets need fewer pixels a micrometre.
            um_per_px=max(1.0, diameter_um / 100),
        ).assign(diameter_um=diameter_um)
        for shape in SIZE_SHAPES
        for diameter_um in SIZES_UM
    ]
    return pd.concat(tables, ignore_index=True)


def measured_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Turn islets whose volume was measured another way, such as by OPT, into the form of `run_trial`.

    Parameters
    ----------
    table
        One row an islet: ``true_volume_um3``, and ``volume_<method>_um3`` or ``ieq_<method>`` as in ``islets.csv``.

    Returns
    -------
    pandas.DataFrame
        ``condition`` ("measured pairs"), ``true_volume_um3``, ``true_ieq`` and ``ieq_<method>``.

    Raises
    ------
    ParameterError
        A column is absent, or a true volume is not above 0.
    """
    import pandas as pd

    if "true_volume_um3" not in table.columns or not (table["true_volume_um3"] > 0).all():
        raise ParameterError("a column true_volume_um3 with numbers above 0 was expected", subject="pairs")
    found = {}
    for method in IEQ_METHODS:
        if f"ieq_{method}" in table.columns:
            found[f"ieq_{method}"] = table[f"ieq_{method}"]
        elif f"volume_{method}_um3" in table.columns:
            found[f"ieq_{method}"] = table[f"volume_{method}_um3"] / IEQ_UM3
    if not found:
        raise ParameterError("a column ieq_<method> or volume_<method>_um3 was expected", subject="pairs")
    true_um3 = table["true_volume_um3"]
    return pd.DataFrame(
        {"condition": "measured pairs", "true_volume_um3": true_um3, "true_ieq": true_um3 / IEQ_UM3, **found}
    )


def grow(rng: np.random.Generator, shape: Shape, lie: Lie, diameter_um: float) -> bodies.Body:
    """Grow one body with the volume of a ball of a diameter, lying as wished (lobes change its volume a little)."""
    proportions = np.array(PROPORTIONS[shape])
    semi_um = diameter_um / 2 * proportions / np.cbrt(proportions.prod())
    if shape == "lobed":
        # Lobes add about a fifth of the volume of the main body.
        body = bodies.lobed(rng, semi_um * 0.94, int(rng.integers(*_LOBES_N)))
    else:
        body = bodies.ellipsoid(semi_um)
    return body if lie == "settled" else bodies.rotated(body, bodies.random_rotation(rng))


def measure_silhouettes(masks: Sequence[NDArray[np.bool_]], *, um_per_px: float) -> pd.DataFrame:
    """Measure outlines as if they lay apart in one picture.

    Parameters
    ----------
    masks
        Bool ``(height, width)`` each, with at least one pixel.
    um_per_px
        Pixel size.

    Returns
    -------
    pandas.DataFrame
        One row a mask, in order, with the columns of `isletnet.analysis.measure.COLUMNS`.
    """
    places, top, left, tallest = [], _GAP_PX, _GAP_PX, 0
    width = max([_MOSAIC_WIDTH_PX, *(mask.shape[1] + 2 * _GAP_PX for mask in masks)])
    for mask in masks:
        if left + mask.shape[1] + _GAP_PX > width:
            top, left, tallest = top + tallest + _GAP_PX, _GAP_PX, 0
        places.append((slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1])))
        left, tallest = left + mask.shape[1] + _GAP_PX, max(tallest, mask.shape[0])
    islets = np.zeros((top + tallest + _GAP_PX, width), dtype=np.int32)
    for number, (mask, place) in enumerate(zip(masks, places, strict=True), start=1):
        islets[place][mask] = number
    classes = np.where(islets > 0, np.uint8(ISLET), np.uint8(0))
    return measure(
        LabelledIslets(classes=classes, islets=islets, islets_n=len(masks)),
        Segmentation(classes=classes, islet_probability=np.broadcast_to(np.uint8(255), islets.shape)),
        np.broadcast_to(np.uint8(0), (*islets.shape, 3)),
        um_per_px=um_per_px,
        smallest_islet_um=0.0,
        image_sha256="",
    )


def touching(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Unite two masks, the second moved to the right of the first until they touch along a row."""
    height = max(len(first), len(second))
    padded = [
        np.pad(one, (((height - len(one)) // 2, (height - len(one) + 1) // 2), (0, 0))) for one in (first, second)
    ]
    ends = np.where(padded[0].any(axis=1), padded[0].shape[1] - padded[0][:, ::-1].argmax(axis=1), -(10**6))
    starts = np.where(padded[1].any(axis=1), padded[1].argmax(axis=1), 10**6)
    # The smallest step at which no row overlaps.
    step = max(0, int((ends - starts).max()))
    united = np.zeros((height, max(padded[0].shape[1], step + padded[1].shape[1])), dtype=bool)
    united[:, : padded[0].shape[1]] |= padded[0]
    united[:, step : step + padded[1].shape[1]] |= padded[1]
    return united


def _silhouette(rng: np.random.Generator, condition: Condition, um_per_px: float) -> tuple[NDArray[np.bool_], float]:
    diameter_um = condition.diameter_um
    if diameter_um is None:
        diameter_um = float(draw_diameters_um(rng, 1)[0])
    offset_px = (float(rng.uniform()), float(rng.uniform()))
    body = grow(rng, condition.shape, condition.lie, diameter_um)
    view = bodies.seen_from_above(body, um_per_px=um_per_px, offset_px=offset_px)
    mask = view.mask
    if condition.outline_shift_um:
        shift_um = condition.outline_shift_um
        mask = bodies.drawn_outline(body, um_per_px=um_per_px, offset_px=offset_px, shift_um=shift_um)
    # A single ellipsoid has its volume in closed form; the grid of a picture is too coarse for small ones.
    semi = np.sqrt(np.linalg.det(body.forms_um2))
    return mask, float(4 / 3 * np.pi * semi[0]) if len(semi) == 1 else view.volume_um3
