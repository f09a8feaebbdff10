"""The study of islets in space: pages that stand alone, and a stack whose volumes are known."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from study_cells import assert_golden, made, run_cells

from isletnet.errors import ParameterError
from isletnet.schemas import Calibration
from isletnet.studies.inputs.sources import read_results
from isletnet.studies.topics import islets_3d as space
from isletnet.synthetic.stack import SyntheticStack, make_stack
from isletnet.volumes.found import StackKind, find_solids, shown_slices
from isletnet.volumes.labels_file import labels_ome_tiff
from isletnet.volumes.models import modelled_islets, stack_surfaces
from isletnet.volumes.stacks import read_stack
from tests.other_process import in_another_process

# What a page would load; links that a person may follow load nothing.
LOADED = re.compile(r"<(?:script|img|iframe|link)[^>]+(?:src|href)=[\"']?(?:https?:)?//", re.IGNORECASE)


@pytest.fixture(scope="module")
def folder(results: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home: Path = tmp_path_factory.mktemp("space")
    values = {"results": str(results), "pictures": str(drawn / "images"), "most_pictures": 1, "seed": 3}
    in_another_process(_run, values, home)
    return home


def _run(values: dict[str, object], home: Path) -> None:
    run_cells("islets_3d", values, home)


def test_everything_is_made(folder: Path) -> None:
    products = made(folder)
    assert products["figures"] == {"slices_1", "estimates", "shapes"}
    assert products["tables"] == {"pages", "solids", "estimates"}
    of_stack = {f"stack_1_{name}" for name in ("page.html", "solids.stl", "solids.obj", "labels.ome.tif")}
    (page,) = products["files"] - of_stack
    assert re.fullmatch(r"001_synthetic-\d+\.html", page)
    assert pd.read_csv(folder / "tables" / "pages.csv")["page"].tolist() == [page]


def test_tables_are_the_golden_ones(folder: Path) -> None:
    assert_golden(folder, "islets_3d", "solids", "estimates")


def test_pages_stand_alone(folder: Path) -> None:
    for page in (folder / "files").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not LOADED.search(text)
        assert len(text) < 4_000_000
    model = next((folder / "files").glob("001_synthetic-*.html")).read_text(encoding="utf-8")
    assert "A model, not a measurement" in model
    assert 'type="range"' in (folder / "files" / "stack_1_page.html").read_text(encoding="utf-8")


def test_volumes_of_the_stack_are_the_known_ones(folder: Path) -> None:
    grown = make_stack(3)
    table = pd.read_csv(folder / "tables" / "solids.csv")
    large = np.sort(grown.volumes_um3[grown.volumes_um3 > 5e5])
    found = np.sort(table["true_volume_um3"].to_numpy())[-len(large) :]
    np.testing.assert_allclose(found, large, rtol=0.05)


def test_labels_read_back(folder: Path) -> None:
    stack = read_stack((folder / "files" / "stack_1_labels.ome.tif").read_bytes(), name="labels")
    assert (stack.um_per_px, stack.um_per_slice) == (3.0, 6.0)
    table = pd.read_csv(folder / "tables" / "solids.csv")
    counted = np.bincount(stack.samples.ravel())[1:] * 3.0 * 3.0 * 6.0
    np.testing.assert_allclose(counted, table["true_volume_um3"])


def test_labels_of_many_solids_and_the_same_bytes() -> None:
    labels = np.arange(2 * 300 * 300, dtype=np.int32).reshape(2, 300, 300)
    data = labels_ome_tiff(labels, um_per_px=1.5, um_per_slice=3.0)
    assert data == labels_ome_tiff(labels, um_per_px=1.5, um_per_slice=3.0)
    np.testing.assert_array_equal(tifffile.imread(BytesIO(data)), labels)


def write_stack(path: Path, seed: int, *, cut_px: int = 0) -> SyntheticStack:
    """Write a stack of labels with the size of its voxels, without its first rows."""
    grown = make_stack(seed, islets_n=3)
    path.write_bytes(labels_ome_tiff(grown.labels[:, cut_px:], um_per_px=3.0, um_per_slice=6.0))
    return grown


def test_stacks_of_a_folder_are_told_apart_and_taken_together(tmp_path: Path) -> None:
    home = tmp_path / "stacks"
    home.mkdir()
    # The first rows of the second are gone, and with them parts of two solids.
    write_stack(home / "b.tiff", 6, cut_px=20)
    whole = write_stack(home / "a.TIF", 5)
    (home / "notes.txt").write_text("no stack")
    in_another_process(_run, {"stacks": str(home), "stack_kind": "labels"}, tmp_path / "run")
    products = made(tmp_path / "run")
    assert products["figures"] == {"slices_1", "slices_2", "estimates", "shapes"}
    assert len(products["files"]) == 8
    solids = pd.read_csv(tmp_path / "run" / "tables" / "solids.csv")
    assert solids["stack"].unique().tolist() == ["a.TIF", "b.tiff"]
    own = solids[solids["stack"] == "a.TIF"]["true_volume_um3"]
    np.testing.assert_allclose(np.sort(own), np.sort(whole.volumes_um3), rtol=0.05)
    errors = pd.read_csv(tmp_path / "run" / "tables" / "estimates.csv").set_index(["stack", "method"])
    counted = solids[~solids["touches_border"]]
    assert (len(counted), len(solids)) == (4, 6)
    assert errors.loc[("all", "vext"), "islets_n"] == len(counted)
    mean = (counted["ieq_vext"] / counted["true_ieq"] - 1).mean()
    assert errors.loc[("all", "vext"), "bias_fraction"] == pytest.approx(mean)


def test_without_stacks_and_results_nothing_is_made_up(tmp_path: Path) -> None:
    run_cells("islets_3d", {"synthetic": False}, tmp_path)
    assert made(tmp_path) == {"figures": set(), "tables": set(), "files": set()}


def test_a_folder_without_stacks_and_a_stack_without_islets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="z-stacks as .tif"):
        space.stack_paths(str(tmp_path), with_synthetic=True)
    path = tmp_path / "empty.tif"
    tifffile.imwrite(path, np.zeros((5, 16, 16), np.uint8), photometric="minisblack")
    with pytest.raises(ParameterError, match=r"empty.tif: no islet was found"):
        find_solids(path, kind="labels", um_per_px=3.0, um_per_slice=6.0, network="islet-unet", smallest_um=0.0, seed=0)


def test_pages_of_pictures_have_plain_names_of_their_own(results: Path) -> None:
    image = read_results(results).images[0]
    names = [
        space.page_name(place, replace(image, name=name)) for place, name in ((1, "Dárce 1 (2).tif"), (2, "a.b.tif"))
    ]
    assert names == ["001_D_rce_1_2_.html", "002_a_b.html"]


@pytest.mark.parametrize("kind", ["intensity", "labels"])
def test_a_stack_from_a_file(kind: StackKind, tmp_path: Path) -> None:
    grown = make_stack(5, islets_n=3)
    samples = grown.samples if kind == "intensity" else grown.labels.astype(np.uint8)
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, samples)
    found = find_solids(
        path, kind=kind, um_per_px=3.0, um_per_slice=6.0, network="islet-unet", smallest_um=20.0, seed=0
    )
    np.testing.assert_allclose(np.sort(found.table["true_volume_um3"]), np.sort(grown.volumes_um3), rtol=0.1)
    shown = shown_slices(found, space.slice_places(found, 4))
    assert all(one.dtype == np.uint8 and one.shape == (*samples.shape[1:], 3) for one in shown)


def test_models_rest_on_the_ground_at_their_place() -> None:
    islets = np.zeros((200, 300), dtype=np.int32)
    y, x = np.mgrid[:200, :300]
    islets[(y - 60) ** 2 + (x - 80) ** 2 <= 40**2] = 1
    islets[(y - 150) ** 2 + (x - 250) ** 2 <= 15**2] = 3
    placed = modelled_islets(islets, um_per_px=2.0)
    assert [one.number for one in placed] == [1, 3]
    for one, (radius_px, cx, cy) in zip(placed, ((40, 80, 60), (15, 250, 150)), strict=True):
        vertices = one.mesh.vertices_um
        assert vertices[:, 2].min() == pytest.approx(0)
        assert vertices[:, 2].max() == pytest.approx(4 * radius_px, rel=0.08)
        middle = (vertices.min(axis=0) + vertices.max(axis=0))[:2] / 2
        np.testing.assert_allclose(middle, [2 * cx + 1, 2 * cy + 1], atol=5)


def test_fewer_triangles_keep_place_and_volume() -> None:
    grown = make_stack(5, islets_n=3)
    fine = stack_surfaces(grown.labels, um_per_px=3.0, um_per_slice=6.0)
    coarse = stack_surfaces(grown.labels, um_per_px=3.0, um_per_slice=6.0, triangles_n=3000)
    assert sum(len(one.mesh.faces) for one in coarse) < 4500 < sum(len(one.mesh.faces) for one in fine)
    for one, other, true_um3 in zip(fine, coarse, grown.volumes_um3, strict=True):
        assert one.mesh.volume_um3 == pytest.approx(true_um3, rel=0.05)
        assert other.mesh.volume_um3 == pytest.approx(true_um3, rel=0.25)
        np.testing.assert_allclose(one.mesh.vertices_um.mean(0), other.mesh.vertices_um.mean(0), atol=20)


def test_pictures_without_calibration_are_refused(results: Path) -> None:
    image = read_results(results).images[0]
    blind = replace(image, record=replace(image.record, calibration=Calibration(um_per_px=None, source="guess")))
    with pytest.raises(ParameterError, match="no pixel size"):
        space.model_page(blind, None)
