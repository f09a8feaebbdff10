"""Results and references as measurements: image, donor, quantity, size class, value.

A reference may be other results, a table of islets (`isletnet synth` writes one), or a table of images such as manual
counts, with any of these columns: ``count``, ``ieq``, ``volume_nl``, ``purity_fraction``, ``mean_diameter_um``,
``dna_ng``, and counts by size, ``count_50_100`` to ``count_400``.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from isletnet.analysis.summary.integrity import CLASS_BOUNDS_UM
from isletnet.errors import ParameterError
from isletnet.schemas import IEQ_UM3, SMALLEST_ISLET_UM
from isletnet.studies.declaration import is_address
from isletnet.studies.inputs.sources import Results, read_results

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS = ("image", "quantity", "size_class", "value")
ALL = "all"
# 1 IEQ has about 1560 cells of 6.6 pg DNA (Pisania 2010).
DNA_NG_PER_IEQ = 10.3
QUANTITIES = {
    "ieq": "IEQ",
    "count": "islets",
    "volume_nl": "volume (nL)",
    "purity_fraction": "purity by area",
    "mean_diameter_um": "mean diameter (µm)",
}
# Errors of these grow with the value, so they are compared by ratios.
RATIO_QUANTITIES = frozenset({"ieq", "count", "volume_nl"})
UM3_PER_NL = 1e6
_BY_CLASS = re.compile(r"count_(\d+)(?:_(\d+))?")
_TEXTS = {name: str for title in ("image", "name", "donor") for name in (title, title.capitalize())}
_ALIASES = {
    "islets_n": "count",
    "purity_area_fraction": "purity_fraction",
    "purity": "purity_fraction",
    "volume": "volume_nl",
}


def size_class_names() -> tuple[str, ...]:
    """Name the size classes: ``50-100``, ..., ``>=400`` um."""
    pairs = zip(CLASS_BOUNDS_UM, CLASS_BOUNDS_UM[1:], strict=False)
    return (*(f"{low:g}-{high:g}" for low, high in pairs), f">={CLASS_BOUNDS_UM[-1]:g}")


def size_classes(diameters_um: NDArray[np.float64]) -> NDArray[np.str_]:
    """Name the size class of each diameter; those below the first bound fall into the first class."""
    numbers = np.searchsorted(CLASS_BOUNDS_UM[1:], diameters_um, side="right")
    return np.array(size_class_names())[numbers]


def found_measurements(results: Results, *, method: str) -> pd.DataFrame:
    """Measure analysed images by a volume method.

    Parameters
    ----------
    results
        From `sources.read_results`.
    method
        One of `schemas.IEQ_METHODS`; a Ricordi table has no volume.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`; classes by equal-area diameter. Images without calibration have counts only.
    """
    frames = []
    for image in results.images:
        table = image.table()
        islets = table[table["is_islet"]]
        volume = f"volume_{method}_um3"
        frames.append(
            _of_islets(
                image.key,
                diameters_um=islets["equal_area_diameter_um"].to_numpy(float),
                ieq=islets[f"ieq_{method}"].to_numpy(float),
                volumes_um3=islets[volume].to_numpy(float) if volume in islets.columns else None,
            )
        )
        frames.append(_rows(image.key, [("purity_fraction", ALL, image.record.summary.purity_area.value)]))
    return _joined(frames)


def reference_measurements(source: str, results: Results, *, method: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read what results are held against.

    Parameters
    ----------
    source
        A folder of results, the address of a service, or a CSV file.
    results
        The results, for the pixel size of their images.
    method
        Volume method of reference results; a table has its own values.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`.
    dict
        Donor by image, where the reference names donors.

    Raises
    ------
    ParameterError
        The file is no table of images or islets.
    """
    if is_address(source) or Path(source).is_dir():
        return found_measurements(read_results(source), method=method), {}
    table = read_csv(Path(source))
    donors = dict(zip(table["image"], table["donor"].astype(str), strict=True)) if "donor" in table.columns else {}
    if "volume_um3" in table.columns:
        return _islet_table(table, results), donors
    return _image_table(table, source), donors


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table with a column ``image`` (or ``name``), without suffixes of pictures in it.

    Raises
    ------
    ParameterError
        The file cannot be read, or has no such column.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.readline()
        # Where the comma parts the whole from the fraction, spreadsheets part columns by semicolons.
        sign = max(",;\t", key=head.count)
        table = pd.read_csv(path, sep=sign, decimal="," if sign == ";" else ".", encoding="utf-8-sig", dtype=_TEXTS)
    except (OSError, ValueError) as error:
        raise ParameterError(f"a table in CSV was expected: {error}", subject=str(path)) from error
    table = table.rename(columns=lambda name: str(name).strip().lower())
    if "image" not in table.columns and "name" in table.columns:
        table = table.rename(columns={"name": "image"})
    if "image" not in table.columns:
        raise ParameterError("a column `image` with the names of the pictures was expected", subject=str(path))
    return table.assign(image=[_stem(name) for name in table["image"]])


def donors_of(results: Results, donors: dict[str, str], file: str) -> dict[str, str]:
    """Say whose image each is: by the file, else by the reference, else each stands for itself."""
    named = dict(donors)
    if file:
        table = read_csv(Path(file))
        if "donor" not in table.columns:
            raise ParameterError("a column `donor` was expected", subject=file)
        named |= dict(zip(table["image"], table["donor"].astype(str), strict=True))
    return {image.key: named.get(image.key, image.key) for image in results.images}


def paired(found: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Put found and reference side by side where both are known: columns ``found`` and ``reference``.

    A size class without islets counts as 0 on its side, if the other side has some.

    Raises
    ------
    ParameterError
        One side has several values for the same image.
    """
    keys = ["image", "quantity", "size_class"]
    for side, name in ((found, "results"), (reference, "reference")):
        twice = side.loc[side.duplicated(keys), "image"]
        if len(twice):
            raise ParameterError(
                f"each image must be there once, but {twice.iloc[0]} is there again; leave one out", subject=name
            )
    both = found.rename(columns={"value": "found"}).merge(
        reference.rename(columns={"value": "reference"}), on=keys, how="inner"
    )
    known = both[np.isfinite(both["found"]) & np.isfinite(both["reference"])]
    some = (known["found"] > 0) | (known["reference"] > 0) | (known["size_class"] == ALL)
    return known[some].reset_index(drop=True)


