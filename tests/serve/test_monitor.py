"""How the service is: told within seconds, whatever hangs or fails."""

import asyncio
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from isletnet.errors import StoreFullError, StoreUnavailableError
from isletnet.networks.card import WEIGHTS_FILE
from isletnet.networks.catalogue import find_network
from isletnet.settings import Settings
from isletnet.storage.backends.local import LocalStore
from isletnet.storage.statistics import Event, append_events
from isletnet.storage.store import Store
from serve.access.limits import Limits
from serve.monitor import READY_FOR_S, Ask, Monitor
from serve.upkeep import looks
from tests.serve import nvidia_stand_in
from tests.storage.actors import Clock, dispatcher, ended, submit
from tests.storage.store_contract import MemoryStore


class Broken(MemoryStore):
    """A store that raises what it is told to when it is written to; `writes_n` counts."""

    error: Exception | None = None
    writes_n = 0

    def create(self, key: str, content: bytes) -> None:
        self.writes_n += 1
        if self.error is not None:
            raise self.error
        super().create(key, content)


class Hung(MemoryStore):
    """A store whose writes hang until `over` is set; `writes_n` counts those that began."""

    writes_n = 0

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()

    def create(self, key: str, content: bytes) -> None:
        self.writes_n += 1
        self.over.wait()


@pytest.fixture
def hung() -> Iterator[Hung]:
    """A store that takes nothing until the test is over."""
    store = Hung()
    yield store
    store.over.set()


@pytest.fixture
def store() -> Broken:
    return Broken()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def monitor(store: Store, clock: Clock, *, used: int = 10, answer_s: float = 5.0, **parts: Ask) -> Monitor:
    settings = Settings()
    limits = Limits(settings, monotonic=clock.monotonic, disk_usage=lambda folder: (100, used, 100 - used))
    return Monitor(
        settings, store, limits, parts=parts, monotonic=clock.monotonic, now=lambda: clock.now, answer_s=answer_s
    )


def status(watched: Monitor) -> dict[str, Any]:
    told = asyncio.run(watched.status())
    json.dumps(told, allow_nan=False)
    return told


async def healthy() -> dict[str, Any]:
    return {"state": "ok", "loaded": ["islet-unet"]}


async def failing() -> dict[str, Any]:
    raise ValueError("a secret /path")


async def hanging() -> None:
    await asyncio.Event().wait()


def test_all_is_well(store: Broken, clock: Clock):
    told = status(monitor(store, clock, segmenter=healthy))
    assert told["state"] == "ok"
    assert told["store"]["is_writable"] is True
    assert told["disk"]["used_fraction"] == 0.1
    assert told["parts"] == {"segmenter": {"state": "ok", "loaded": ["islet-unet"]}}
    assert told["mail"] == {"state": "ok", "waiting_n": 0, "is_sent": False}
    assert told["versions"]["isletnet"]
    assert len(told["networks"]["versions"]["islet-unet"]["weights_sha256"]) == 64
    assert told["processes"]["list"][0]["memory_mb"] > 0
    assert 0 <= told["machine"]["cpu_fraction"] <= 1


def test_looking_leaves_nothing_behind(store: Broken, clock: Clock):
    watched = monitor(store, clock)
    status(watched)
    watched.readiness()
    assert list(store.list_keys()) == []


def test_parts_that_hang_or_fail_are_told_and_hide_no_others(store: Broken, clock: Clock):
    told = status(monitor(store, clock, answer_s=0.5, segmenter=hanging, shepherd=failing, keeper=healthy))
    assert told["state"] == "failed"
    assert told["parts"]["segmenter"] == {"state": "silent", "code": "no_answer"}
    assert told["parts"]["shepherd"] == {"state": "failed", "code": "unexpected"}
    assert told["parts"]["keeper"]["state"] == "ok"
    assert "secret" not in json.dumps(told)


def test_all_are_asked_at_once(hung: Store, clock: Clock):
    answer_s = 1.0
    watched = monitor(hung, clock, answer_s=answer_s, segmenter=hanging, shepherd=hanging, keeper=healthy)
    watched.readiness()
    begun_s = time.monotonic()
    told = status(watched)
    # One wait for the store and both parts, and not one each.
    assert time.monotonic() - begun_s < 2 * answer_s
    silent = {"store", "segmenter", "shepherd"}
    things = {**told, **told["parts"]}
    assert {
        name for name, thing in things.items() if isinstance(thing, dict) and thing.get("state") == "silent"
    } == silent
    assert told["machine"]["host"] == socket.gethostname()


def test_a_look_that_hangs_is_not_begun_again(hung: Hung, clock: Clock):
    watched = monitor(hung, clock, answer_s=0.05)
    for _ in range(10):
        clock.pass_s(READY_FOR_S + 0.1)
        watched.readiness()
    assert hung.writes_n == 1, "it holds one thread and no more"
    assert status(watched)["store"] == {"state": "silent", "code": "no_answer"}
    assert hung.writes_n == 1


def test_a_part_that_cannot_even_be_asked_is_told(store: Broken, clock: Clock):
    def unreachable() -> NoReturn:
        raise RuntimeError("the handle is closed")

    assert status(monitor(store, clock, keeper=unreachable))["parts"]["keeper"]["code"] == "unexpected"


