"""The study of sampling: needs by closed form, coverage, and replicates of results."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from study_cells import assert_golden, made, run_cells

from isletnet.studies.inputs.sources import read_results


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home: Path = tmp_path_factory.mktemp("sampling")
    (home / "replicates.csv").write_text("sample,ieq\na,180\na,200\nb,90\n")
    run_cells("sampling", {"draws": 200, "replicates": str(home / "replicates.csv")}, home / "run")
    return home / "run"


def test_everything_is_made(published: Path) -> None:
    assert made(published) == {
        "figures": {"half_width", "replicates", "coverage"},
        "tables": {"islets_needed", "replicates", "coverage"},
        "files": set(),
    }


def test_tables_are_the_golden_ones(published: Path) -> None:
    assert_golden(published, "sampling", "islets_needed", "replicates", "coverage")


def test_islets_needed_by_closed_form(published: Path) -> None:
    """Raw moments of 50 + 84 W, W Weibull of shape 1.18; the study's sizes are cut at 600 um."""
    needed = pd.read_csv(published / "tables" / "islets_needed.csv").set_index("half_width_fraction")
    grid = np.linspace(1e-9, 600 - 50, 200_001)
    density = stats.weibull_min.pdf(grid, 1.18, scale=84)
    moments = [np.trapezoid(density * (50 + grid) ** power, grid) for power in (3, 6)]
    factor = moments[1] / moments[0] ** 2
    for wish in (0.1, 0.2):
        z = stats.norm.ppf(0.975) / math.log(1 + wish)
        assert needed.loc[wish, "islets_for_count"] == math.ceil(z**2)
        assert needed.loc[wish, "islets_for_ieq"] == pytest.approx(factor * z**2, rel=0.07)


def test_reported_intervals_hold_nearly_as_often_as_they_say(published: Path) -> None:
    coverage = pd.read_csv(published / "tables" / "coverage.csv").set_index("islets_n")
    assert coverage.loc[[100, 250, 500, 1000], "covered_fraction"].between(0.89, 0.99).all()
    assert coverage.loc[10, "median_half_width_fraction"] > 5 * coverage.loc[1000, "median_half_width_fraction"]


def test_a_table_of_replicates(published: Path) -> None:
    row = pd.read_csv(published / "tables" / "replicates.csv").iloc[0]
    assert row["cv_fraction"] == pytest.approx(0.0744, abs=1e-4)
    assert row["replicates_n"] == 2


def test_images_of_results_are_replicates(results: Path, tmp_path: Path) -> None:
    names = run_cells("sampling", {"results": str(results), "draws": 20}, tmp_path)
    images = read_results(results).image_table()
    density = (images["ieq"].astype(float) / images["image_area_mm2"].astype(float)).to_numpy()
    row = pd.read_csv(tmp_path / "tables" / "replicates.csv").iloc[0]
    assert row["replicates_n"] == len(images)
    assert row["cv_fraction"] == pytest.approx(density.std(ddof=1) / density.mean())
    sizes = names["sizes"]
    assert row["floor_fraction"] == pytest.approx(
        math.sqrt(np.mean(sizes**2) / np.mean(sizes) ** 2 / (len(sizes) / len(images)))
    )


def test_images_of_a_donor_are_replicates(results: Path, tmp_path: Path) -> None:
    """Pooled: root of the mean square of the donors' coefficients of variation, weighed by degrees of freedom."""
    images = read_results(results).image_table()
    donors = [f"D{number % 3}" for number in range(len(images))]
    file = tmp_path / "donors.csv"
    pd.DataFrame({"image": images["image"], "donor": donors}).to_csv(file, index=False)
    run_cells("sampling", {"results": str(results), "donors": str(file), "draws": 20}, tmp_path / "run")
    density = images["ieq"].astype(float) / images["image_area_mm2"].astype(float)
    groups = [group.to_numpy() for _, group in density.groupby(donors)]
    squares = [(len(one) - 1) * (one.std(ddof=1) / one.mean()) ** 2 for one in groups]
    row = pd.read_csv(tmp_path / "run" / "tables" / "replicates.csv").iloc[0]
    assert row["cv_fraction"] == pytest.approx(math.sqrt(sum(squares) / (len(images) - 3)))
    assert row["samples_n"] == 3
