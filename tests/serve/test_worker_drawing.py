"""Files that are drawn when somebody asks: once, from what is stored, and gone when that is gone."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import tifffile
from requests_at_work import picture
from test_worker_corrections import correct
from worker_house import DRAWN_OF_ALL, DRAWN_OF_IMAGE, House

import isletnet.storage.drawn as rooms
from isletnet.errors import GoneError
from isletnet.storage.drawn import find_drawn, keep_drawn, source_of
from isletnet.storage.records import load_outcome
from isletnet.storage.retention import RetentionPolicy, delete_request, erase, prune
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from isletnet.storage.versions import files_of
from serve.work.tasks import Answer, Broken, CorrectionDone, DrawDone, DrawTask, Refused


def draw(house: House, request_id: str, source: str, version: int = 0) -> Answer:
    return house.do(DrawTask(request_id=request_id, version=version, source=source))


def drawn(house: House, request_id: str, source: str, version: int = 0) -> dict[str, bytes]:
    """What is drawn from a file, by the path of each."""
    found = find_drawn(house.store, files_of(house.store, request_id, version), source)
    return {path: house.store.read(key) for path, (key, _) in (found or {}).items()}


def keys(house: House, request_id: str) -> set[str]:
    return {key for key in house.store.list_keys() if request_id in key}


def test_an_image_s_files_are_drawn_without_those_of_others(house: House) -> None:
    request_id, _ = house.ended(picture(2), picture(1), um_per_px=2.0)
    assert draw(house, request_id, "images/1/summary.json") == DrawDone()
    assert set(drawn(house, request_id, "images/1/summary.json")) == {f"images/1/{name}" for name in DRAWN_OF_IMAGE}
    assert not drawn(house, request_id, "images/0/summary.json")
    assert not drawn(house, request_id, "results.json")
    assert verify(house.store).is_clean
    assert not sweep(house.store, now=house.clock.now())


def test_the_report_is_drawn_with_the_files_of_all_images(house: House) -> None:
    request_id, _ = house.ended(picture(2), b"no picture", picture(1), um_per_px=2.0)
    assert draw(house, request_id, "results.json") == DrawDone()
    whole = drawn(house, request_id, "results.json")
    assert set(whole) == DRAWN_OF_ALL
    assert whole["report.pdf"].startswith(b"%PDF")
    assert all(drawn(house, request_id, f"images/{number}/summary.json") for number in (0, 2))
    assert verify(house.store).is_clean


def test_what_is_drawn_stays_as_it_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id, _ = house.ended(picture(2), um_per_px=2.0)
    draw(house, request_id, "results.json")
    before = keys(house, request_id)
    first = {key: house.store.read(key) for key in before}

    def never(*_: object, **__: object) -> object:
        raise AssertionError("it was drawn again")

    monkeypatch.setattr("serve.work.drawing.drawn_image_files", never)
    monkeypatch.setattr("serve.work.drawing.write_drawn", never)
    assert draw(house, request_id, "results.json") == DrawDone()
    assert {key: house.store.read(key) for key in keys(house, request_id)} == first


def test_one_who_was_stopped_in_the_middle_is_followed_by_another(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id, _ = house.ended(picture(2), um_per_px=2.0)
    with monkeypatch.context() as patched:
        # The process ends when all files are there and the record is not.
        patched.setattr(rooms, "dump", lambda record: 1 / 0)
        assert isinstance(draw(house, request_id, "images/0/summary.json"), Broken)
    assert not drawn(house, request_id, "images/0/summary.json")
    # Somebody may be at it at this moment, so it is no rubbish.
    assert not sweep(house.store, now=house.clock.now())
    assert verify(house.store).is_clean
    assert draw(house, request_id, "images/0/summary.json") == DrawDone()
    assert verify(house.store).is_clean


def test_a_damaged_drawing_is_found(house: House) -> None:
    request_id, _ = house.ended(picture(2), um_per_px=2.0)
    draw(house, request_id, "results.json")
    (report,) = (key for key in keys(house, request_id) if key.endswith("report.pdf"))
    house.store.delete(report)
    house.store.create(report, b"other bytes")
    (problem,) = verify(house.store).problems
    assert (problem.kind, problem.key) == ("damaged", report)


def test_a_correction_has_drawings_of_its_own_where_something_changed(house: House) -> None:
    request_id, outcome = house.ended(picture(2), picture(1), um_per_px=2.0)
    draw(house, request_id, "results.json")
    before = {source: drawn(house, request_id, source) for source in ("images/0/summary.json", "results.json")}
    other = drawn(house, request_id, "images/1/summary.json")
    key = files_of(house.store, request_id, 0)["images/0/labels.tif"][0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "labels.tif")
        path.write_bytes(house.store.read(key))
        labels = tifffile.imread(path)
    labels[150:180, 200:230] = 1
    assert isinstance(correct(house, request_id, labels), CorrectionDone)
    assert draw(house, request_id, "results.json", version=1) == DrawDone()
    for source, old in before.items():
        new = drawn(house, request_id, source, version=1)
        assert set(new) == set(old)
        assert all(new[path] != old[path] for path in old)
        assert drawn(house, request_id, source) == old
    assert drawn(house, request_id, "images/1/summary.json", version=1) == other
    assert verify(house.store).is_clean
    assert not sweep(house.store, now=house.clock.now())


def test_drawings_go_with_what_they_are_drawn_from(house: House) -> None:
    policy = RetentionPolicy(images_days=1.0, results_days=2.0)
    request_id, _ = house.ended(picture(2), um_per_px=2.0)
    prune(house.store, policy, actor="pruner", now=house.clock.now())
    house.clock.pass_s(86_400)
    prune(house.store, policy, actor="pruner", now=house.clock.now())
    # The picture as it came is gone; a drawing needs it no more.
    assert draw(house, request_id, "results.json") == DrawDone()
    house.clock.pass_s(86_400)
    prune(house.store, policy, actor="pruner", now=house.clock.now())
    assert not [key for key in keys(house, request_id) if "/files/" in key]
    answer = draw(house, request_id, "results.json")
    assert isinstance(answer, Refused)
    assert answer.code in {"gone", "not_found"}
    assert verify(house.store).is_clean


@pytest.mark.parametrize("how", ["asked", "erased"])
def test_nothing_is_left_of_a_request_that_is_deleted(house: House, how: str) -> None:
    request_id, _ = house.ended(picture(2), um_per_px=2.0)
    draw(house, request_id, "results.json")
    now = house.clock.now()
    if how == "asked":
        delete_request(house.store, request_id, actor="ann", now=now)
    else:
        erase(house.store, request_id, admin="eve", now=now)
    assert not [key for key in keys(house, request_id) if key.startswith("requests/")]
    assert verify(house.store).is_clean


def test_a_result_that_is_deleted_meanwhile_leaves_no_drawing(house: House) -> None:
    request_id, _ = house.ended(picture(2), um_per_px=2.0)
    files = files_of(house.store, request_id, 0)
    erase(house.store, request_id, admin="eve", now=house.clock.now())
    with pytest.raises(GoneError):
        keep_drawn(house.store, files, "results.json", {"report.pdf": [b"late"]})
    assert not [key for key in keys(house, request_id) if key.startswith("requests/")]
    # One whose process ends before it sees that leaves what the next sweep removes.
    late = files["results.json"][0].replace("results.json", "report.pdf")
    house.store.create(late, b"late")
    assert late in sweep(house.store, now=house.clock.now())


def test_files_of_the_days_when_all_was_drawn_at_once_are_not_taken_for_newer_ones(house: House) -> None:
    request_id, _ = house.ended(picture(2), picture(1), um_per_px=2.0)
    outcome = load_outcome(house.store, request_id)
    assert outcome is not None
    files = {file.path: (f"old/{file.path}", file) for file in outcome.files}
    olds = ("report.pdf", "images/0/overlay.png", "images/1/overlay.png")
    files |= {path: (f"old/{path}", files["results.json"][1]) for path in olds}
    newer = [files["results.json"][1], files["images/0/summary.json"][1]]
    kept = rooms.without_outdated(files, newer)
    assert files.keys() - kept.keys() == {"report.pdf", "images/0/overlay.png"}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("report.pdf", "results.json"),
        ("results.json", None),
        ("images/3/overlay.png", "images/3/summary.json"),
        ("images/3/report.pdf", None),
        ("overlay.png", None),
        ("images/3/labels.tif", None),
    ],
)
def test_a_file_is_drawn_from_what_was_measured_in_the_same_place(path: str, source: str | None) -> None:
    assert source_of(path) == source
