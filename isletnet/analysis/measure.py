"""Labelled islets to numbers: one row for each, in pixels and micrometres."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from isletnet.analysis import volume
from isletnet.analysis.shapes.distance import dilated, half_heights
from isletnet.analysis.shapes.shape import crofton_perimeter, framed, hulls, moments, row_blocks
from isletnet.errors import ParameterError
from isletnet.schemas import EXOCRINE, IEQ_METHODS, VOLUME_METHODS, LabelledIslets, Segmentation

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Box = tuple[slice, slice]
    Values = dict[str, Any]

# The contour is in contact where exocrine tissue is this near.
CONTACT_UM = 5.0
CONTACT_UNCALIBRATED_PX = 3.0

_ISLET_IDS = uuid.UUID("0b1e3c52-6a0d-5f0c-9d53-1a7c8e4f2b60")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: its name, unit ("" for none), pandas dtype and meaning."""

    name: str
    unit: str
    dtype: str
    description: str


def _lengths(name: str, description: str) -> tuple[Column, Column]:
    return (
        Column(f"{name}_px", "px", "float64", description),
        Column(f"{name}_um", "um", "float64", description),
    )


COLUMNS: tuple[Column, ...] = (
    Column("id", "", "str", "UUID made from image, place and outline: the same outline has the same id again"),
    Column("number", "", "int64", "Number in the label image, from 1"),
    Column("centroid_x_px", "px", "float64", "Mean x of the pixel centres; the first column is 0"),
    Column("centroid_y_px", "px", "float64", "Mean y of the pixel centres; the first row is 0"),
    Column("bbox_left_px", "px", "int64", "First column"),
    Column("bbox_top_px", "px", "int64", "First row"),
    Column("bbox_width_px", "px", "int64", "Number of columns"),
    Column("bbox_height_px", "px", "int64", "Number of rows"),
    Column("area_px", "px²", "int64", "Number of pixels"),
    Column("area_um2", "um²", "float64", "Area"),
    *_lengths("perimeter", "Perimeter by the Cauchy-Crofton formula in 4 directions"),
    *_lengths("equal_area_diameter", "Diameter of the circle of equal area"),
    *_lengths("major_axis", "Full major axis of the ellipse of equal second moments"),
    *_lengths("minor_axis", "Full minor axis of the ellipse of equal second moments"),
    Column("orientation_deg", "degree", "float64", "Major axis, counter-clockwise from the x axis, in (-90, 90]"),
    *_lengths("feret_max", "Largest distance of two corners of the convex hull of the pixel corners"),
    *_lengths("feret_min", "Least width of the convex hull of the pixel corners"),
    Column("circularity", "", "float64", "4 pi area / perimeter², at most 1"),
    Column("solidity", "", "float64", "Area / area of the convex hull of the pixel corners"),
    Column("aspect", "", "float64", "Minor axis / major axis"),
    *(Column(f"volume_{method}_um3", "um³", "float64", f"Volume, method {method}") for method in VOLUME_METHODS),
    *(Column(f"ieq_{method}", "IEQ", "float64", f"Islet equivalents, method {method}") for method in IEQ_METHODS),
    Column("islet_probability", "", "float64", "Mean islet probability of the network, 0..1"),
    Column("mean_red", "", "float64", "Mean red, 0..255"),
    Column("mean_green", "", "float64", "Mean green, 0..255"),
    Column("mean_blue", "", "float64", "Mean blue, 0..255"),
    Column(
        "exocrine_contact_fraction",
        "",
        "float64",
        f"Share of contour pixels with exocrine tissue within {CONTACT_UM:g} um ({CONTACT_UNCALIBRATED_PX:g} px if "
        "uncalibrated)",
    ),
    Column("touches_border", "", "bool", "Whether the border of the picture cuts it"),
    Column("touches_islet", "", "bool", "Whether it shares a boundary with another islet"),
    Column("is_islet", "", "bool", "Whether it is large enough to count; uncalibrated, all are"),
)


