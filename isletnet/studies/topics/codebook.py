"""What every column of a prepared data set means, its unit, and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from isletnet.analysis.measure import COLUMNS
from isletnet.errors import ParameterError

_ESTIMATES = {
    "ieq": ("Islet equivalents by the method in ieq_method", "IEQ"),
    "islets_n": ("Islets of at least the smallest diameter", "islets"),
    "purity_area_fraction": ("Islet area / (islet + exocrine area)", "fraction"),
    "purity_volume_fraction": ("Islet volume / (islet + exocrine volume), by Vext", "fraction"),
    "islet_index_ieq_per_islet": ("IEQ / number of islets", "IEQ per islet"),
    "mean_diameter_um": ("Mean equal-area diameter of islets", "um"),
    "median_diameter_um": ("Median equal-area diameter of islets", "um"),
    "preparation_ieq": ("IEQ of the whole preparation", "IEQ"),
    "preparation_islets_n": ("Islets of the whole preparation", "islets"),
    "preparation_ieq_per_kg": ("IEQ of the whole preparation per kg of the recipient", "IEQ/kg"),
    "preparation_ieq_per_g_pancreas": ("IEQ of the whole preparation per g of pancreas", "IEQ/g"),
    "preparation_islet_volume_ul": ("Islet volume of the whole preparation", "uL"),
}
_NUMBERS = {
    "image": ("Code of the image", ""),
    "donor": ("Code of the donor", ""),
    "width_px": ("Width of the picture", "px"),
    "height_px": ("Height of the picture", "px"),
    "file_format": ("Format of the picture's file", ""),
    "calibration_source": ("Who said how large a pixel is: caller, file or guess", ""),
    "network": ("Network that segmented", ""),
    "network_version": ("Its version", ""),
    "weights_sha256": ("Hash of its weights", ""),
    "package_version": ("Version of isletnet", ""),
    "images_n": ("Number of images", "images"),
    "um_per_px": ("Size of a pixel", "um/px"),
    "image_area_mm2": ("Area of the picture", "mm2"),
    "ieq_method": ("Method of the column ieq", ""),
    "small_particles_n": ("Islet-coloured particles below the smallest diameter", "particles"),
    "border_islets_n": ("Islets that the border of the picture cuts", "islets"),
    "oversize_islets_n": ("Islets of 400 um and more, which have no class in the Ricordi table", "islets"),
    "islet_area_px": ("Pixels of islet", "px²"),
    "exocrine_area_px": ("Pixels of exocrine tissue", "px²"),
    "small_islet_fraction": ("Share of whole islets below 100 um", "fraction"),
    "low_solidity_fraction": ("Share of whole islets with area / hull area below 0.9", "fraction"),
    "small_particles_per_islet": ("Particles below the smallest diameter per islet", "per islet"),
    "small_particles_ieq": ("IEQ of the particles below the smallest diameter, in no other IEQ", "IEQ"),
    "contact_free_fraction": ("Share of whole islets with exocrine tissue at less than 25% of the outline", "fraction"),
    "contact_mantled_fraction": ("Share of whole islets with exocrine tissue at 25% to 75% of the outline", "fraction"),
    "contact_embedded_fraction": ("Share of whole islets with exocrine tissue at more than 75% of it", "fraction"),
    "weibull_shape": ("Shape of the Weibull distribution of diameters", ""),
    "weibull_scale_um": ("Scale of the Weibull distribution of diameters", "um"),
    "replicate_cv_fraction": ("Coefficient of variation of replicate samples", "fraction"),
    "replicates_n": ("Replicate samples", "samples"),
    "criteria_passed_n": ("Release criteria that are met", "criteria"),
    "criteria_failed_n": ("Release criteria that are not met", "criteria"),
    "criteria_unknown_n": ("Release criteria whose value is unknown", "criteria"),
    "warnings": ("Codes of warnings, parted by spaces", ""),
}
_PATTERNS = (
    (r"islets_(below|from)_(\d+)_um_n", "Islets {0} {1} um", "islets"),
    (r"ieq_(below|from)_(\d+)_um", "IEQ of islets {0} {1} um", "IEQ"),
    (r"islets_(\d+)_(\d+)_um_n", "Islets from {0} to below {1} um", "islets"),
    (r"ieq_(\d+)_(\d+)_um", "IEQ of islets from {0} to below {1} um", "IEQ"),
    (r"volume_(\w+)_nl", "Islet volume by the method {0}", "nL"),
    (r"ieq_(\w+)", "Islet equivalents by the method {0}", "IEQ"),
)
_OF_RESULTS, _OF_ISLETS, _OF_STUDY = "summary.json", "islets.csv", "this study"


def codebook(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Describe every column of the tables ``images`` and ``islets``.

    Returns
    -------
    pandas.DataFrame
        ``table``, ``column``, ``meaning``, ``unit`` ("" for none), ``type`` and ``source``.

    Raises
    ------
    ParameterError
        A column that nothing is known of.
    """
    rows = []
    for name, table in tables.items():
        for column in table.columns:
            meaning, unit, source = _islet(column) if name == "islets" else _image(column)
            kind = str(table[column].dtype)
            rows.append((name, column, meaning, unit, kind, source))
    return pd.DataFrame(rows, columns=["table", "column", "meaning", "unit", "type", "source"])


def _islet(column: str) -> tuple[str, str, str]:
    known = {one.name: one for one in COLUMNS}
    if column in known:
        return known[column].description, known[column].unit, _OF_ISLETS
    return (*_known(column, _NUMBERS), _OF_STUDY)


def _image(column: str) -> tuple[str, str, str]:
    if column in ("image", "donor"):
        return (*_NUMBERS[column], _OF_STUDY)
    bound = re.fullmatch(r"(\w+)_(low|high)", column)
    if bound and bound[1] in _ESTIMATES:
        meaning, unit = _ESTIMATES[bound[1]]
        return f"{'Lower' if bound[2] == 'low' else 'Upper'} end of the interval: {meaning}", unit, _OF_RESULTS
    return (*_known(column, {**_NUMBERS, **_ESTIMATES}), _OF_RESULTS)


def _known(column: str, meanings: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    if column in meanings:
        return meanings[column]
    for pattern, meaning, unit in _PATTERNS:
        match = re.fullmatch(pattern, column)
        if match:
            return meaning.format(*(part.replace("_", " ") for part in match.groups())), unit
    raise ParameterError("nothing is known of this column; add it to the codebook", subject=column)