def test_gpus_that_are_wrong_are_a_warning(
    store: Broken, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    nvidia_stand_in.install(tmp_path, exit_code=9, said=nvidia_stand_in.NO_DRIVER)
    told = status(monitor(store, clock))
    assert (told["state"], told["accelerators"]["code"]) == ("warning", "gpu_driver_failed")


def test_a_store_that_is_down_is_told(store: Broken, clock: Clock):
    store.error = StoreUnavailableError("down")
    told = status(monitor(store, clock))
    assert told["state"] == "failed"
    assert told["store"] == {"state": "failed", "code": "storage_unavailable"}


@pytest.mark.parametrize(("used", "state"), [(79, "ok"), (80, "warning"), (95, "failed")])
def test_the_disk_is_watched(store: Broken, clock: Clock, used: int, state: str):
    assert status(monitor(store, clock, used=used))["state"] == state


def test_the_queue_is_told(store: Broken, clock: Clock):
    for _ in range(3):
        submit(store, clock)
        clock.pass_s(10)
    assert dispatcher(store, clock).take(now=clock.now) is not None
    ended_one = submit(store, clock, mail_to="ann@clinic.example")
    assert looks.queue(store, now=clock.now) == {
        "state": "ok",
        "open_n": 4,
        "running_n": 1,
        "waiting_n": 3,
        "oldest_age_s": 30.0,
    }
    assert ended_one.mail_to is not None


def test_an_empty_queue_has_no_age(store: Broken, clock: Clock):
    ended(store, clock)
    assert looks.queue(store, now=clock.now)["oldest_age_s"] is None


def test_mails_that_wait_are_counted(store: Broken, clock: Clock):
    for _ in range(2):
        ended(store, clock, mail_to="ann@clinic.example")
    assert looks.mails(store)["waiting_n"] == 2


def test_the_last_hour(store: Broken, clock: Clock):
    def event(minutes_ago: float, kind: str, action: str, **values: Any) -> Event:
        utc = clock.now - timedelta(minutes=minutes_ago)
        return Event(utc=utc, kind=kind, who="ann", action=action, duration_s=1.0, **values)

    events = [
        event(61, "end", "done", images={"n": 50}, megapixels=100.0),
        event(59, "end", "done", images={"n": 2}, megapixels=3.0, failures=("image_damaged",)),
        event(0, "end", "dead", images={"n": 5}, failures=("worker_lost",)),
        event(5, "call", "GET /x", status=404, failures=("not_found",)),
        event(6, "call", "GET /x", status=503, failures=("storage_unavailable",)),
    ]
    append_events(store, events, now=clock.now)
    told = looks.last_hour(store, now=clock.now)
    counted = {"calls_n": 2, "failed_calls_n": 1, "requests_done_n": 1, "requests_dead_n": 1, "images_n": 2}
    assert {name: told[name] for name in counted} == counted
    assert told["megapixels"] == 3.0
    codes = [one["codes"] for one in told["last_errors"]]
    assert codes == [("worker_lost",), ("storage_unavailable",), ("image_damaged",)], (
        "the newest first, no callers' own"
    )


def test_only_so_many_errors_are_shown(store: Broken, clock: Clock):
    one = Event(utc=clock.now, kind="end", who="ann", action="dead", duration_s=0, failures=("worker_lost",))
    append_events(store, [one] * 100, now=clock.now)
    assert len(looks.last_hour(store, now=clock.now)["last_errors"]) == 20


def test_processes_show_no_command_lines():
    assert all(set(one) == {"pid", "name", "memory_mb", "cpu_s", "open_files_n"} for one in looks.processes())


class TestReadiness:
    def test_ready(self, store: Broken, clock: Clock):
        assert monitor(store, clock).readiness().is_ready

    def test_without_the_store_it_is_not(self, store: Broken, clock: Clock):
        store.error = StoreUnavailableError("down")
        told = monitor(store, clock).readiness()
        assert (told.is_ready, told.reasons) == (False, ("storage_unavailable",))

    def test_a_full_store_can_be_read(self, store: Broken, clock: Clock):
        store.error = StoreFullError("full")
        assert monitor(store, clock).readiness().is_ready
        assert status(monitor(store, clock))["store"]["is_writable"] is False

    def test_with_a_changed_network_it_is_not(self, store: Broken, clock: Clock, tmp_path: Path):
        copy = shutil.copytree(find_network("islet-unet-small").folder, tmp_path / "copy")
        settings = Settings(network=str(copy))
        watched = Monitor(
            settings,
            store,
            Limits(settings, monotonic=clock.monotonic),
            parts={},
            monotonic=clock.monotonic,
            now=lambda: clock.now,
        )
        assert watched.readiness().is_ready
        weights = copy / WEIGHTS_FILE
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
        clock.pass_s(READY_FOR_S + 0.1)
        told = watched.readiness()
        assert (told.is_ready, told.reasons) == (False, ("network_unusable",))

    def test_many_who_ask_cost_one_look(self, store: Broken, clock: Clock):
        watched = monitor(store, clock)
        for _ in range(20):
            assert watched.readiness().is_ready
        assert store.writes_n == 1
        clock.pass_s(READY_FOR_S + 0.1)
        store.error = StoreUnavailableError("down")
        assert not watched.readiness().is_ready

    def test_a_store_that_hangs_makes_nobody_wait(self, clock: Clock, hung: Store):
        told = monitor(hung, clock, answer_s=0.2).readiness()
        assert (told.is_ready, told.reasons) == (False, ("no_answer",))

    def test_a_folder_that_vanished_is_noticed(self, clock: Clock, tmp_path: Path):
        store = LocalStore(tmp_path / "store")
        watched = monitor(store, clock)
        assert watched.readiness().is_ready
        (tmp_path / "store" / ".unfinished").rmdir()
        (tmp_path / "store").rename(tmp_path / "elsewhere")
        clock.pass_s(READY_FOR_S + 0.1)
        assert not watched.readiness().is_ready
