"""The status page: what it says of a service that is well, unwell, silent or closed to the person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from service_in_process import service

from isletnet.client import AccessError, Client, UnreachableError
from isletnet.ui import health
from isletnet.ui.bits import Page
from isletnet.ui.i18n import set_language
from isletnet.ui.session import Place, Session
from isletnet.ui.status import Watch, overview_html, rest_html
from tests.client.live import Server

WELL: Mapping[str, Any] = {
    "utc": "2026-11-24T07:00:00+00:00",
    "state": "ok",
    "store": {"state": "ok", "is_writable": True, "answered_in_ms": 3.2},
    "network": {"state": "ok", "name": "islet-unet", "version": "1"},
    "disk": {"state": "ok", "total_bytes": 100e9, "free_bytes": 60e9, "used_fraction": 0.4},
    "queue": {"state": "ok", "open_n": 3, "running_n": 1, "waiting_n": 2, "oldest_age_s": 150.0},
    "mail": {"state": "ok", "waiting_n": 0, "is_sent": True},
    "last_hour": {
        "state": "ok",
        "calls_n": 40,
        "failed_calls_n": 0,
        "requests_dead_n": 1,
        "images_n": 12,
        "megapixels": 24.5,
        "last_errors": [
            {"utc": "2026-11-24T06:50:00+00:00", "of": "dead", "request_id": "abc", "codes": ["image_damaged"]},
        ],
    },
    "parts": {
        "shepherd": {"state": "ok", "answer": {}},
        "keeper": {
            "state": "ok",
            "last_runs": {"prune": {"state": "ok", "begun_utc": "2026-11-24T06:00:00+00:00", "removed": {"image": 2}}},
        },
        "trial": {"state": "ok", "begun_utc": "2026-11-24T06:58:00+00:00", "duration_s": 0.42},
    },
    "accelerators": {
        "state": "ok",
        "list": [
            {
                "name": "NVIDIA <b>A100",
                "busy_fraction": 0.43,
                "memory_used_mb": 8590,
                "memory_total_mb": 42950,
                "temperature_c": 61.0,
                "needs_reset": False,
            },
        ],
        "counted_by_ray_n": 1,
        "elsewhere": [],
    },
    "machine": {
        "state": "ok",
        "host": "clinic-7",
        "cores_n": 2,
        "cpu_fraction": 0.25,
        "memory_total_mb": 8000,
        "memory_available_mb": 2000,
    },
    "processes": {
        "state": "ok",
        "list": [{"pid": 1, "name": "ray::<x>", "memory_mb": 120.4, "cpu_s": 3.0, "open_files_n": 9}],
    },
    "versions": {"isletnet": "0.1.0", "ray": None},
    "networks": {"state": "ok", "versions": {"islet-unet": {"state": "ok", "version": "1"}}},
}


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    set_language("en")
    yield
    set_language("en")


def lines(**changes: Mapping[str, Any]) -> dict[str, health.Line]:
    return {line.name: line for line in health.parts({**WELL, **changes})}


def test_a_service_that_is_well():
    assert health.headline(WELL) == ("Everything works.", "good")
    assert {line.tone for line in health.parts(WELL)} == {"good"}
    assert lines()["Queue"].detail == "2 requests wait, 1 is under way"
    assert [gauge.fraction for gauge in health.gauges(WELL)] == [0.25, 0.75, 0.4]
    assert [(row[0], row[2]) for row in health.chores(WELL)] == [
        ("Deleting what is old", "done, 2 things removed"),
        ("Trial analysis", "found the drawn islet in 0.4 s"),
    ]
    assert "2 min" in overview_html(WELL)


def gpus(*, needs_reset: bool = False, **changes: Any) -> Mapping[str, Any]:
    """Give accelerators that want to be looked at."""
    told = WELL["accelerators"]
    return {**told, "state": "warning", "list": [{**told["list"][0], "needs_reset": needs_reset}], **changes}


@pytest.mark.parametrize(
    ("changes", "name", "tone", "detail"),
    [
        (
            {"store": {"state": "warning", "is_writable": False}},
            "Storage",
            "warning",
            "It can be read, but not written.",
        ),
        ({"store": {"state": "silent", "code": "no_answer"}}, "Storage", "severe", "It does not answer."),
        ({"parts": {"segmenter": {"state": "failed", "code": "worker_lost"}}}, "Outlining", "severe", "broke off"),
        ({"parts": {"new": {"state": "odd"}}}, "new", "warning", "answers"),
        ({"parts": {"trial": {"state": "failed", "code": "trial_not_found"}}}, "Trial analysis", "severe", "not found"),
        ({"disk": {**WELL["disk"], "state": "full"}}, "Disk", "severe", "60 GB free"),
        ({"last_hour": {"state": "failed", "code": "storage_unavailable"}}, "Statistics", "severe", "storage"),
        ({"accelerators": gpus(counted_by_ray_n=3)}, "GPU", "warning", "Ray counts 3, but the driver shows 1."),
        ({"accelerators": gpus(needs_reset=True)}, "GPU", "warning", "restart the machine: NVIDIA <b>A100."),
        ({"accelerators": gpus(code="gpu_driver_failed")}, "GPU", "warning", "The driver of the GPU fails."),
        ({"accelerators": gpus(code="no_answer")}, "GPU", "warning", "It does not answer."),
    ],
)
def test_what_is_unwell_is_named(changes: Mapping[str, Any], name: str, tone: str, detail: str):
    line = lines(**changes)[name]
    assert line.tone == tone
    assert detail in line.detail
    text, told = health.headline({**WELL, **changes, "state": "warning" if tone == "warning" else "failed"})
    assert (name in text, told) == (True, tone)


def test_gpus_are_told_with_what_is_known_of_them():
    assert health.gpus(WELL) == [("NVIDIA <b>A100", "43\u00a0%", "8.6 of 43.0 GB", "61 °C")]
    shared = {**WELL["accelerators"]["list"][0], "memory_used_mb": None, "memory_total_mb": None, "temperature_c": None}
    assert health.gpus({**WELL, "accelerators": {"state": "ok", "list": [shared]}})[0][2:] == ("–", "–")
    assert "NVIDIA &lt;b&gt;A100" in overview_html(WELL)
    assert "Machine clinic-7" in overview_html(WELL)


def test_no_gpu_is_said_in_words():
    none: dict[str, Any] = {"state": "ok", "list": [], "counted_by_ray_n": 0, "elsewhere": []}
    assert lines(accelerators=none)["GPU"].detail == "none; networks run on the processors"
    assert "No GPU is known on this machine." in overview_html({**WELL, "accelerators": none})
    unused = {**WELL["accelerators"], "counted_by_ray_n": 0}
    assert lines(accelerators=unused)["GPU"].detail == "1 GPU, but Ray counts none: networks run on the processors"
    rack = {**none, "elsewhere": [{"host": "rack", "gpus_n": 4}]}
    assert lines(accelerators=rack)["GPU"].detail == "none on this machine"
    assert "Ray counts GPUs on other machines: rack (4)." in overview_html({**WELL, "accelerators": rack})


def test_a_chore_that_failed_says_why():
    runs = {"prune": {"state": "failed", "begun_utc": None, "code": "clock_jumped", "message": "The clock jumped."}}
    status = {**WELL, "parts": {"keeper": {"state": "warning", "last_runs": runs}}}
    assert health.chores(status) == [("Deleting what is old", "–", "The clock jumped.")]
    assert "Deleting what is old" in lines(parts=status["parts"])["Housekeeping"].detail


def test_names_of_processes_are_no_markup():
    assert "ray::&lt;x&gt;" in rest_html(WELL)
    assert "<x>" not in rest_html(WELL)


def test_the_largest_processes_are_enough():
    many = {"list": [{"name": f"p{n}", "memory_mb": 100 - n, "cpu_s": 0, "open_files_n": 1} for n in range(40)]}
    assert [row[0] for row in health.processes({**WELL, "processes": many})] == [f"p{n}" for n in range(12)]


def test_czech_numbers_and_words():
    set_language("cs")
    assert health.headline(WELL)[0] == "Vše funguje."
    assert lines()["Fronta"].detail == "2 analýzy čekají, 1 probíhá"
    assert "24,5 megapixelů" in overview_html(WELL)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (59, "59 s"), (60, "1 min"), (7_200, "2 h"), (200_000, "2 d")]
)
def test_ages(seconds: float | None, text: str):
    assert health.age(seconds) == text


class Answering:
    """A client that answers as told."""

    def __init__(self, answer: Callable[[], Mapping[str, Any]]) -> None:
        self.status = answer


def watch(client: Any) -> Watch:
    place = Place(api_url="", browser_api_url="", query={}, language="en")
    return Watch(Page(Session(place=place, client=client), "Status", "status"))


def refuse(error: Exception) -> Callable[[], Mapping[str, Any]]:
    def answer() -> Mapping[str, Any]:
        raise error

    return answer


def test_a_tick_refreshes():
    answers = iter([WELL, {**WELL, "state": "failed", "store": {"state": "failed", "code": "storage_unavailable"}}])
    page = watch(Answering(lambda: next(answers)))
    page.refresh()
    assert "Everything works." in page._overview.value
    page._ticker.tick += 1
    assert "Something is broken: Storage." in page._overview.value


def test_a_silent_service_is_told_and_asked_again():
    page = watch(Answering(refuse(UnreachableError("no line", code="unreachable"))))
    page.refresh()
    assert "does not answer" in page._overview.value
    assert page._ticker.is_on


def test_who_may_not_see_it_is_told_how():
    page = watch(Answering(refuse(AccessError("no", code="forbidden", status=403))))
    page.refresh()
    assert "Sign in with a key" in page._overview.value
    assert not page._ticker.is_on
    assert page._page.shell.needs_key


def test_the_real_service_is_read(tmp_path: Path):
    made = service(tmp_path / "store", tmp_path / "network")
    server = Server(lambda: made.app)
    server.start()
    with Client(server.url) as client:
        page = watch(client)
        page.refresh()
    server.stop()
    assert "islet-notice" in page._overview.value
    assert "islet-unet, version" in page._rest.value
