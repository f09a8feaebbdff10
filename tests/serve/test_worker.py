"""A request from its bytes to its files, in one process and with a network that knows colours only."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from requests_at_work import picture
from worker_house import FILES_FOR_ALL, IMAGE_FILES, House

from isletnet.errors import StoreFullError
from isletnet.networks.model import Network
from isletnet.storage import jobs
from isletnet.storage.backends.local import LocalStore
from serve.doors.types import AnalysisAnswer
from serve.work.parameters import RequestParameters
from serve.work.tasks import NowDone, NowTask, Refused
from serve.worker import Worker


def test_a_request_ends_with_the_files_that_were_promised(house: House) -> None:
    request_id, outcome = house.ended(picture(2), b"no picture", picture(3), um_per_px=2.0, sample_name="Ann 7")
    assert outcome.state == "done"
    expected = {f"images/{number}/{name}" for number in (0, 2) for name in IMAGE_FILES} | FILES_FOR_ALL
    assert {file.path for file in outcome.files} == expected
    assert [(one.state, one.code) for one in outcome.images] == [
        ("done", None),
        ("failed", "image_unsupported"),
        ("done", None),
    ]
    results = house.results(request_id)
    (sample,) = results["samples"]
    assert (sample["name"], sample["images"]) == ("Ann 7", [0, 2])
    assert isinstance(sample["summary"], dict)
    # Two discs in one picture, three in the other.
    assert sample["summary"]["islets_n"] == 5
    assert [(image["number"], image["name"]) for image in results["images"]] == [
        (0, "islets 0.png"),
        (2, "islets 2.png"),
    ]
    (failure,) = results["failed"]
    assert (failure["number"], failure["name"], failure["code"]) == (1, "islets 1.png", "image_unsupported")
    assert not house.problems()


def test_nothing_to_take_gives_nothing(house: House) -> None:
    assert house.work() is None


@pytest.mark.parametrize(
    ("content", "parameters", "code"),
    [
        (b"no picture", {}, "image_unsupported"),
        (picture(1)[:500], {}, "image_damaged"),
        (picture(1), {"network": "unknown"}, "network_unusable"),
        (picture(1), {"um_per_px": 2.0, "ieq_method": "tea_leaves"}, "parameter_invalid"),
    ],
)
def test_what_can_never_be_done_is_dead_at_once(
    house: House, content: bytes, parameters: dict[str, object], code: str
) -> None:
    _, outcome = house.ended(content, **parameters)
    assert (outcome.state, outcome.code) == ("dead", code)
    assert outcome.message
    assert not house.problems()


def test_parameters_that_no_one_checked_end_the_request_and_not_the_worker(house: House) -> None:
    _, outcome = house.ended(picture(1), um_per_px="wide")
    assert (outcome.state, outcome.code) == ("dead", "parameter_invalid")
    _, outcome = house.ended(picture(1), um_per_px=2.0)
    assert outcome.state == "done"


def test_a_picture_beyond_the_memory_fails_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("isletnet.analysis.pipeline.estimate_background", too_much)
    _, outcome = house.ended(picture(1))
    assert (outcome.state, outcome.code) == ("dead", "image_too_large")


def test_a_fault_of_ours_is_told_without_its_trace(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret path")

    monkeypatch.setattr("isletnet.analysis.pipeline.estimate_background", fault)
    house.submit(picture(1))
    task = NowTask(content=picture(1), name="x", parameters=RequestParameters())
    answer = house.do(task)
    assert getattr(answer, "code", "") == "unexpected"
    assert "secret" not in getattr(answer, "message", "secret")


def test_a_full_store_puts_the_request_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    request = house.submit(picture(1), um_per_px=2.0)
    create_from = LocalStore.create_from

    def full(store: LocalStore, key: str, chunks: object) -> None:
        if "/files/" in key:
            raise StoreFullError("no space is left")
        create_from(store, key, chunks)  # type: ignore[arg-type]

    with monkeypatch.context() as no_space:
        no_space.setattr(LocalStore, "create_from", full)
        assert house.work() is None
    assert jobs.state_of(house.store, request.request_id) == "running"
    house.clock.pass_s(3600)
    # Another worker first sees the attempt, then waits its time.
    assert house.work() is None


def test_images_of_a_request_have_their_own_parameters(house: House) -> None:
    images = {0: {"um_per_px": 2.0, "sample_name": "A"}, 1: {"um_per_px": 4.0, "sample_name": "B"}}
    request_id, _ = house.ended(picture(2), picture(2), images=images)
    samples = house.results(request_id)["samples"]
    assert [(sample["name"], sample["images"]) for sample in samples] == [("A", [0]), ("B", [1])]
    a, b = (sample["summary"] for sample in samples)
    assert isinstance(a, dict)
    assert isinstance(b, dict)
    # Twice the pixel is eight times the volume, but for the edges at another working scale.
    assert b["ieq"]["value"] == pytest.approx(8 * a["ieq"]["value"], rel=0.06)


def test_an_answer_at_once_has_the_numbers_and_the_rows(house: House) -> None:
    parameters = RequestParameters(um_per_px=2.0, sample_volume_ul=100.0, preparation_volume_ml=200.0)
    answer = house.do(NowTask(content=picture(3), name="x.png", parameters=parameters))
    assert isinstance(answer, NowDone)
    told = AnalysisAnswer.model_validate_json(answer.content)
    assert told.record == json.loads(json.dumps(answer.record))
    assert len(told.islets) == 3
    # 200 mL hold 2000 times 100 uL.
    assert told.summary["preparation"]["total_islets"]["value"] == pytest.approx(3 * 2000)


def test_a_bad_picture_at_once_is_refused_with_its_code(house: House) -> None:
    answer = house.do(NowTask(content=b"no picture", name="x", parameters=RequestParameters()))
    assert isinstance(answer, Refused)
    assert answer.code == "image_unsupported"


def test_a_worker_tells_how_far_it_is_and_drops_what_nobody_wants(house: House) -> None:
    worker = Worker(house.settings, house.load, memory_mb=0)
    told: list[tuple[int | None, str, float]] = []

    def load(name: str) -> Network:
        told.append(worker.told())
        worker.drop(7)
        return house.load(name)

    watched = Worker(house.settings, load, memory_mb=0)
    worker = watched
    answer = watched.do(7, NowTask(content=picture(1), name="x", parameters=RequestParameters()))
    assert told == [(7, "decoding", 0.0)]
    assert type(answer).__name__ == "Dropped"
    assert watched.told()[0] is None
    # The next task is none the worse.
    worker = Worker(house.settings, house.load, memory_mb=0)
    answer = worker.do(8, NowTask(content=picture(1), name="x", parameters=RequestParameters()))
    assert isinstance(answer, NowDone)


# Six arrays of 3 MB for each of twelve images; told are the pages that were fetched since the third.
IMAGES_OF_ARRAYS = """
import resource
import sys

import numpy as np

from serve.worker import keep_memory

if sys.argv[1] == "kept":
    keep_memory()
for image in range(12):
    if image == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(3_000_000, np.uint8) for _ in range(6)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_a_worker_keeps_the_memory_of_an_image_for_the_next() -> None:
    def fetched(how: str) -> int:
        made = subprocess.run([sys.executable, "-c", IMAGES_OF_ARRAYS, how], capture_output=True, text=True, check=True)
        return int(made.stdout)

    # 732 pages an array.
    assert fetched("given back") > 10_000
    assert fetched("kept") < 1_000
