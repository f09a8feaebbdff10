"""Both clients against the real service behind a real server, over lines that break."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from service_in_process import Service, local_client
from starlette.responses import RedirectResponse

from isletnet.client import (
    AccessError,
    AnswerError,
    AsyncClient,
    AsyncRequest,
    Client,
    MissingError,
    Progress,
    RefusedError,
    RejectedError,
    Request,
    UnreachableError,
)
from isletnet.client import talk as talking
from isletnet.errors import ParameterError
from tests.client.live import COPY, Server, give_for_training
from tests.serve.requests_at_work import picture

Work = Callable[[], None]


def test_the_life_of_a_request(server: Server, work: Work, tmp_path: Path):
    name = "Insel ä 胰岛 \U0001f52c.png"
    (tmp_path / name).write_bytes(picture(2))
    heard: list[Progress] = []
    waited: list[Progress] = []
    with Client(server.url) as client:
        request = client.submit(
            [tmp_path / name, ('a"b\r\n.png', picture(1)), ("broken.png", picture(1)[:900])],
            {"sample_name": "Spender 7", "um_per_px": 4.0, "consent_text": "as agreed"},
            per_image={0: {"um_per_px": 2.0}, 1: {"um_per_px": 2.0}},
            on_progress=heard.append,
        )
        assert [image.name for image in request.status.images] == [name, 'a"b\r\n.png', "broken.png"]
        assert request.status.images[0].sha256 == hashlib.sha256(picture(2)).hexdigest()
        assert request.status.parameters["images"] == {"0": {"um_per_px": 2.0}, "1": {"um_per_px": 2.0}}
        assert (heard[-1].fraction, heard[-1].done) == (1.0, heard[-1].total)
        work()
        assert request.wait(waited.append).state == "done"
        assert (waited[-1].fraction, waited[-1].done, waited[-1].total) == (1.0, 3, 3)
        assert [(image.number, image.code) for image in request.status.failed] == [(2, "image_damaged")]

        again = client.request(request.id)
        assert again.status == request.status
        results = again.results()
        assert [sample["name"] for sample in results.samples] == ["Spender 7"]
        assert results.table().loc[0, ["name", "images_n", "islets_n"]].tolist() == ["Spender 7", 2, 3]
        assert results.table().loc[0, "ieq_low"] <= results.table().loc[0, "ieq"] <= results.table().loc[0, "ieq_high"]
        assert [one["number"] for one in results.failed] == [2]
        assert len(again.islets()) == 3
        assert again.download("report.pdf", tmp_path / "out").read_bytes().startswith(b"%PDF")
        assert again.download("images/1/original", tmp_path / "out").read_bytes() == picture(1)
        folder = again.download("all", tmp_path / "all")
        found = {path.name for path in folder.rglob("*") if path.is_file()}
        assert {"report.pdf", "results.xlsx", "summary.csv", "labels.tif", "overlay.png"} <= found
        assert not [name for name in found if name.endswith(".part")]

        labels = tifffile.imread(again.download("images/0/labels.tif", tmp_path / "out"))
        corrected = again.correct(0, np.where(labels == 1, 0, labels).astype(np.int64), note="no islets")
        assert (corrected.version, corrected.summary["islets_n"]) == (1, 0)
        assert again.correct(0, np.zeros_like(labels), note="no islets").version in (1, 2)
        assert again.results().versions[0].note == "no islets"
        assert again.results(version=0).samples == results.samples

        again.consent(1, granted=True, text="yes")
        assert [image.training for image in again.refresh().images] == [False, True, False]
        with pytest.raises(RefusedError):
            again.delete()
        again.consent(1, granted=False, text="yes")
        assert [one.request_id for one in client.requests().requests] == [request.id]
        assert client.requests(sample="another").requests == ()
        assert client.sample("Spender 7")["requests"] == [request.id]
        again.delete()
        with pytest.raises(MissingError):
            again.refresh()


def test_a_sample_that_cannot_be_pooled_says_why(server: Server, work: Work):
    with Client(server.url) as client:
        request = client.submit(
            [("a.png", picture(1)), ("b.png", picture(2))],
            {"sample_name": "Donor 8", "um_per_px": 2.0},
            per_image={0: {"recipient_kg": 60}, 1: {"recipient_kg": 70}},
        )
        work()
        assert request.wait().state == "done"
        row = request.results().table().loc[0]
        assert (row["name"], row["images_n"]) == ("Donor 8", 2)
        assert "recipient_kg" in row["not_pooled"]


def test_the_same_life_with_await(server: Server, made: Service, work: Work, tmp_path: Path):
    with Client(server.url) as client:
        give_for_training(made, client)

    async def live() -> None:
        async with AsyncClient(server.url) as client:
            heard: list[threading.Thread] = []
            request = await client.submit(
                [("a.png", picture(2))],
                {"um_per_px": 2.0},
                on_progress=lambda _: heard.append(threading.current_thread()),
            )
            assert set(heard) == {threading.current_thread()}
            work()
            assert (await request.wait()).state == "done"
            assert (await request.results()).version == 0
            assert len(await request.islets()) == 2
            path = await request.download("all", tmp_path / "out")
            assert (path / "report.pdf").is_file()
            answer = await client.analyse(picture(2), {"um_per_px": 2.0}, name='a "b" 胰.png')
            assert len(answer.table()) == answer.summary["islets_n"] == 2
            assert answer.record["summary"]["name"] == 'a "b" 胰.png'
            assert COPY in (await client.training_export(tmp_path / "t.tar")).read_bytes()
            assert (await client.request(request.id)).status == request.status
            assert [one["is_default"] for one in await client.networks()].count(True) == 1
            assert (await client.status())["state"]
            assert await client.statistics()

    asyncio.run(live())


def test_many_waits_on_one_loop(server: Server, work: Work):
    async def live() -> list[str]:
        async with AsyncClient(server.url) as client:
            requests = [await client.submit([("a.png", picture(1))], {"um_per_px": 2.0}) for _ in range(4)]
            waits = asyncio.gather(*(request.wait() for request in requests))
            work()
            return [status.state for status in await waits]

    assert asyncio.run(live()) == ["done"] * 4


def test_both_clients_say_the_same():
    def signatures(kind: type) -> dict[str, str]:
        found = {name: method for name, method in vars(kind).items() if inspect.isfunction(method)}
        return {
            name: str(inspect.signature(method)).replace("Async", "")
            for name, method in found.items()
            if not name.startswith("_")
        }

    assert signatures(Client) == signatures(AsyncClient)
    assert signatures(Request) == signatures(AsyncRequest)


def test_a_proxy_of_the_house_is_not_asked_about_this_machine(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Client(server.url, patience_s=0) as client:
        assert client.networks()


def test_a_key_follows_no_redirect(server: Server):
    elsewhere = Server(lambda: RedirectResponse(server.url))
    elsewhere.start()
    with Client(elsewhere.url, "1.secret") as client, pytest.raises(AnswerError):
        client.networks()
    elsewhere.stop()


def test_a_wrong_key_is_told(server: Server, made: Service):
    key = local_client(made).post("/api/admin/keys", json={"name": "ann", "scopes": ["submit"]}).json()["key"]
    wrong = key[:-6] + "wrong_"
    with Client(server.url, wrong) as client, pytest.raises(AccessError) as caught:
        client.networks()
    assert (caught.value.code, caught.value.status) == ("unauthorized", 401)
    assert "wrong_" not in str(caught.value)
    with Client(server.url, key) as client:
        # This key may send, and not read.
        request = client.submit([("a.png", picture(1))])
        with pytest.raises(AccessError) as caught:
            request.refresh()
        assert caught.value.code == "forbidden"


@pytest.mark.parametrize("settings", [{"max_calls_per_minute": 60}])
def test_a_full_house_is_waited_for(server: Server, made: Service):
    with Client(server.url) as client:
        for _ in range(12):
            assert client.networks()
    assert 429 in [event.status for event in made.events]


def test_the_service_says_what_is_wrong(server: Server, tmp_path: Path):
    with Client(server.url) as client:
        with pytest.raises(MissingError):
            client.request("f" * 32)
        with pytest.raises(RejectedError) as caught:
            client.submit([("a.png", picture())], {"colour": "red"})
        assert (caught.value.code, caught.value.field) == ("parameter_invalid", "colour")
        assert caught.value.call_id
        with pytest.raises(RejectedError) as caught:
            client.submit([("notes.txt", b"no picture at all")])
        assert (caught.value.code, caught.value.subject) == ("image_unsupported", "notes.txt")
        request = client.submit([("a.png", picture())])
        with pytest.raises(RefusedError):
            request.results()
        with pytest.raises((MissingError, RefusedError)):
            request.download("images/7/overlay.png", tmp_path / "out")
    assert [path for path in tmp_path.glob("out/**/*") if path.is_file()] == []


def test_nobody_there_is_told_soon_and_without_a_secret():
    unused = Server(lambda: None)
    unused.close()
    with Client(f"http://me:secret@127.0.0.1:{unused.port}", patience_s=0) as client:
        with pytest.raises(UnreachableError, match="isletnet up") as caught:
            client.networks()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://host", "http://", "http://h:port"])
def test_an_address_that_cannot_be_is_told(url: str):
    with pytest.raises(ParameterError):
        Client(url)


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "schlüssel"])
def test_a_key_that_cannot_be_is_told(key: str):
    with pytest.raises(ParameterError):
        Client(key=key)


@pytest.mark.parametrize(("largest", "dtype"), [(1, np.uint8), (300, np.uint16), (70_000, np.int32)])
def test_labels_go_out_as_the_smallest_tiff_that_holds_them(largest: int, dtype: type):
    labels = np.zeros((20, 30), np.int64)
    labels[3, 4] = largest
    written = tifffile.imread(BytesIO(talking.label_file(labels).content))
    assert written.dtype == dtype
    np.testing.assert_array_equal(written, labels)


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 2, 2), int), np.zeros((2, 2)), np.full((2, 2), -1), np.zeros((0, 2), int)]
)
def test_labels_that_are_none_are_refused(labels: np.ndarray):
    with pytest.raises(ParameterError):
        talking.label_file(labels)


def test_a_request_shows_itself(server: Server):
    with Client(server.url) as client:
        request = client.submit([("<script>alert(1)</script>.png", picture())])
    assert "<script>" not in request._repr_html_()
    assert "&lt;script&gt;" in request._repr_html_()
    assert request.id in request._repr_html_()
    assert repr(request) == f"Request('{request.id}', queued, 0%)"
