"""What administrators do with the client: against the real service, and over a script of answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path

import pytest
from openpyxl import load_workbook
from service_in_process import Service

from isletnet.client import (
    AccessError,
    AsyncClient,
    Client,
    MissingError,
    Progress,
    RefusedError,
    UnreachableError,
    admin,
    export,
)
from isletnet.errors import ParameterError
from isletnet.storage.jobs import end
from isletnet.storage.layout import Outcome
from isletnet.storage.records import load_request
from tests.client.client_script import Script, patience, refusal, reply
from tests.client.live import COPY, Server, give_for_training
from tests.serve.requests_at_work import picture

LOST = UnreachableError("gone")
# Whoever watches over the service asks these, and they are not noted.
UNNOTED = {"GET /api/health/live", "GET /api/health/ready"}


def let_die(made: Service, request_id: str) -> None:
    dead = Outcome(state="dead", ended_utc=datetime.now(UTC), code="worker_lost", message="The machine burnt down.")
    end(made.store, load_request(made.store, request_id), dead)


def test_keys_are_made_listed_and_revoked(server: Server):
    with Client(server.url) as local:
        root = local.make_key("root", ["admin"])
    assert root.key not in repr(root)
    with Client(server.url, root.key) as client:
        ann = client.make_key("ann", ("read", "submit"))
        with Client(server.url, ann.key) as other:
            assert other.session()["name"] == "ann"
            with pytest.raises(AccessError):
                other.make_key("eve", ["admin"])
        assert [(key.name, key.scopes, key.created_by) for key in client.keys()] == [
            ("root", ("admin",), "local"),
            ("ann", ("submit", "read"), "root"),
        ]
        ended = client.revoke_key(ann.id)
        assert ended.revoked_utc is not None
        assert client.keys() == (client.keys()[0], ended)
        with pytest.raises(MissingError):
            client.revoke_key("../requests")


def test_a_key_whose_answer_was_lost_is_not_made_twice():
    script = Script([LOST])
    with pytest.raises(UnreachableError):
        script.run(admin.make_key(patience(), "ann", ["read"]))
    assert json.loads(script.bodies[0]) == {"name": "ann", "scopes": ["read"]}


def test_a_dead_request_comes_again(server: Server, made: Service, work: Callable[[], None]):
    with Client(server.url) as client:
        request = client.submit([("a.png", picture(1))], {"um_per_px": 2.0})
        with pytest.raises(RefusedError, match="dead"):
            request.requeue()
        let_die(made, request.id)
        again = request.requeue()
        assert again.id != request.id
        assert request.requeue().id == again.id
        work()
        assert again.wait().state == "done"
        assert request.refresh().state == "dead"


def test_an_export_is_given_up_by_its_path_or_by_its_number(server: Server, made: Service, tmp_path: Path):
    target = tmp_path / "training.tar"
    with Client(server.url) as client:
        give_for_training(made, client)

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with Client(server.url) as client:
        with pytest.raises(ParameterError, match="nothing has arrived"):
            client.give_up_training_export(tmp_path / "absent" / "training.tar")
        with pytest.raises(KeyboardInterrupt):
            client.training_export(target, on_progress=stop)
        client.give_up_training_export(target)
        assert list(tmp_path.glob(".*.part")) == []
        with pytest.raises(KeyboardInterrupt):
            client.training_export(target, on_progress=stop)
        client.give_up_training_export(2)
        assert COPY in client.training_export(target).read_bytes()
        with pytest.raises(RefusedError, match="confirmed"):
            client.give_up_training_export(3)
        with pytest.raises(MissingError):
            client.give_up_training_export(99)


def test_giving_up_is_asked_again_and_keeps_the_part_until_it_is_heard(tmp_path: Path):
    part = tmp_path / ".training.tar.export-7.part"
    part.write_bytes(b"abc")
    with pytest.raises(RefusedError):
        Script([refusal(409, "conflict")]).run(export.give_up(patience(), tmp_path / "training.tar"))
    assert part.read_bytes() == b"abc"
    script = Script([LOST, reply({"number": 7, "state": "given_up"})])
    script.run(export.give_up(patience(), tmp_path / "training.tar"))
    assert script.asked == ["DELETE /api/training/export/7"] * 2
    assert not part.exists()


def test_the_statistics_are_a_workbook_of_the_days_asked_for(server: Server, tmp_path: Path):
    day = date(2026, 11, 3)
    with Client(server.url) as client:
        path = client.statistics_workbook(tmp_path / "new" / "use.xlsx", day, day)
        assert path == tmp_path / "new" / "use.xlsx"
        sheet = load_workbook(BytesIO(path.read_bytes()))["Days"]
        assert [row[0].value.date() for row in sheet.iter_rows(min_row=2)] == [day]
        assert client.statistics(day, day)["days"][0]["day"] == "2026-11-03"
        with pytest.raises(Exception, match="days"):
            client.statistics_workbook(tmp_path / "none.xlsx", day, date(2026, 11, 1))
    assert [file.name for file in tmp_path.rglob("*.xlsx")] == ["use.xlsx"]


def test_pruning_deletes_only_when_it_is_told_to(server: Server, made: Service):
    with Client(server.url) as client:
        client.submit([("a.png", picture(1))]).cancel()
        assert client.prune()["dry_run"] is True
        client.confirm_clock()
        assert client.prune(dry_run=False)["state"] == "ok"
        assert len(client.requests().requests) == 1


def test_the_client_reaches_every_address(server: Server, made: Service, work: Callable[[], None], tmp_path: Path):
    """A route that the client does not know makes this fail: add it to the client, too."""
    with Client(server.url) as client:
        client.session(), client.status(), client.networks(), client.statistics(), client.keys()
        client.prune(), client.confirm_clock()
        client.analyse(("a.png", picture(1)))
        request = client.submit([("a.png", picture(1))], {"um_per_px": 2.0, "sample_name": "s"})
        started: list[Progress] = []

        def start_once(progress: Progress) -> None:
            # Not before somebody listens to the events.
            if not started:
                work()
            started.append(progress)

        request.wait(start_once)
        for name in ("report.pdf", "archive.zip", "images/0/overlay.png", "images/0/original", "images/0/labels.tif"):
            request.download(name, tmp_path)
        request.islets(), request.results()
        request.correct(0, tmp_path / "images/0/labels.tif")
        client.requests(), client.sample("s")
        dead = client.submit([("b.png", picture(1))])
        dead.cancel()
        with pytest.raises(RefusedError):
            dead.requeue()
        dead.delete()
        give_for_training(made, client)
        client.training_export(tmp_path / "training.tar")
        with pytest.raises(RefusedError):
            client.give_up_training_export(1)
        client.statistics_workbook(tmp_path / "use.xlsx")
        client.revoke_key(client.make_key("ann", ["read"]).id)
    addresses = made.app.openapi()["paths"]
    known = {f"{method.upper()} {path}" for path, methods in addresses.items() for method in methods}
    assert len(known) > 30
    assert known - UNNOTED == {event.action for event in made.events}


def test_the_same_with_await(server: Server, made: Service, tmp_path: Path):
    async def live() -> None:
        async with AsyncClient(server.url) as client:
            request = await client.submit([("a.png", picture(1))])
            let_die(made, request.id)
            assert (await (await request.requeue()).refresh()).state == "queued"
            assert (await client.prune())["dry_run"] is True
            await client.confirm_clock()
            assert (await client.statistics_workbook(tmp_path / "use.xlsx")).is_file()
            with pytest.raises(MissingError):
                await client.give_up_training_export(1)
            made_key = await client.make_key("root", ["admin"])
        async with AsyncClient(server.url, made_key.key) as client:
            assert [key.id for key in await client.keys()] == [made_key.id]
            assert (await client.revoke_key(made_key.id)).revoked_utc

    asyncio.run(live())