def unpaired(results: Results, reference: pd.DataFrame) -> pd.DataFrame:
    """List the images that only one side has: ``image``, ``missing``."""
    found, known = {image.key for image in results.images}, set(reference["image"])
    rows = [(name, "reference") for name in sorted(found - known)] + [
        (name, "results") for name in sorted(known - found)
    ]
    return pd.DataFrame(rows, columns=["image", "missing"])


def _of_islets(
    image: str,
    *,
    diameters_um: NDArray[np.float64],
    ieq: NDArray[np.float64],
    volumes_um3: NDArray[np.float64] | None,
) -> pd.DataFrame:
    rows: list[tuple[str, str, float | None]] = [("count", ALL, float(len(diameters_um)))]
    if np.isfinite(diameters_um).all():
        rows.append(("ieq", ALL, float(ieq.sum())))
        rows.append(("mean_diameter_um", ALL, float(diameters_um.mean()) if diameters_um.size else math.nan))
        if volumes_um3 is not None:
            rows.append(("volume_nl", ALL, float(volumes_um3.sum()) / UM3_PER_NL))
        classes = size_classes(diameters_um)
        for name in size_class_names():
            own = classes == name
            rows += [("count", name, float(own.sum())), ("ieq", name, float(ieq[own].sum()))]
    return _rows(image, rows)


def _islet_table(table: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Islets as counted by an expert: those of at least 50 um."""
    sizes = {image.key: image.record.calibration.um_per_px for image in results.images}
    frames = []
    for image, rows in table.groupby("image", sort=True):
        volumes = rows["volume_um3"].to_numpy(float)
        size_um = sizes.get(str(image))
        if "diameter_um" in rows.columns:
            diameters = rows["diameter_um"].to_numpy(float)
        elif "visible_area_px" in rows.columns and size_um is not None:
            diameters = 2 * np.sqrt(rows["visible_area_px"].to_numpy(float) / np.pi) * size_um
        else:
            diameters = np.cbrt(6 * volumes / np.pi)
        large = diameters >= SMALLEST_ISLET_UM
        frames.append(
            _of_islets(
                str(image), diameters_um=diameters[large], ieq=volumes[large] / IEQ_UM3, volumes_um3=volumes[large]
            )
        )
    return _joined(frames)


def _image_table(table: pd.DataFrame, source: str) -> pd.DataFrame:
    frames = []
    known = table.rename(columns=_ALIASES)
    for record in known.to_dict("records"):
        rows: list[tuple[str, str, Any]] = [(name, ALL, record[name]) for name in QUANTITIES if name in record]
        if "dna_ng" in record and "ieq" not in record:
            rows.append(("ieq", ALL, float(record["dna_ng"]) / DNA_NG_PER_IEQ))
        for column, value in record.items():
            match = _BY_CLASS.fullmatch(str(column))
            name = match and (f"{match[1]}-{match[2]}" if match[2] else f">={match[1]}")
            if name in size_class_names():
                rows.append(("count", str(name), value))
        frames.append(_rows(str(record["image"]), rows))
    measured = _joined(frames)
    if measured.empty:
        wanted = ", ".join([*QUANTITIES, "dna_ng"])
        raise ParameterError(f"one of the columns {wanted} was expected, but none is there", subject=source)
    return measured


def _rows(image: str, rows: list[tuple[str, str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [(image, quantity, name, math.nan if value is None else float(value)) for quantity, name, value in rows],
        columns=list(COLUMNS),
    )


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(COLUMNS))


def _stem(name: object) -> str:
    text = str(name).strip()
    return Path(text).stem if re.search(r"\.(tiff?|png|jpe?g|bmp)$", text, re.IGNORECASE) else text
