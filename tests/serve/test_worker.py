"""A request from its bytes to its files, in one process and with a network that knows colours only."""

from __future__ import annotations

import json
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from colour_network import write_colour_network
from PIL import Image
from requests_at_work import Clock, picture, submit

from isletnet.errors import ConflictError, NetworkError, StoreFullError
from isletnet.networks.model import Network, load_network
from isletnet.settings import Settings
from isletnet.storage import corrections, jobs, verify
from isletnet.storage.backends.local import LocalStore
from isletnet.storage.consent import consent_of, record_consent
from isletnet.storage.layout import Outcome, Request, file_key
from isletnet.storage.records import load_outcome
from isletnet.storage.training import content_key, copies_due, copies_of
from isletnet.storage.versions import files_of
from serve.work.parameters import RequestParameters
from serve.work.tasks import Answer, CopyTask, CorrectionDone, CorrectionTask, NowDone, NowTask, Refused, Task
from serve.work.training import LABELS_FILE, PIXELS_FILE, SCALE_FILE
from serve.worker import Worker, do_here, process_one

IMAGE_FILES = {
    *("labels.tif", "islets.tif", "islets.csv", "overlay.png", "summary.json"),
    *("picture.jpg", "rois.zip", "contours.geojson"),
}
FILES_FOR_ALL = {"summary.csv", "results.xlsx", "report.pdf", "results.json"}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return load_network(str(write_colour_network(tmp_path_factory.mktemp("networks") / "colour")), engine="openvino")