def measure(
    labelled: LabelledIslets,
    segmentation: Segmentation,
    pixels: NDArray[np.uint8],
    *,
    um_per_px: float | None,
    smallest_islet_um: float,
    image_sha256: str,
) -> pd.DataFrame:
    """Measure every labelled islet.

    Parameters
    ----------
    labelled
        Ids 1..n and the cleaned classes.
    segmentation
        Gives the islet probability.
    pixels
        Picture, uint8 ``(height, width, 3)``.
    um_per_px
        Pixel size, or None without calibration: columns in um, um², um³ and IEQ are then NaN.
    smallest_islet_um
        Equal-area diameter from which a particle counts as an islet (column ``is_islet``).
    image_sha256
        Goes into the ids.

    Returns
    -------
    pandas.DataFrame
        One row an islet in order of its number, with the columns, dtypes and order of `COLUMNS`; also when empty.
        The Ricordi columns use the equal-area diameter.

    Raises
    ------
    ParameterError
        If the arrays differ in size, an id has no pixel, or ``um_per_px`` is not above 0.
    """
    import pandas as pd

    shapes = {labelled.islets.shape, labelled.classes.shape, segmentation.islet_probability.shape, pixels.shape[:2]}
    if len(shapes) > 1:
        raise ParameterError(f"labels, probabilities and pixels must have one size, but have {sorted(shapes)}")
    if um_per_px is not None and not (np.isfinite(um_per_px) and um_per_px > 0):
        message = f"must be a number above 0 or None, but is {um_per_px}; give the pixel size or leave it out"
        raise ParameterError(message, subject="um_per_px")
    boxes = ndimage.find_objects(labelled.islets, max_label=labelled.islets_n)
    if None in boxes:
        message = f"ids must be 1..{labelled.islets_n} with none left out, but {boxes.index(None) + 1} has no pixel"
        raise ParameterError(message, subject="labelled")
    masks = [labelled.islets[box] == number for number, box in enumerate(boxes, start=1)]
    scale = np.nan if um_per_px is None else um_per_px
    rows = [
        {
            **_place(mask, box, number, labelled, image_sha256),
            **_outline(mask, box, scale),
            **_appearance(mask, box, segmentation, pixels),
            **_neighbours(mask, box, labelled, um_per_px),
        }
        for number, (mask, box) in enumerate(zip(masks, boxes, strict=True), start=1)
    ]
    values: Values = {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}
    if rows:
        values |= _derived(values, masks, scale)
        values["is_islet"] = (um_per_px is None) | (values["equal_area_diameter_um"] >= smallest_islet_um)
    numbers = {column.name: np.asarray(values.get(column.name, []), column.dtype) for column in COLUMNS[1:]}
    return pd.DataFrame({"id": pd.Series(values.get("id", []), dtype=COLUMNS[0].dtype), **numbers})


def _place(mask: NDArray[np.bool_], box: Box, number: int, labelled: LabelledIslets, image_sha256: str) -> Values:
    top, left = box[0].start, box[1].start
    height, width = mask.shape
    outline = hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
    # Without the number, so that an islet more or less leaves the others' ids as they are.
    name = f"{image_sha256}/{left},{top},{width},{height}/{outline}"
    rows, columns = labelled.islets.shape
    return {
        "id": str(uuid.uuid5(_ISLET_IDS, name)),
        "number": number,
        "bbox_left_px": left,
        "bbox_top_px": top,
        "bbox_width_px": width,
        "bbox_height_px": height,
        "touches_border": top == 0 or left == 0 or top + height == rows or left + width == columns,
    }


def _outline(mask: NDArray[np.bool_], box: Box, um_per_px: float) -> Values:
    ellipse = moments(mask)
    return {
        "centroid_x_px": box[1].start + ellipse.centroid_x_px,
        "centroid_y_px": box[0].start + ellipse.centroid_y_px,
        "area_px": np.count_nonzero(mask),
        "perimeter_px": crofton_perimeter(mask),
        "major_axis_px": ellipse.major_axis_px,
        "minor_axis_px": ellipse.minor_axis_px,
        "orientation_deg": ellipse.orientation_deg,
        "volume_revolution_um3": volume.revolution(mask, ellipse, um_per_px=um_per_px),
        "volume_nucleator_um3": volume.nucleator(mask, ellipse, um_per_px=um_per_px),
    }


