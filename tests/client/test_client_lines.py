"""Lines that break, services that restart, scripts that die: against the real service."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from service_in_process import Service

from isletnet.client import AsyncClient, Client, DeletedError, Progress, RefusedError
from tests.client.live import COPY, BreakingLine, Server, give_for_training
from tests.serve.requests_at_work import picture


def noise(seed: int = 7) -> bytes:
    """A picture of about 3 MB that nothing makes smaller."""
    file = BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (1000, 1000, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def puts(made: Service) -> list[int | None]:
    """The ends of all sendings of images."""
    action = "PUT /api/requests/{request_id}/images/{number}"
    return [event.status for event in made.events if event.action == action]


def test_an_upload_whose_line_breaks_goes_on(server: Server, made: Service):
    contents = [picture(1), noise(), picture(2)]
    line = BreakingLine(server.port, up=[700_000, 1_500_000])
    with Client(line.url) as client:
        request = client.submit([(f"{number}.png", content) for number, content in enumerate(contents)])
        assert len(client.requests().requests) == 1
    line.close()
    assert line.broken_n == 2
    assert puts(made).count(201) == 3
    known = [image.sha256 for image in request.status.images]
    assert known == [hashlib.sha256(content).hexdigest() for content in contents]


def test_a_script_that_died_goes_on_where_it_was(server: Server, made: Service):
    images = [("a.png", picture(1)), ("b.png", noise())]

    def die(progress: Progress) -> None:
        if progress.name == "b.png":
            raise KeyboardInterrupt

    with Client(server.url) as client:
        with pytest.raises(KeyboardInterrupt):
            client.submit(images, {"um_per_px": 2.0}, idempotency_key="mine", on_progress=die)
        request = client.submit(images, {"um_per_px": 2.0}, idempotency_key="mine")
        assert client.submit(images, {"um_per_px": 2.0}, idempotency_key="mine").id == request.id
        assert puts(made).count(201) == 2
        for other_images, other_parameters in ((images[:1], {"um_per_px": 2.0}), (images, {"um_per_px": 3.0})):
            with pytest.raises(RefusedError):
                client.submit(other_images, other_parameters, idempotency_key="mine")


def test_a_restart_of_the_service_while_one_waits(server: Server, work: Callable[[], None]):
    with Client(server.url) as client:
        request = client.submit([("a.png", picture(1))], {"um_per_px": 2.0})
        first = threading.Event()
        states: list[str] = []

        def hear(progress: Progress) -> None:
            assert progress.status
            states.append(progress.status.state)
            first.set()

        def restart() -> None:
            assert first.wait(10)
            server.stop()
            server.start()
            work()

        thread = threading.Thread(target=restart)
        thread.start()
        assert request.wait(hear).state == "done"
        thread.join()
    assert states[0] == "queued"
    assert states[-1] == "done"


def test_an_export_whose_line_breaks_arrives_whole(server: Server, made: Service, tmp_path: Path):
    line = BreakingLine(server.port, down=[300_000, 400_000])
    with Client(server.url) as client:
        give_for_training(made, client)
    with Client(line.url) as client:
        content = client.training_export(tmp_path / "training.tar").read_bytes()
    line.close()
    assert line.broken_n == 2
    assert COPY in content
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["training.tar"]
    with Client(server.url) as client, pytest.raises(DeletedError):
        client.training_export(tmp_path / "again.tar")


def test_who_gives_up_a_wait_can_go_on_asking(server: Server):
    async def live() -> None:
        async with AsyncClient(server.url) as client:
            request = await client.submit([("a.png", picture(1))])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(request.wait(), 0.1)
            assert (await request.cancel()).state == "cancelled"

    asyncio.run(live())


def test_what_is_stopped_leaves_nothing_and_lets_go(server: Server, made: Service, tmp_path: Path):
    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with Client(server.url) as client:
        request = client.submit([("a.png", noise())])
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                request.download("images/0/original", tmp_path / "out", on_progress=stop)
        client.networks()
        assert server.wait_for_connections(1)
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
