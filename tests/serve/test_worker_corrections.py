"""What a worker does after the end of a request: corrections, and copies for training."""

from __future__ import annotations

import json
from datetime import timedelta
from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image
from requests_at_work import picture
from worker_house import FILES_FOR_ALL, IMAGE_FILES, House

from isletnet.errors import ConflictError
from isletnet.storage import corrections
from isletnet.storage.consent import consent_of, record_consent
from isletnet.storage.layout import file_key
from isletnet.storage.training import content_key, copies_due, copies_of
from serve.work.tasks import Answer, CopyTask, CorrectionDone, CorrectionTask
from serve.work.training import LABELS_FILE, PIXELS_FILE, SCALE_FILE


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
