"""Both doors to analysed images: a folder, and the service by its API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from isletnet.client import Client
from isletnet.client.errors import AccessError
from isletnet.errors import ParameterError
from isletnet.exports.records import to_plain
from isletnet.studies.sources import read_results
from tests.client.live import Server
from tests.service_in_process import Service, service


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Server]]:
    home = tmp_path_factory.mktemp("service")
    made = service(home / "store", home / "colour")
    server = Server(lambda: made.app)
    server.start()
    yield made, server
    server.stop()


@pytest.fixture(scope="module")
def request_ids(platform: tuple[Service, Server], drawn: Path) -> tuple[str, str]:
    made, server = platform
    pictures = sorted((drawn / "images").iterdir())
    with Client(server.url) as client:
        ids = [client.submit([path], {"sample_name": path.stem}).id for path in pictures[4:6]]
    made.work()
    return ids[0], ids[1]


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
    platform: tuple[Service, Server], request_ids: tuple[str, str], drawn: Path, tmp_path: Path
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


def test_one_request_of_the_service_can_be_named(
    platform: tuple[Service, Server], request_ids: tuple[str, str]
) -> None:
    _, server = platform
    found = read_results(f"{server.url}/requests/{request_ids[1]}")
    assert len(found.images) == 1
    assert {name.split("/")[0] for name in found.read} == {request_ids[1]}


def test_a_key_is_read_from_its_file_alone(
    platform: tuple[Service, Server], request_ids: tuple[str, str], tmp_path: Path
) -> None:
    _, server = platform
    with pytest.raises(ParameterError, match="a file with the key"):
        read_results(server.url, key_file=tmp_path / "none")
    wrong = tmp_path / "key"
    wrong.write_text("isk_wrong\n")
    with pytest.raises(AccessError):
        read_results(server.url, key_file=wrong)
