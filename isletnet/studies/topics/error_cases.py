"""Results beside the truth of the same pictures: fates of islets, cases, classes mixed up, totals with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from isletnet.errors import ParameterError
from isletnet.evaluation.certainty import interval_hits
from isletnet.evaluation.errors import case_table, islet_fates, size_class
from isletnet.evaluation.outlines import outline_distances
from isletnet.evaluation.segmentation import ADJACENT_PX, confusion_matrix
from isletnet.schemas import EXOCRINE
from isletnet.studies.inputs.truth import Pair, read_pair
from isletnet.views.error_pictures import Crop

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from isletnet.studies.inputs.sources import Results, StudyImage

# Exocrine tissue this near counts as beside an islet.
_BESIDE_UM = 10.0
# Background darker than this is a dark field.
_DARK_LEVEL = 100.0
_CROP_MARGIN = 0.35


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ErrorTables:
    """What the study shows: `islet_fates` and `case_table` of all pictures, pixels by class, found islets, totals."""

    fates: pd.DataFrame
    cases: pd.DataFrame
    confusion: NDArray[np.int64]
    found_islets: pd.DataFrame
    totals: pd.DataFrame


def error_tables(results: Results, truth: Path) -> ErrorTables:
    """Compare every result that has a truth.

    Parameters
    ----------
    results
        From `isletnet.studies.inputs.sources.read_results`.
    truth
        As for `read_pair`.

    Raises
    ------
    ParameterError
        No result has a truth, or as for `read_pair`.
    """
    import pandas as pd

    fates, cases, found, totals = [], [], [], []
    confusion = np.zeros((3, 3), dtype=np.int64)
    for image in results.images:
        pair = read_pair(image, truth)
        if pair is None:
            continue
        own = conditions(islet_fates(pair.found_islets, pair.true_islets, um_per_px=pair.um_per_px), pair)
        fates.append(own.assign(image=pair.name))
        one = case_table(pair.found_islets, pair.true_islets, um_per_px=pair.um_per_px)
        cases.append(one.assign(image=pair.name))
        confusion += confusion_matrix(pair.found_classes, pair.true_classes)
        found.append(_found_islets(image, own).assign(image=pair.name))
        totals.append(_total(image, own))
    if not fates:
        raise ParameterError(
            f"a truth named like a picture of the results was expected in {truth / 'labels'}", subject="truth"
        )
    joined = pd.concat(fates, ignore_index=True)
    table = pd.DataFrame(totals)
    return ErrorTables(
        fates=joined.assign(size=size_class(joined["diameter_um"])),
        cases=pd.concat(cases, ignore_index=True),
        confusion=confusion,
        found_islets=pd.concat(found, ignore_index=True),
        totals=interval_hits(table["image"].tolist(), table["true_ieq"], table["ieq"], table["low"], table["high"]),
    )


def conditions(fates: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    """Add to fates under which condition each islet was: ``condition`` is the first that holds.

    ``cut by the border``, ``touching another``, ``beside exocrine``, ``dark field`` or ``alone, bright field``; plain
    ``alone`` where the picture is absent.
    """
    near_px = max(1.0, _BESIDE_UM / pair.um_per_px)
    near = ndimage.distance_transform_edt(pair.true_classes != EXOCRINE) <= near_px
    field = "alone"
    if pair.pixels is not None:
        background = pair.pixels[pair.true_classes == 0]
        level = float(np.median(background[::101].max(axis=1))) if background.size else 255.0
        field = "dark field" if level < _DARK_LEVEL else "alone, bright field"
    labels = {"reference": pair.true_islets, "found": pair.found_islets}
    boxes = {side: ndimage.find_objects(one) for side, one in labels.items()}
    told = []
    for side, number, cut in zip(fates["side"], fates["number"], fates["touches_border"], strict=True):
        beside = "" if cut else _neighbour(labels[side], int(number), boxes[side][int(number) - 1], near)
        told.append("cut by the border" if cut else beside or field)
    return fates.assign(condition=told)


def worst_cases(tables: ErrorTables, results: Results, truth: Path, *, most_n: int) -> list[Crop]:
    """Cut out the cases that cost most IEQ, one way or the other, the worst first.

    Cases of pictures that the truth folder does not hold are left out, as are islets that are only drawn a little
    larger or smaller: what counts first is the error in IEQ.
    """
    by_name = {image.key: image for image in results.images}
    order = tables.cases["error_ieq"].abs().sort_values(ascending=False, kind="stable").index
    crops: list[Crop] = []
    pairs: dict[str, Pair | None] = {}
    for case in tables.cases.loc[order].itertuples():
        if len(crops) == most_n:
            break
        if case.image not in pairs:
            pairs[case.image] = read_pair(by_name[case.image], truth)
        pair = pairs[case.image]
        if pair is not None and pair.pixels is not None:
            place = _window((case.top_px, case.bottom_px), (case.left_px, case.right_px), pair.pixels.shape)
            sign = f"{case.error_ieq:+.2g} IEQ".replace("-", "−")
            crops.append(
                Crop(
                    pixels=pair.pixels[place],
                    found=pair.found_islets[place] > 0,
                    truth=pair.true_islets[place] > 0,
                    title=f"{case.fate}, {sign}",
                )
            )
    return crops


def outline_map(pair: Pair) -> NDArray[np.float64]:
    """Distance of all found islet outlines of a picture from those of the truth, um; NaN off the outlines."""
    found, true = pair.found_islets > 0, pair.true_islets > 0
    if not (found.any() and true.any()):
        return np.full(found.shape, np.nan)
    return outline_distances(found, true) * pair.um_per_px


def _found_islets(image: StudyImage, fates: pd.DataFrame) -> pd.DataFrame:
    """Certainty of found islets and whether each matches a reference islet by half of their union."""
    table = image.table()
    right = fates.loc[(fates["fate"] == "matched") & (fates["iou"] >= 0.5), "found_number"]
    return table[["number", "islet_probability", "equal_area_diameter_um"]].assign(
        is_right=table["number"].isin(right.astype(int))
    )


def _total(image: StudyImage, fates: pd.DataFrame) -> dict[str, object]:
    summary, parameters = image.record.summary, image.record.provenance.parameters
    sphere = summary.ieq if summary.ieq_method == "sphere" else summary.ieq_by_method.get("sphere", summary.ieq)
    reference = fates[fates["side"] == "reference"]
    counted = reference["diameter_um"] >= float(parameters.get("smallest_islet_um", 0.0))
    if parameters.get("border") == "exclude":
        counted &= ~reference["touches_border"].astype(bool)
    interval = sphere.segmentation
    return {
        "image": image.key,
        "true_ieq": float(reference.loc[counted, "ieq"].sum()),
        "ieq": sphere.value,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
    }


def _neighbour(
    labels: NDArray[np.int32], number: int, box: tuple[slice, slice], near_exocrine: NDArray[np.bool_]
) -> str:
    reach = ADJACENT_PX - 1
    wide = tuple(slice(max(side.start - reach, 0), side.stop + reach) for side in box)
    own = labels[wide] == number
    # Two islets fuse when each grows by half of this.
    around = ndimage.binary_dilation(own, np.ones((2 * reach + 1, 2 * reach + 1), bool))
    if ((labels[wide] > 0) & ~own & around).any():
        return "touching another"
    return "beside exocrine" if (near_exocrine[wide] & own).any() else ""


def _window(rows: tuple[int, int], columns: tuple[int, int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """A square window around a box, with a margin, inside the picture."""
    side = int(max(rows[1] - rows[0], columns[1] - columns[0], 24) * (1 + 2 * _CROP_MARGIN))
    cut = []
    for (low, high), whole in zip((rows, columns), shape, strict=False):
        start = min(max((low + high - side) // 2, 0), max(whole - side, 0))
        cut.append(slice(start, min(start + side, whole)))
    return cut[0], cut[1]
