"""The study of agreement: end to end on drawn micrographs, and its tables by independent sums."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from isletnet.errors import ParameterError
from isletnet.schemas import IEQ_UM3
from isletnet.studies.declaration import checked, find_study
from isletnet.studies.inputs.measurements import (
    donors_of,
    found_measurements,
    paired,
    reference_measurements,
    size_classes,
    unpaired,
)
from isletnet.studies.inputs.sources import read_results
from isletnet.studies.runner import run_study
from isletnet.studies.topics.correlations import agreement_table, brief_table, class_figure, donor_figure, donor_table

GOLDEN = Path(__file__).parent / "golden" / "agreement_brief.csv"


@pytest.fixture(scope="module")
def run_folder(results: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home: Path = tmp_path_factory.mktemp("correlations")
    donors = home / "donors.csv"
    names = sorted(path.stem for path in (drawn / "images").iterdir())
    donors.write_text("image;donor\n" + "".join(f"{name}.tif;D{number // 2}\n" for number, name in enumerate(names)))
    study = find_study("correlations")
    given = {
        "results": str(results),
        "reference": str(drawn / "truth.csv"),
        "donors": str(donors),
        "resamples": 200,
        "reference_name": "pravda ěščřž",
    }
    run = run_study(study, checked(study, given), home / "run")
    assert run.failure is None
    return run.folder


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "tables" / f"{name}.csv")


def test_the_study_runs_and_its_table_is_the_golden_one(run_folder: Path) -> None:
    found = (run_folder / "tables" / "agreement_brief.csv").read_text(encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")


def test_the_measurements_are_the_sums_of_the_tables(run_folder: Path, results: Path, drawn: Path) -> None:
    measured = table(run_folder, "measurements").set_index(["image", "quantity", "size_class"])
    truth = pd.read_csv(drawn / "truth.csv")
    diameters_um = 2 * np.sqrt(truth["visible_area_px"] / np.pi) * 2.0
    true_ieq = truth[diameters_um >= 50].groupby("name")["volume_um3"].sum() / IEQ_UM3
    for name, ieq in true_ieq.items():
        islets = pd.read_csv(results / str(name) / "islets.csv")
        row = measured.loc[(name, "ieq", "all")]
        assert row["reference"] == pytest.approx(ieq)
        assert row["found"] == pytest.approx(islets.loc[islets["is_islet"], "ieq_sphere"].sum())
    parts = measured.drop(index="all", level="size_class").groupby(["image", "quantity"])[["found", "reference"]].sum()
    for key, row in parts.iterrows():
        assert row.to_numpy() == pytest.approx(measured.loc[(*key, "all"), ["found", "reference"]].to_numpy(float))


def test_the_statistics_are_those_of_the_measurements(run_folder: Path) -> None:
    measured = table(run_folder, "measurements")
    own = measured[(measured["quantity"] == "ieq") & (measured["size_class"] == "all")]
    row = table(run_folder, "agreement").set_index(["quantity", "size_class"]).loc[("ieq", "all")]
    positive = own[(own["found"] > 0) & (own["reference"] > 0)]
    assert row["bias_n"] == len(positive) < len(own)
    assert row["bias"] == pytest.approx(stats.gmean(positive["found"] / positive["reference"]))
    assert row["r2"] == pytest.approx(stats.linregress(own["reference"], own["found"]).rvalue ** 2)
    mean_square = ((own["found"] - own["reference"]) ** 2).mean()
    spread = own["found"].var(ddof=0) + own["reference"].var(ddof=0)
    assert row["ccc"] == pytest.approx(1 - mean_square / (spread + (own["found"] - own["reference"]).mean() ** 2))
    assert row["donors_n"] == own["donor"].nunique() < row["samples_n"] == len(own)
    by_donor = table(run_folder, "donors").set_index(["quantity", "donor"])
    for donor, some in own.groupby("donor"):
        ratio = some["found"].sum() / some["reference"].sum()
        assert by_donor.loc[("ieq", donor), "ratio"] == pytest.approx(ratio)


def test_every_figure_comes_in_three_formats_with_a_caption(run_folder: Path) -> None:
    captions = {entry["product"]: entry["caption"] for entry in json.loads((run_folder / "captions.json").read_text())}
    stems = {path.stem for path in (run_folder / "figures").iterdir()}
    assert {"scatter_ieq", "bland_altman_ieq", "scatter_count", "donors_ieq"} <= stems
    for stem in stems:
        assert {path.suffix for path in (run_folder / "figures").glob(f"{stem}.*")} == {".svg", ".pdf", ".png"}
        assert captions[f"figures/{stem}"]
    assert "pravda ěščřž" in captions["figures/scatter_ieq"]


def test_an_image_table_of_manual_counts_is_read(results: Path, tmp_path: Path) -> None:
    analysed = read_results(results)
    file = tmp_path / "counts.csv"
    file.write_text(
        "Name,Donor,Islets_n,dna_ng,count_50_100,count_400\nsynthetic-000003.tif,A,4,20.6,3,1\nother,B,,,,\n"
    )
    known, donors = reference_measurements(str(file), analysed, method="sphere")
    values = known.dropna().set_index(["image", "quantity", "size_class"])["value"]
    assert values.loc[("synthetic-000003", "count", "all")] == 4
    # 10.3 ng DNA to an islet equivalent.
    assert values.loc[("synthetic-000003", "ieq", "all")] == pytest.approx(2.0)
    assert values.loc[("synthetic-000003", "count", ">=400")] == 1
    assert donors == {"synthetic-000003": "A", "other": "B"}
    assert donors_of(analysed, donors, "")["synthetic-000003"] == "A"
    assert donors_of(analysed, donors, "")["synthetic-000005"] == "synthetic-000005"
    apart = unpaired(analysed, known)
    assert ("other", "results") in set(zip(apart["image"], apart["missing"], strict=True))
    assert (apart["missing"] == "reference").sum() == len(analysed.images) - 1


def test_results_against_themselves_agree_wholly(results: Path) -> None:
    analysed = read_results(results)
    reference, _ = reference_measurements(str(results), analysed, method="vext")
    pairs = paired(found_measurements(analysed, method="vext"), reference)
    pairs["donor"] = pairs["image"]
    row = agreement_table(pairs, quantities=["ieq"], seed=1, resamples_n=100, level=0.9).iloc[0]
    assert (row["bias"], row["ccc"], row["passing_bablok_slope"]) == pytest.approx((1.0, 1.0, 1.0))
    assert brief_table(pd.DataFrame([row]))["bias"][0].startswith("× 1 (1 to 1)")


@pytest.mark.parametrize(
    ("content", "told"),
    [("a,b\n1,2\n", "column `image`"), ("image,colour\nx,red\n", "one of the columns ieq"), ("", "a table in CSV")],
)
def test_a_table_of_something_else_is_refused(results: Path, tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "table.csv"
    file.write_text(content)
    with pytest.raises(ParameterError, match=told):
        reference_measurements(str(file), read_results(results), method="sphere")


def test_classes_are_half_open() -> None:
    found = size_classes(np.array([50.0, 99.999, 100.0, 399.9, 400.0, 900.0]))
    assert found.tolist() == ["50-100", "50-100", "100-150", "350-400", ">=400", ">=400"]


def test_a_size_class_that_one_side_lacks_counts_as_zero() -> None:
    columns = ["image", "quantity", "size_class", "value"]
    found = pd.DataFrame([("a", "count", "50-100", 2.0), ("a", "count", "100-150", 0.0)], columns=columns)
    reference = pd.DataFrame([("a", "count", "50-100", 0.0), ("a", "count", "100-150", 0.0)], columns=columns)
    pairs = paired(found, reference)
    assert pairs[["size_class", "found", "reference"]].to_numpy().tolist() == [["50-100", 2.0, 0.0]]


@pytest.mark.parametrize("side", ["results", "reference"])
def test_an_image_that_is_there_twice_is_refused(side: str) -> None:
    once = pd.DataFrame([("a", "count", "all", 2.0)], columns=["image", "quantity", "size_class", "value"])
    twice = pd.concat([once, once.assign(value=3.0)])
    found, reference = (twice, once) if side == "results" else (once, twice)
    with pytest.raises(ParameterError, match=f"{side}: each image must be there once, but a is"):
        paired(found, reference)


def test_figures_by_class_and_donor_are_only_drawn_where_they_say_something() -> None:
    pairs = pd.DataFrame(
        {
            "image": list("abcd"),
            "quantity": "ieq",
            "size_class": "all",
            "found": [1.0, 2.0, 3.0, 4.0],
            "reference": [1.1, 1.9, 3.2, 4.1],
            "donor": list("wxyz"),
        }
    )
    agreement = agreement_table(pairs, quantities=["ieq"], seed=1, resamples_n=100, level=0.95)
    assert class_figure(agreement, "ieq") is None
    assert donor_figure(donor_table(pairs, quantities=["ieq"]), "ieq") is None
    shared = pairs.assign(donor=["w", "w", "x", "x"])
    assert donor_figure(donor_table(shared, quantities=["ieq"]), "ieq") is not None
