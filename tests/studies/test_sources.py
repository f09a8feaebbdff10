"""Both doors to analysed images: a folder, and the service by its API."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from study_cells import run_cells

from isletnet.client import Client
from isletnet.client.errors import AccessError
from isletnet.errors import ParameterError
from isletnet.exports.records import to_plain
from isletnet.studies.inputs.sources import read_results
from tests.client.live import Server
from tests.service_in_process import Service

LivePlatform = tuple[Service, Server]
KEY = b"a key of more than sixteen bytes"


def test_a_folder_gives_its_images_in_order(results: Path) -> None:
    found = read_results(results)
    names = [image.name for image in found.images]
    assert names == sorted(names)
    assert len(names) == len(list(results.iterdir()))
    first = found.images[0]
    assert (first.key, first.sample, first.utc) == (first.name.removesuffix(".tif"), results.name, None)
    assert set(found.read) == {
        f"{image.key}/{file}"
        for image in found.images
        for file in ("summary.json", "islets.csv", "labels.tif", "islets.tif")
    }
    assert len(found.islet_table()) == sum(len(image.table()) for image in found.images)
    assert found.image_table()["islets_n"].tolist() == [image.record.summary.islets_n for image in found.images]
    alone = read_results(results / first.key)
    assert to_plain(alone.images[0].record) == to_plain(first.record)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="run `isletnet analyse` first"):
        read_results(tmp_path)


def test_the_service_gives_the_same_as_its_files(
    platform: LivePlatform, request_ids: tuple[str, str], drawn: Path, tmp_path: Path
) -> None:
    _, server = platform
    found = read_results(server.url)
    assert len(found.images) == 2
    with Client(server.url) as client:
        for image, request_id in zip(found.images, request_ids, strict=True):
            request = client.request(request_id)
            folder = request.download("all", tmp_path / request_id)
            (home,) = {path.parent for path in folder.rglob("summary.json")}
            on_disk = read_results(home).images[0]
            assert to_plain(image.record) == to_plain(on_disk.record)
            assert image.table().equals(on_disk.table())
            assert np.array_equal(image.labelled().islets, on_disk.labelled().islets)
            assert np.array_equal(image.labelled().classes, on_disk.labelled().classes)
            assert image.original is not None
            assert image.original() == (drawn / "images" / image.name).read_bytes()
            assert image.utc is not None
            assert request.status.ended_utc is not None
            assert image.utc == request.status.ended_utc.isoformat()


def test_a_study_makes_the_same_of_the_service_and_of_a_folder(
    platform: LivePlatform, request_ids: tuple[str, str], drawn: Path, tmp_path: Path
) -> None:
    _, server = platform
    with Client(server.url) as client:
        for request_id in request_ids:
            folder = client.request(request_id).download("all", tmp_path / request_id)
            (home,) = {path.parent for path in folder.rglob("summary.json")}
            shutil.copytree(home, tmp_path / "results" / request_id)
    (tmp_path / "key").write_bytes(KEY)
    common = {"pseudonym_key": str(tmp_path / "key"), "with_pictures": True}
    run_cells("dataset", {"results": server.url, **common}, tmp_path / "service")
    given = {"results": str(tmp_path / "results"), "pictures": str(drawn / "images"), **common}
    run_cells("dataset", given, tmp_path / "folder")
    files = {
        door: {
            path.relative_to(tmp_path / door): path.read_bytes()
            for path in (tmp_path / door / "files").rglob("*")
            if path.is_file()
        }
        for door in ("service", "folder")
    }
    assert len(files["service"]) == 12
    assert files["service"] == files["folder"]


def test_one_request_of_the_service_can_be_named(platform: LivePlatform, request_ids: tuple[str, str]) -> None:
    _, server = platform
    found = read_results(f"{server.url}/requests/{request_ids[1]}")
    assert len(found.images) == 1
    assert {name.split("/")[0] for name in found.read} == {request_ids[1]}


def test_a_key_is_read_from_its_file_alone(
    platform: LivePlatform, request_ids: tuple[str, str], tmp_path: Path
) -> None:
    _, server = platform
    with pytest.raises(ParameterError, match="a file with the key"):
        read_results(server.url, key_file=tmp_path / "none")
    wrong = tmp_path / "key"
    wrong.write_text("isk_wrong\n")
    with pytest.raises(AccessError):
        read_results(server.url, key_file=wrong)