def _appearance(mask: NDArray[np.bool_], box: Box, segmentation: Segmentation, pixels: NDArray[np.uint8]) -> Values:
    # Sums of whole numbers in double precision are exact, so their order does not matter.
    colour, probability, area_px = np.zeros(3), 0.0, np.count_nonzero(mask)
    for rows in row_blocks(mask):
        weights = mask[rows].ravel().astype(np.float64)
        colour += weights @ pixels[box][rows].reshape(-1, 3).astype(np.float64)
        probability += float(weights @ segmentation.islet_probability[box][rows].ravel().astype(np.float64))
    red, green, blue = (colour / area_px).tolist()
    return {
        "islet_probability": probability / (255 * area_px),
        "mean_red": red,
        "mean_green": green,
        "mean_blue": blue,
    }


def _neighbours(mask: NDArray[np.bool_], box: Box, labelled: LabelledIslets, um_per_px: float | None) -> Values:
    reach_px = CONTACT_UNCALIBRATED_PX if um_per_px is None else max(1.0, CONTACT_UM / um_per_px)
    margin = int(reach_px)
    wide = tuple(
        slice(max(side.start - margin, 0), min(side.stop + margin, size))
        for side, size in zip(box, labelled.islets.shape, strict=True)
    )
    inner = tuple(slice(side.start - out.start, side.stop - out.start) for side, out in zip(box, wide, strict=True))
    own = np.zeros(labelled.islets[wide].shape, bool)
    own[inner] = mask
    ring = dilated(own, 1.0) & ~own
    is_exocrine = labelled.classes[wide] == EXOCRINE
    contact = 0.0
    if is_exocrine.any():
        wider = framed(own)
        inside = wider[2:, 1:-1] & wider[:-2, 1:-1] & wider[1:-1, 2:] & wider[1:-1, :-2]
        contour = own & ~inside
        contact = np.count_nonzero(contour & dilated(is_exocrine, reach_px)) / np.count_nonzero(contour)
    return {
        "exocrine_contact_fraction": contact,
        "touches_islet": bool((labelled.islets[wide][ring] > 0).any()),
    }


def _derived(values: Values, masks: list[NDArray[np.bool_]], um_per_px: float) -> Values:
    """Columns that are computed for all islets at once."""
    area_px, major_px, minor_px = values["area_px"], values["major_axis_px"], values["minor_axis_px"]
    hull = hulls(masks)
    lengths_px: Values = {
        "perimeter": values["perimeter_px"],
        "equal_area_diameter": 2 * np.sqrt(area_px / np.pi),
        "major_axis": major_px,
        "minor_axis": minor_px,
        "feret_max": np.array([one.feret_max_px for one in hull]),
        "feret_min": np.array([one.feret_min_px for one in hull]),
    }
    derived: Values = {f"{name}_px": length for name, length in lengths_px.items()}
    derived |= {f"{name}_um": length * um_per_px for name, length in lengths_px.items()}
    derived |= {
        "area_um2": area_px * um_per_px**2,
        "circularity": np.minimum(1.0, 4 * np.pi * area_px / lengths_px["perimeter"] ** 2),
        "solidity": area_px / np.array([one.area_px for one in hull]),
        "aspect": minor_px / major_px,
        "volume_sphere_um3": volume.sphere(area_px, um_per_px=um_per_px),
        "volume_prolate_um3": volume.prolate(major_px, minor_px, um_per_px=um_per_px),
        "volume_oblate_um3": volume.oblate(major_px, minor_px, um_per_px=um_per_px),
        "volume_mean_diameter_um3": volume.mean_diameter(major_px, minor_px, um_per_px=um_per_px),
        "volume_vext_um3": np.full(len(masks), np.nan),
        "volume_vmod_um3": np.full(len(masks), np.nan),
    }
    if np.isfinite(um_per_px):
        heights = half_heights(masks)
        derived["volume_vext_um3"] = np.array([volume.vext(one, um_per_px=um_per_px) for one in heights])
        derived["volume_vmod_um3"] = np.array([volume.vmod(one, um_per_px=um_per_px) for one in heights])
    for method in VOLUME_METHODS:
        name = f"volume_{method}_um3"
        derived[f"ieq_{method}"] = volume.ieq(derived[name] if name in derived else values[name])
    diameter_um = derived["equal_area_diameter_um"]
    derived["ieq_ricordi_long"] = volume.ricordi_ieq(diameter_um, table="long")
    derived["ieq_ricordi_short"] = volume.ricordi_ieq(diameter_um, table="short")
    derived["ieq_ricordi_extended"] = volume.ricordi_ieq(diameter_um, table="extended")
    return derived
