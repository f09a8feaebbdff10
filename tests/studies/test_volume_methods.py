"""The study of volume methods: its tables against geometry, and against what they were."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from study_cells import made, run_cells

from isletnet.errors import ParameterError
from isletnet.schemas import IEQ_METHODS, IEQ_UM3
from isletnet.studies.declaration import checked, find_study
from isletnet.volumes.trial import CONDITIONS

GOLDEN = Path(__file__).parent / "golden" / "volume_bias.csv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home: Path = tmp_path_factory.mktemp("volume_methods")
    pairs = pd.DataFrame({"true_volume_um3": [IEQ_UM3, 2 * IEQ_UM3], "volume_vext_um3": [1.1 * IEQ_UM3, 2.2 * IEQ_UM3]})
    pairs.to_csv(home / "pairs.csv", index=False)
    run_cells("volume_methods", {"islets": 12, "pairs": str(home / "pairs.csv")}, home / "run")
    return home / "run"


@pytest.fixture(scope="module")
def biases(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "tables" / "bias.csv").set_index(["condition", "method"])


def test_everything_is_made(folder: Path) -> None:
    assert made(folder) == {
        "figures": {"total_errors", "islet_errors", "single_islets", "errors_by_size"},
        "tables": {"bias", "bias_by_size", "advice"},
        "files": set(),
    }
    for suffix in ("svg", "pdf", "png"):
        assert (folder / "figures" / f"total_errors.{suffix}").stat().st_size > 1000


def test_the_table_is_the_golden_one(folder: Path) -> None:
    found = pd.read_csv(folder / "tables" / "bias.csv")
    pd.testing.assert_frame_equal(found, pd.read_csv(GOLDEN), rtol=1e-6, atol=1e-9)


def test_every_condition_and_method_is_there(biases: pd.DataFrame) -> None:
    conditions = [one.name for one in CONDITIONS]
    assert list(dict.fromkeys(biases.index.get_level_values("condition"))) == [*conditions, "measured pairs"]
    assert len(biases.loc["spheres"]) == len(IEQ_METHODS)
    assert biases.loc[("measured pairs", "vext"), "total_fraction"] == pytest.approx(0.1)


def test_errors_follow_geometry(biases: pd.DataFrame) -> None:
    def total(condition: str, method: str) -> float:
        return float(biases.loc[(condition, method), "total_fraction"])

    assert total("spheres", "sphere") == pytest.approx(0, abs=0.005)
    # Semi-axes 1 : 0.8 : 0.65, the shortest upright: the shadow has area pi 0.8.
    assert total("ovals, settled", "sphere") == pytest.approx(0.8**1.5 / (0.8 * 0.65) - 1, abs=0.01)
    assert total("ovals, settled", "prolate") == pytest.approx(0.8 / 0.65 - 1, abs=0.01)
    assert total("spheres, pixel size 1 % too large", "sphere") == pytest.approx(1.01**3 - 1, abs=0.005)
    outward = total("spheres, outline 2 µm too far out", "sphere")
    assert 0.03 < outward < 0.12
    assert total("spheres, outline 2 µm too far in", "sphere") < -0.03


def test_advice_names_the_smallest_errors(folder: Path, biases: pd.DataFrame) -> None:
    advice = pd.read_csv(folder / "tables" / "advice.csv").set_index("condition")
    for condition, row in advice.iterrows():
        own = biases.loc[condition]
        assert row["single_rms_fraction"] == pytest.approx(own["rms_fraction"].min())
        assert abs(row["total_fraction"]) == pytest.approx(own["total_fraction"].abs().min())
    assert advice.loc["spheres, pairs not split", "total_method"] in ("revolution", "vext")


@pytest.mark.slow
def test_the_same_parameters_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    run_cells("volume_methods", {"islets": 2}, tmp_path / "one")
    run_cells("volume_methods", {"islets": 2}, tmp_path / "two")
    for product in ("tables/bias.csv", "tables/bias.tex", "tables/bias.xlsx", "figures/total_errors.svg"):
        assert (tmp_path / "one" / product).read_bytes() == (tmp_path / "two" / product).read_bytes()


@pytest.mark.parametrize(
    "values", [{"islets": 1}, {"islets": "many"}, {"isles": 20}, {"level": 1.0}, {"pairs": "none.csv"}]
)
def test_bad_parameters_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        checked(find_study("volume_methods"), values)
