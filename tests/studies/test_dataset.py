"""The study that prepares data for others: under codes, described, and nothing that leads back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from study_cells import assert_golden, run_cells

from isletnet.errors import ParameterError
from isletnet.exports.folder import read_labelled
from isletnet.studies.inputs.measurements import donors_of
from isletnet.studies.inputs.sources import read_results
from isletnet.studies.topics.codebook import codebook
from isletnet.studies.topics.dataset import coded_images, image_table, islet_table, picture_files
from isletnet.studies.topics.pseudonyms import Pseudonyms, read_pseudonyms

KEY = b"a key of more than sixteen bytes"


@pytest.fixture(scope="module")
def run_folder(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home: Path = tmp_path_factory.mktemp("dataset")
    (home / "key").write_bytes(KEY)
    run_cells("dataset", {"results": str(results), "pseudonym_key": str(home / "key")}, home / "run")
    return home / "run"


def test_the_tables_are_those_of_the_results_under_codes(run_folder: Path, results: Path) -> None:
    files = run_folder / "files"
    images, islets = pd.read_parquet(files / "images.parquet"), pd.read_parquet(files / "islets.parquet")
    analysed = read_results(results)
    codes = {
        Pseudonyms(KEY).code("image", f"{one.key}/{one.record.provenance.image_sha256}"): one for one in analysed.images
    }
    assert images["image"].tolist() == sorted(codes)
    for code, image in codes.items():
        table, own = image.table(), islets[islets["image"] == code]
        assert own["number"].tolist() == table["number"].tolist()
        assert own["volume_vext_um3"].to_numpy() == pytest.approx(table["volume_vext_um3"].to_numpy())
        row = images.set_index("image").loc[code]
        assert row["ieq"] == pytest.approx(image.record.summary.ieq.value)
        folder = results / image.key
        labelled = read_labelled(folder)
        assert np.array_equal(tifffile.imread(files / "labels" / f"{code}.tif"), labelled.classes)
        assert np.array_equal(tifffile.imread(files / "islets" / f"{code}.tif"), labelled.islets)
    from_csv = pd.read_csv(files / "islets.csv")
    pd.testing.assert_frame_equal(from_csv, islets, check_dtype=False)


def test_tables_are_the_golden_ones(run_folder: Path) -> None:
    assert_golden(run_folder, "dataset", "codebook", "content")


def test_nothing_that_is_handed_on_leads_back(run_folder: Path, results: Path) -> None:
    told = b"".join(path.read_bytes() for path in (run_folder / "files").rglob("*") if path.is_file())
    secrets = [KEY, b"synthetic-", str(results).encode()]
    secrets += [one.record.provenance.image_sha256.encode() for one in read_results(results).images]
    secrets += [identity.encode() for identity in read_results(results).islet_table()["id"]]
    assert [secret for secret in secrets if secret in told] == []
    kept = b"".join(path.read_bytes() for path in run_folder.rglob("*") if path.is_file())
    assert KEY not in kept


def test_every_column_is_described(run_folder: Path) -> None:
    described = pd.read_csv(run_folder / "files" / "codebook.csv", keep_default_na=False)
    for name in ("images", "islets"):
        own = described[described["table"] == name]
        assert own["column"].tolist() == pd.read_csv(run_folder / "files" / f"{name}.csv", nrows=0).columns.tolist()
        assert all(own["meaning"])
    units = described.set_index(["table", "column"])["unit"]
    assert units[("islets", "volume_sphere_um3")] == "um³"
    assert units[("images", "ieq_vext")] == "IEQ"
    assert units[("images", "purity_area_fraction_low")] == "fraction"


def test_a_column_that_nothing_is_known_of_is_refused() -> None:
    with pytest.raises(ParameterError, match="colour"):
        codebook({"images": pd.DataFrame({"colour": ["red"]})})


def test_codes_hang_on_the_key_and_the_kind(tmp_path: Path) -> None:
    names = Pseudonyms(KEY)
    assert names.code("image", "a") == Pseudonyms(KEY).code("image", "a")
    others = {names.code("donor", "a"), Pseudonyms(KEY + b".").code("image", "a"), names.code("image", "b")}
    assert len({code.partition("-")[2] for code in (names.code("image", "a"), *others)}) == 4
    assert read_pseudonyms("").code("image", "a") != read_pseudonyms("").code("image", "a")
    assert "key" not in repr(names)
    short = tmp_path / "short"
    short.write_bytes(b"too short")
    with pytest.raises(ParameterError, match="at least 16 bytes"):
        read_pseudonyms(str(short))


def test_pictures_are_pixels_alone_and_those_that_were_analysed(results: Path, tmp_path: Path) -> None:
    analysed = read_results(results)
    images = coded_images(analysed, donors_of(analysed, {}, ""), Pseudonyms(KEY))
    with pytest.raises(ParameterError, match="do not hold the pictures"):
        next(picture_files(images, None))
    with pytest.raises(ParameterError, match="the picture is not in"):
        next(picture_files(images, tmp_path))
    # The results of these tests name hashes of their own, which no picture has.
    Image.new("RGB", (32, 32)).save(tmp_path / images[0].image.name, "TIFF")
    with pytest.raises(ParameterError, match="not the picture that was analysed"):
        next(picture_files(images, tmp_path))


def test_images_of_one_donor_share_its_code(results: Path) -> None:
    analysed = read_results(results)
    donors = {image.key: "D" if number < 3 else image.key for number, image in enumerate(analysed.images)}
    images = coded_images(analysed, donors, Pseudonyms(KEY))
    table = image_table(images)
    assert table["donor"].nunique() == len(table) - 2
    assert set(islet_table(images)["donor"]) <= set(table["donor"])