class House:
    """A store and a worker in this process."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.store, self.clock = LocalStore(folder), Clock()
        self.settings = Settings(store=str(folder), network="colour")
        self._network = network

    def load(self, name: str) -> Network:
        if name != "colour":
            raise NetworkError("there is no such network", subject=name)
        return self._network

    def submit(self, *contents: bytes, **parameters: object) -> Request:
        return submit(self.store, self.clock, list(contents), **parameters)

    def work(self) -> Outcome | None:
        clock = self.clock
        return process_one(self.store, self.settings, monotonic=clock.monotonic, now=clock.now, load=self.load)

    def ended(self, *contents: bytes, **parameters: object) -> tuple[str, Outcome]:
        request = self.submit(*contents, **parameters)
        outcome = self.work()
        assert outcome is not None
        assert outcome == load_outcome(self.store, request.request_id)
        return request.request_id, outcome

    def do(self, task: Task) -> Answer:
        return do_here(self.store, self.settings, task, now=self.clock.now, load=self.load)

    def results(self, request_id: str, version: int = 0) -> dict[str, list[dict[str, object]]]:
        key, _ = files_of(self.store, request_id, version)["results.json"]
        found: dict[str, list[dict[str, object]]] = json.loads(self.store.read(key))
        return found

    def problems(self) -> list[str]:
        found = verify.verify(self.store).problems
        return [problem.message for problem in found if problem.kind != "unfinished"]


@pytest.fixture
def house(tmp_path: Path, network: Network) -> House:
    return House(tmp_path / "store", network)


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


def test_an_image_given_for_training_is_copied_without_what_a_camera_writes(house: House) -> None:
    buffer = BytesIO()
    image = Image.open(BytesIO(picture(2)))
    exif = image.getexif()
    exif[0x010E] = "patient Smith"
    image.save(buffer, "TIFF", exif=exif)
    assert b"Smith" in buffer.getvalue()
    request_id, _ = house.ended(
        buffer.getvalue(), picture(1), um_per_px=2.0, images={0: {"consent": True}}, consent_text="wording 3"
    )
    consent = consent_of(house.store, request_id, 0)
    assert consent is not None
    assert (consent.granted, consent.actor, consent.text) == (True, "ann", "wording 3")
    assert consent_of(house.store, request_id, 1) is None
    (copy,) = copies_of(house.store, request_id, 0)
    content = {file.path: house.store.read(content_key(request_id, 0, file)) for file in copy.files}
    assert set(content) == {PIXELS_FILE, LABELS_FILE, SCALE_FILE}
    assert not any(b"Smith" in one for one in content.values())
    assert (np.asarray(Image.open(BytesIO(content[PIXELS_FILE]))) == np.asarray(image)).all()
    labels = np.asarray(Image.open(BytesIO(content[LABELS_FILE])))
    assert (labels[60, 50], labels[5, 5]) == (1, 0)
    assert json.loads(content[SCALE_FILE]) == {"um_per_px": 2.0, "source": "caller"}
    assert not copies_due(house.store)
    assert not house.problems()


def test_consent_that_was_withdrawn_since_is_not_given_again(house: House) -> None:
    request = house.submit(picture(1), um_per_px=2.0, consent=True)
    for granted in (True, False):
        record_consent(house.store, request.request_id, 0, granted=granted, actor="ann", text="", now=house.clock.now())
    assert house.work() is not None
    consent = consent_of(house.store, request.request_id, 0)
    assert consent is not None
    assert not consent.granted
    assert not copies_of(house.store, request.request_id, 0)


def test_a_copy_that_cannot_be_made_costs_nobody_the_result(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def conflict(*_: object, **__: object) -> None:
        raise ConflictError("there is another training copy of this version")

    monkeypatch.setattr("serve.work.training.add_copy", conflict)
    request_id, outcome = house.ended(picture(1), um_per_px=2.0, consent=True)
    assert outcome.state == "done"
    # The next look at what is due finds it.
    assert copies_due(house.store) == ((request_id, 0, 0),)


def test_a_copy_that_is_due_is_made(house: House) -> None:
    request_id, _ = house.ended(picture(1), um_per_px=2.0)
    record_consent(house.store, request_id, 0, granted=True, actor="ann", text="", now=house.clock.now())
    ((_, number, version),) = copies_due(house.store)
    house.do(CopyTask(request_id=request_id, number=number, version=version))
    assert not copies_due(house.store)


def labels_tiff(labels: np.ndarray) -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(buffer, labels)
    return buffer.getvalue()


def correct(house: House, request_id: str, labels: np.ndarray) -> Answer:
    correction = corrections.add_correction(
        house.store,
        request_id,
        0,
        labels_tiff(labels),
        kind="classes",
        actor="bea",
        note="missed one",
        now=house.clock.now(),
    )
    return house.do(CorrectionTask(request_id=request_id, version=correction.version))


def test_a_correction_gives_the_image_and_the_files_for_all_anew(house: House) -> None:
    request_id, outcome = house.ended(picture(2), picture(1), um_per_px=2.0, consent=True)
    assert outcome.attempt is not None
    before = tifffile.imread(BytesIO(house.store.read(file_key(request_id, outcome.attempt, "images/0/labels.tif"))))
    labels = before.copy()
    labels[150:180, 200:230] = 1
    answer = correct(house, request_id, labels)
    assert isinstance(answer, CorrectionDone)
    assert answer.result.code is None
    expected = {f"images/0/{name}" for name in IMAGE_FILES} | FILES_FOR_ALL
    assert {file.path for file in answer.result.files} == expected
    old, new = (house.results(request_id, version)["samples"][0]["summary"] for version in (0, 1))
    assert isinstance(old, dict)
    assert isinstance(new, dict)
    assert (old["islets_n"], new["islets_n"]) == (3, 4)
    # The person's labels are what is trained on.
    assert [copy.version for copy in copies_of(house.store, request_id, 0)] == [0, 1]
    again = house.do(CorrectionTask(request_id=request_id, version=1))
    assert again == answer
    assert not house.problems()


def test_what_somebody_left_unfinished_is_found(house: House) -> None:
    from serve.shepherd import CHORES_S, chores

    request_id, _ = house.ended(picture(1), um_per_px=2.0)
    labels = labels_tiff(np.zeros((192, 256), np.uint8))
    now = house.clock.now()
    corrections.add_correction(house.store, request_id, 0, labels, kind="classes", actor="bea", note="", now=now)
    # Whoever committed it is at it, at first.
    assert not chores(house.store, now=now)
    (task,) = chores(house.store, now=now + timedelta(seconds=CHORES_S + 1))
    house.do(task)
    record_consent(house.store, request_id, 0, granted=True, actor="ann", text="", now=now)
    (task,) = chores(house.store, now=now + timedelta(days=1))
    assert task == CopyTask(request_id=request_id, number=0, version=1)
    house.do(task)
    assert not chores(house.store, now=now + timedelta(days=1))


def test_labels_that_cannot_be_are_told_and_hold_up_no_later_ones(house: House) -> None:
    request_id, _ = house.ended(picture(2), um_per_px=2.0)
    answer = correct(house, request_id, np.zeros((100, 100), np.uint8))
    assert isinstance(answer, CorrectionDone)
    assert answer.result.code == "parameter_invalid"
    answer = correct(house, request_id, np.zeros((192, 256), np.uint8))
    assert isinstance(answer, CorrectionDone)
    assert answer.result.code is None


def test_an_answer_at_once_has_the_numbers_and_the_rows(house: House) -> None:
    parameters = RequestParameters(um_per_px=2.0, sample_volume_ul=100.0, preparation_volume_ml=200.0)
    answer = house.do(NowTask(content=picture(3), name="x.png", parameters=parameters))
    assert isinstance(answer, NowDone)
    assert json.loads(json.dumps(answer.answer)) == answer.answer
    assert len(answer.answer["islets"]) == 3  # type: ignore[arg-type]
    sample = answer.answer["sample"]
    assert isinstance(sample, dict)
    # 200 mL hold 2000 times 100 uL.
    assert sample["preparation"]["total_islets"]["value"] == pytest.approx(3 * 2000)


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
