"""Both clients against a real server, over lines that break."""

from __future__ import annotations

import asyncio
import inspect
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from starlette.responses import RedirectResponse

from isletnet.client import (
    AccessError,
    AnswerError,
    AsyncClient,
    AsyncRequest,
    Client,
    DeletedError,
    MissingError,
    Progress,
    RefusedError,
    RejectedError,
    Request,
    UnreachableError,
)
from isletnet.errors import ParameterError
from tests.client.contract import TAR, Memory
from tests.client.live import BreakingLine, Server

BIG = np.random.default_rng(7).bytes(3_000_000)


def soon(memory: Memory, state: str, request_id: str, after_s: float = 0.1) -> None:
    def change() -> None:
        memory.requests[request_id] |= {"progress_fraction": 1.0}
        memory.requests[request_id]["state"] = state

    threading.Timer(after_s, change).start()


def test_the_life_of_a_request(server: Server, memory: Memory, tmp_path: Path):
    (tmp_path / "Insel ä 胰岛 \U0001f52c.tif").write_bytes(BIG)
    heard: list[Progress] = []
    with Client(server.url) as client:
        request = client.submit(
            [tmp_path / "Insel ä 胰岛 \U0001f52c.tif", ('a"b\r\n.tif', b"two")], on_progress=heard.append
        )
        assert memory.received == [(0, "Insel ä 胰岛 \U0001f52c.tif", BIG), (1, 'a"b\r\n.tif', b"two")]
        assert len(heard) > 10
        assert heard[-1].fraction == 1.0
        soon(memory, "done", request.id)
        waited: list[Progress] = []
        assert request.wait(waited.append).state == "done"
        assert [one.status.state for one in waited if one.status] == ["queued", "done"]
        again = client.request(request.id)
        assert again.status == request.status
        results = again.results()
        assert results.versions[0].note == "n"
        assert results.table().loc[0, ["name", "ieq", "ieq_low", "ieq_high"]].tolist() == ["S", 2.0, 1.0, 3.0]
        assert again.islets()["area_px"].tolist() == [10, 12]
        assert again.download("report.pdf", tmp_path / "out").read_bytes() == b"%PDF"
        folder = again.download("all", tmp_path / "all")
        found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        assert found == ["images/0/labels.tif", "report.pdf"]
        assert again.correct(0, np.eye(16, dtype=np.int64), note="better").version == 1
        again.consent(1, granted=True, text="yes")
        assert [image.training for image in again.refresh().images] == [False, True]
        assert [one.request_id for one in client.requests().requests] == [request.id]
        again.delete()
        assert again.refresh().state == "deleted"


def test_the_same_life_with_await(server: Server, memory: Memory, tmp_path: Path):
    async def live() -> None:
        async with AsyncClient(server.url) as client:
            heard: list[threading.Thread] = []
            request = await client.submit([BIG], on_progress=lambda _: heard.append(threading.current_thread()))
            assert memory.received == [(0, "image-0", BIG)]
            assert set(heard) == {threading.current_thread()}
            soon(memory, "done", request.id)
            assert (await request.wait()).state == "done"
            assert (await request.results()).version == 1
            assert (await request.islets())["area_px"].tolist() == [10, 12]
            assert (await request.download("report.pdf", tmp_path)).read_bytes() == b"%PDF"
            assert (await client.analyse(b"x", {"um_per_px": 2})).table()["area_px"].tolist() == [10]
            assert (await client.training_export(tmp_path / "t.tar")).read_bytes() == TAR
            assert (await client.request(request.id)).status == request.status

    asyncio.run(live())


def test_many_waits_on_one_loop(server: Server, memory: Memory):
    async def live() -> list[str]:
        async with AsyncClient(server.url) as client:
            requests = [await client.submit([b"x"]) for _ in range(5)]
            for request in requests:
                soon(memory, "done", request.id, 0.2)
            return [status.state for status in await asyncio.gather(*(request.wait() for request in requests))]

    assert asyncio.run(live()) == ["done"] * 5


def test_both_clients_say_the_same():
    def signatures(kind: type) -> dict[str, str]:
        found = {name: method for name, method in vars(kind).items() if inspect.isfunction(method)}
        return {
            name: str(inspect.signature(method)).replace("Async", "").replace("'Request'", "Request")
            for name, method in found.items()
            if not name.startswith("_")
        }

    assert signatures(Client) == signatures(AsyncClient)
    assert signatures(Request) == signatures(AsyncRequest)


def test_an_upload_whose_line_breaks_goes_on(server: Server, memory: Memory):
    line = BreakingLine(server.port, up=[700_000, 1_500_000])
    with Client(line.url) as client:
        request = client.submit([("small", b"one"), ("big", BIG), ("last", b"three")])
    line.close()
    assert line.broken_n == 2
    whole = [(number, content) for number, _, content in memory.received]
    assert whole == [(0, b"one"), (1, BIG), (2, b"three")]
    assert [image.number for image in request.status.images] == [0, 1, 2]
    assert len(memory.requests) == 1


