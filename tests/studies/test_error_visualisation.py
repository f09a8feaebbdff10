"""The study of errors: on results that are known to be right, or a pixel too small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from study_cells import assert_golden, made, run_cells

from isletnet.errors import InputError, ParameterError
from isletnet.studies.inputs.sources import read_results
from isletnet.studies.inputs.truth import Pair, read_pair
from isletnet.studies.topics.error_cases import conditions, error_tables, outline_map, worst_cases


@pytest.fixture(scope="module")
def folder(results: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home: Path = tmp_path_factory.mktemp("errors")
    run_cells("error_visualisation", {"results": str(results), "truth": str(drawn), "worst": 5}, home)
    return home


def test_everything_is_made(folder: Path) -> None:
    assert made(folder) == {
        "figures": {
            "fates_by_size",
            "fates_by_condition",
            "worst_cases",
            "confusion",
            "outlines",
            "outline_map",
            "certainty",
            "uncertainty",
        },
        "tables": {"fates_by_size", "fates_by_condition", "cases", "outlines", "certainty", "totals"},
        "files": set(),
    }


def test_tables_are_the_golden_ones(folder: Path) -> None:
    assert_golden(folder, "error_visualisation", "fates_by_size", "fates_by_condition", "outlines", "totals")


def test_counts_add_up(folder: Path, results: Path, drawn: Path) -> None:
    tables = error_tables(read_results(results), drawn)
    by_size = pd.read_csv(folder / "tables" / "fates_by_size.csv")
    reference = tables.fates[tables.fates["side"] == "reference"]
    assert by_size["reference_n"].sum() == len(reference) > 20
    fates = ["matched", "split", "merged", "mixed", "missed"]
    assert by_size[[f"{fate}_n" for fate in fates]].sum().sum() == len(reference)
    cases = pd.read_csv(folder / "tables" / "cases.csv")
    assert cases["error_ieq"].abs().is_monotonic_decreasing
    assert cases["truth_ieq"].sum() == pytest.approx(reference["ieq"].sum())


def test_outlines_a_pixel_too_small_run_a_pixel_inside(results: Path, drawn: Path) -> None:
    """Results of even seeds are the truth; those of odd seeds are eroded by one pixel of 2 um."""
    fates = error_tables(read_results(results), drawn).fates
    matched = fates[fates["fate"] == "matched"]
    is_odd = matched["image"].str[-1].astype(int) % 2 == 1
    assert matched.loc[~is_odd, "outline_shift_um"].abs().max() == pytest.approx(0, abs=1e-9)
    assert matched.loc[~is_odd, "iou"].min() == 1.0
    # The eroded outline lies between 1 and sqrt(2) px inside.
    assert matched.loc[is_odd, "outline_shift_um"].between(-3.0, -1.4).all()


def test_confusion_knows_only_what_was_taken_away(results: Path, drawn: Path) -> None:
    confusion = error_tables(read_results(results), drawn).confusion
    assert confusion[1, 0] > 0
    assert confusion[[0, 0, 1, 2, 2], [1, 2, 2, 0, 1]].tolist() == [0, 0, 0, 0, 0]


def test_worst_cases_are_cut_out_around_their_islets(results: Path, drawn: Path) -> None:
    found = read_results(results)
    tables = error_tables(found, drawn)
    crops = worst_cases(tables, found, drawn, most_n=3)
    assert len(crops) == 3
    worst = tables.cases.loc[tables.cases["error_ieq"].abs().idxmax()]
    assert crops[0].title.startswith(worst["fate"])
    for crop in crops:
        assert crop.pixels.shape[:2] == crop.found.shape == crop.truth.shape
        assert crop.truth.any()


def test_outline_map_marks_the_outlines(results: Path, drawn: Path) -> None:
    exact = [one for one in read_results(results).images if int(one.key[-1]) % 2 == 0]
    pair = read_pair(max(exact, key=lambda one: one.labelled().islets_n), drawn)
    assert pair is not None
    marked = outline_map(pair)
    assert (~np.isnan(marked)).sum() > 100
    assert np.nanmax(np.abs(marked)) == 0
    assert ((pair.found_islets > 0) | np.isnan(marked)).all()


def test_conditions_by_hand() -> None:
    islets = np.zeros((60, 60), dtype=np.int32)
    for number, (top, left) in enumerate([(0, 10), (20, 5), (20, 17), (40, 10), (40, 40)], start=1):
        islets[top : top + 10, left : left + 10] = number
    classes = (islets > 0).astype(np.uint8)
    classes[52:55, 10:20] = 2
    pixels = np.full((60, 60, 3), 30, dtype=np.uint8)
    pair = Pair(
        name="x",
        um_per_px=2.0,
        found_classes=classes,
        found_islets=islets,
        true_classes=classes,
        true_islets=islets,
        pixels=pixels,
    )
    fates = pd.DataFrame(
        {"side": "reference", "number": [1, 2, 3, 4, 5], "touches_border": [True, False, False, False, False]}
    )
    told = conditions(fates, pair)["condition"].tolist()
    assert told == ["cut by the border", "touching another", "touching another", "beside exocrine", "dark field"]


def test_truth_of_other_pictures_is_refused(results: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    with pytest.raises(ParameterError, match="a truth named like"):
        error_tables(read_results(results), tmp_path)


def test_truth_of_another_size_is_refused(results: Path, tmp_path: Path) -> None:
    image = read_results(results).images[0]
    (tmp_path / "labels").mkdir()
    Image.fromarray(np.zeros((20, 20), dtype=np.uint8)).save(tmp_path / "labels" / f"{image.key}.png")
    with pytest.raises(InputError, match="size of the picture"):
        read_pair(image, tmp_path)