def test_a_restart_of_the_service_while_one_waits(server: Server, memory: Memory):
    with Client(server.url) as client:
        request = client.submit([b"one"])
        first = threading.Event()
        states: list[str] = []

        def hear(progress: Progress) -> None:
            assert progress.status
            states.append(progress.status.state)
            first.set()

        def restart() -> None:
            assert first.wait(10)
            server.stop()
            memory.requests[request.id]["state"] = "running"
            server.start()
            soon(memory, "done", request.id, 0.5)

        thread = threading.Thread(target=restart)
        thread.start()
        assert request.wait(hear).state == "done"
        thread.join()
    assert states[0] == "queued"
    assert states[-1] == "done"


def test_an_export_whose_line_breaks_arrives_whole(server: Server, memory: Memory, tmp_path: Path):
    line = BreakingLine(server.port, down=[300_000, 400_000])
    with Client(line.url) as client:
        assert client.training_export(tmp_path / "training.tar").read_bytes() == TAR
    line.close()
    assert line.broken_n == 2
    assert memory.confirmed
    assert memory.ranges[0] == 0
    assert sorted(set(memory.ranges)) == memory.ranges
    with Client(server.url) as client, pytest.raises(DeletedError):
        client.training_export(tmp_path / "again.tar")


def test_who_gives_up_a_wait_can_go_on_asking(server: Server, memory: Memory):
    async def live() -> None:
        async with AsyncClient(server.url) as client:
            request = await client.submit([b"x"])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(request.wait(), 0.1)
            assert (await request.cancel()).state == "cancelled"

    asyncio.run(live())


def test_a_download_that_is_stopped_leaves_nothing(server: Server, tmp_path: Path):
    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with Client(server.url) as client:
        request = client.submit([b"x"])
        for name in ("report.pdf", "all"):
            with pytest.raises(KeyboardInterrupt):
                request.download(name, tmp_path, on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_what_is_stopped_lets_go_of_its_connection(server: Server, tmp_path: Path):
    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with Client(server.url) as client:
        for _ in range(5):
            with pytest.raises(KeyboardInterrupt):
                client.training_export(tmp_path / "training.tar", on_progress=stop)
        client.networks()
        assert server.wait_for_connections(1)


def test_a_proxy_of_the_house_is_not_asked_about_this_machine(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Client(server.url, patience_s=0) as client:
        assert client.networks()


def test_a_key_follows_no_redirect(server: Server, memory: Memory):
    elsewhere = Server(lambda: RedirectResponse(server.url))
    elsewhere.start()
    with Client(elsewhere.url, "1.secret") as client, pytest.raises(AnswerError):
        client.networks()
    elsewhere.stop()


def test_a_wrong_key_is_told(server: Server, memory: Memory):
    memory.key = "1.right"
    with Client(server.url, "1.wrong") as client, pytest.raises(AccessError) as caught:
        client.networks()
    assert (caught.value.code, caught.value.status) == ("unauthorized", 401)
    assert "wrong" not in str(caught.value)
    with Client(server.url, "1.right") as client:
        assert client.networks() == ({"name": "islet-unet"},)


def test_a_full_house_is_waited_for(server: Server, memory: Memory):
    memory.later = 1
    with Client(server.url) as client:
        assert client.networks()


def test_the_service_says_what_is_wrong(server: Server, tmp_path: Path):
    with Client(server.url) as client:
        with pytest.raises(MissingError):
            client.request("f" * 32)
        with pytest.raises(RejectedError) as caught:
            client.submit([b"x"], {"colour": "red"})
        assert (caught.value.code, caught.value.field) == ("parameter_invalid", "colour")
        request = client.submit([b"x"])
        with pytest.raises(RefusedError):
            request.results()
        with pytest.raises(MissingError):
            request.download("images/7/overlay.png", tmp_path / "out")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_nobody_there_is_told_soon_and_without_a_secret():
    server = Server(lambda: None)
    server._socket.close()
    with Client(f"http://me:secret@127.0.0.1:{server.port}", patience_s=0) as client:
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


def test_labels_go_out_as_the_smallest_tiff_that_holds_them(server: Server, memory: Memory):
    with Client(server.url) as client:
        request = client.submit([b"x"])
        for largest, dtype in ((2, np.uint8), (300, np.uint16), (70_000, np.int32)):
            labels = np.zeros((20, 30), np.int64)
            labels[3, 4] = largest
            request.correct(0, labels, kind="islets")
            (tmp := tifffile.imread(_file(memory.received[-1][2])))
            assert tmp.dtype == dtype
            np.testing.assert_array_equal(tmp, labels)
        for wrong in (np.zeros((2, 2, 2), int), np.zeros((2, 2)), np.full((2, 2), -1)):
            with pytest.raises(ParameterError):
                request.correct(0, wrong)
        request.correct(0, b"\x89PNG bytes as they are")
        assert memory.received[-1][2] == b"\x89PNG bytes as they are"


def _file(content: bytes) -> object:
    from io import BytesIO

    return BytesIO(content)


def test_a_request_shows_itself(server: Server, memory: Memory):
    with Client(server.url) as client:
        request = client.submit([("<script>alert(1)</script>.tif", b"x")])
    assert "<script>" not in request._repr_html_()
    assert "&lt;script&gt;" in request._repr_html_()
    assert request.id in request._repr_html_()
    assert repr(request) == f"Request('{request.id}', queued, 0%)"
