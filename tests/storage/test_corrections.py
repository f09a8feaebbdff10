"""Corrections: versions that nobody loses, mixes up or overwrites."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from isletnet.errors import ConflictError, GoneError, NotStoredError
from isletnet.storage import leases, retention
from isletnet.storage.consent import record_consent
from isletnet.storage.corrections import (
    add_correction,
    finish_correction,
    give_up_correction,
    settle_correction,
    write_correction_file,
)
from isletnet.storage.layout import ImageOutcome, image_key, new_request_id, request_key
from isletnet.storage.retention import RetentionPolicy, prune
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from isletnet.storage.versions import (
    contents_of,
    entry_key,
    files_of,
    find_correction,
    labels_key,
    load_correction,
    load_result,
    undecided,
    unfinished,
    versions_of,
)
from tests.storage.actors import Clock, correct, died, draft, ended, finish, submit, taken
from tests.storage.store_contract import MemoryStore


def contents(store: MemoryStore, request_id: str, version: int) -> dict[str, bytes]:
    return {path: store.read(key) for path, (key, _) in files_of(store, request_id, version).items()}


def test_a_version_has_its_own_files_and_the_newest_of_those_before(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    original = contents(store, request.request_id, 0)
    for image, labels in ((0, b"A"), (1, b"B"), (0, b"C")):
        finish(store, correct(store, request, clock, image=image, labels=labels))
    assert [(one.version, one.image, one.actor) for one in versions_of(store, request.request_id)] == [
        (1, 0, "ann"),
        (2, 1, "ann"),
        (3, 0, "ann"),
    ]
    first = {"images/0/labels.tif": b"cleaned A", "report.pdf": b"report by 1 and A"}
    second = {"images/1/labels.tif": b"cleaned B", "report.pdf": b"report by 1 and A and B"}
    third = {"images/0/labels.tif": b"cleaned C", "report.pdf": b"report by 1 and A and B and C"}
    assert contents(store, request.request_id, 0) == original
    assert contents(store, request.request_id, 1) == original | first
    assert contents(store, request.request_id, 2) == original | first | second
    assert contents(store, request.request_id, 3) == original | first | second | third
    assert store.read(labels_key(load_correction(store, request.request_id, 2))) == b"B"
    sweep(store, now=clock.now)
    assert contents(store, request.request_id, 3)["images/1/labels.tif"] == b"cleaned B"
    assert verify(store).is_clean


def test_a_version_is_seen_when_it_is_finished(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    correction = correct(store, request, clock)
    assert load_correction(store, request.request_id, 1) == correction
    assert (versions_of(store, request.request_id), unfinished(store)) == ((), (correction,))
    for version in (1, 2):
        with pytest.raises(NotStoredError, match=f"no result of version {version}"):
            files_of(store, request.request_id, version)
    sweep(store, now=clock.now)
    assert verify(store).is_clean
    finish(store, correction)
    assert (versions_of(store, request.request_id), unfinished(store)) == ((correction,), ())
    assert list(store.list_keys("corrections")) == []
    with pytest.raises(NotStoredError, match="no version 2"):
        load_correction(store, request.request_id, 2)


def test_sending_the_same_again_gives_the_same(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    first = correct(store, request, clock, labels=b"A")
    clock.pass_s(5)
    assert correct(store, request, clock, labels=b"A") == first
    second = correct(store, request, clock, labels=b"B")
    third = correct(store, request, clock, labels=b"A")
    assert [first.version, second.version, third.version] == [1, 2, 3]


def test_many_at_once_get_a_version_each(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    barrier = threading.Barrier(12)

    def send(number: int) -> int:
        barrier.wait()
        return correct(store, request, clock, image=number % 2, labels=b"%d" % number).version

    with ThreadPoolExecutor(12) as pool:
        versions = list(pool.map(send, range(12)))
    assert len(set(versions)) == 12
    for number, version in enumerate(versions):
        assert store.read(labels_key(load_correction(store, request.request_id, version))) == b"%d" % number
    for correction in unfinished(store):
        finish(store, correction)
    sweep(store, now=clock.now)
    assert verify(store).is_clean
    assert len(versions_of(store, request.request_id)) == 12


def test_two_who_finish_agree(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    correction = correct(store, request, clock)
    barrier = threading.Barrier(4)

    def finishes(_: int) -> None:
        barrier.wait()
        finish(store, correction)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(finishes, range(4)))
    late = write_correction_file(store, correction, "report.pdf", [b"by another package version"])
    assert late == files_of(store, request.request_id, 1)["report.pdf"][1]
    result = finish_correction(store, correction, files=[])
    assert result == load_result(store, request.request_id, 1)
    assert len(result.files) == 2
    sweep(store, now=clock.now)
    assert verify(store).is_clean


def test_versions_are_finished_in_their_order(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    first, second = correct(store, request, clock, labels=b"A"), correct(store, request, clock, labels=b"B")
    with pytest.raises(ConflictError, match="version 1 has no result yet"):
        finish_correction(store, second, files=[])
    finish(store, first)
    finish(store, second)
    assert len(versions_of(store, request.request_id)) == 2


def test_a_correction_that_comes_to_nothing_holds_up_no_other(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    first, second = correct(store, request, clock, labels=b"A"), correct(store, request, clock, labels=b"B")
    write_correction_file(store, first, "report.pdf", [b"half"])
    result = give_up_correction(store, first, code="labels_invalid", message="There is no islet.")
    assert (result.code, result.files) == ("labels_invalid", ())
    finish(store, second)
    assert versions_of(store, request.request_id) == (second,)
    assert contents(store, request.request_id, 2)["report.pdf"] == b"report by 1 and B"
    with pytest.raises(NotStoredError):
        files_of(store, request.request_id, 1)
    assert request_key(request.request_id, "corrections/1/files/report.pdf") in sweep(store, now=clock.now)
    assert store.exists(labels_key(first))
    assert verify(store).is_clean


def test_what_cannot_be_corrected_is_refused(store: MemoryStore, clock: Clock):
    waiting = submit(store, clock)
    with pytest.raises(ConflictError, match="only a request that is done"):
        correct(store, waiting, clock)
    lease = taken(store, clock)
    images = [ImageOutcome(number=0, state="done"), ImageOutcome(number=1, state="failed", code="x", message="X.")]
    leases.finish(store, lease, files=[], images=images, now=clock.now)
    with pytest.raises(ConflictError, match="image 1 failed"):
        correct(store, waiting, clock, image=1)
    with pytest.raises(NotStoredError, match="no image 7"):
        correct(store, waiting, clock, image=7)
    with pytest.raises(ConflictError, match="only a request that is done"):
        correct(store, died(store, clock), clock)
    for request_id in (new_request_id(), draft(store, clock)):
        with pytest.raises(NotStoredError):
            add_correction(store, request_id, 0, b"x", kind="islets", actor="ann", note="", now=clock.now)
    with pytest.raises(NotStoredError, match="the request has no result"):
        files_of(store, submit(store, clock).request_id, 0)


def test_what_was_deleted_cannot_be_corrected(store: MemoryStore, clock: Clock):
    without_picture, without_results, deleted = (ended(store, clock) for _ in range(3))
    store.delete(image_key(without_picture.request_id, 0))
    # That of the other image: the report needs it.
    store.delete(request_key(without_results.request_id, "attempts/1/files/images/1/labels.tif"))
    for request in (without_picture, without_results):
        with pytest.raises(GoneError, match="deleted by age"):
            correct(store, request, clock)
    correction = correct(store, deleted, clock)
    retention.delete_request(store, deleted.request_id, actor="ann", now=clock.now)
    with pytest.raises(NotStoredError):
        correct(store, deleted, clock)
    with pytest.raises(GoneError, match="the request was deleted"):
        finish_correction(store, correction, files=[])


def test_a_deletion_in_between_is_told(store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    request = ended(store, clock)
    create = store.create

    def deleted_meanwhile(key: str, content: bytes) -> None:
        if key.endswith("/correction.json"):
            monkeypatch.setattr(store, "create", create)
            retention.delete_request(store, request.request_id, actor="ann", now=clock.now)
        create(key, content)

    monkeypatch.setattr(store, "create", deleted_meanwhile)
    with pytest.raises(GoneError):
        correct(store, request, clock)
    sweep(store, now=clock.now)
    assert list(store.list_keys("requests")) == list(store.list_keys("corrections")) == []
    assert verify(store).is_clean


def test_a_sweep_between_labels_and_commit_costs_only_a_number(
    store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    request = ended(store, clock)
    create = store.create

    def swept_meanwhile(key: str, content: bytes) -> None:
        if key.endswith("corrections/1/correction.json"):
            monkeypatch.setattr(store, "create", create)
            assert undecided(store.list_keys()) == ((request.request_id, 1),)
            sweep(store, now=clock.now)
            assert undecided(store.list_keys()) == ()
        create(key, content)

    monkeypatch.setattr(store, "create", swept_meanwhile)
    correction = correct(store, request, clock, labels=b"A")
    assert correction.version == 2
    assert store.read(labels_key(correction)) == b"A"
    mark = find_correction(store, request.request_id, 1)
    assert mark is not None
    assert mark.is_void
    with pytest.raises(NotStoredError):
        load_correction(store, request.request_id, 1)
    finish(store, correction)
    assert versions_of(store, request.request_id) == (correction,)
    sweep(store, now=clock.now)
    assert verify(store).is_clean


def test_a_correction_whose_picture_is_gone_is_given_up(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    correction = correct(store, request, clock)
    settle_correction(store, request.request_id, 1, now=clock.now)
    assert unfinished(store) == (correction,)
    prune(store, RetentionPolicy(images_days=0), actor="pruner", now=clock.now)
    assert entry_key(request.request_id, 1) in sweep(store, now=clock.now)
    result = load_result(store, request.request_id, 1)
    assert result is not None
    assert result.code == "gone"
    assert unfinished(store) == ()
    assert verify(store).is_clean


def test_results_of_corrections_go_by_age_like_others(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    first, second = (correct(store, request, clock, image=image) for image in (0, 1))
    finish(store, first)
    finish(store, second)
    record_consent(store, request.request_id, 0, granted=True, actor="ann", text="v1", now=clock.now)
    clock.pass_days(31)
    prune(store, RetentionPolicy(), actor="pruner", now=clock.now)
    folder = request_key(request.request_id, "corrections")
    # Image 0 is held: its labels and results stay, and what is about all images.
    assert list(store.list_keys(folder)) == [
        f"{folder}/1/correction.json",
        f"{folder}/1/files/images/0/labels.tif",
        f"{folder}/1/files/report.pdf",
        f"{folder}/1/images/0/labels",
        f"{folder}/1/result.json",
        f"{folder}/2/correction.json",
        f"{folder}/2/files/report.pdf",
        f"{folder}/2/result.json",
    ]
    sweep(store, now=clock.now)
    assert verify(store).is_clean
    record_consent(store, request.request_id, 0, granted=False, actor="ann", text="v1", now=clock.now)
    prune(store, RetentionPolicy(), actor="pruner", now=clock.now)
    assert {key.partition("/")[0] for key in store.list_keys()} == {"audit", "clock", "tombstones"}
    assert verify(store).is_clean


def test_a_deletion_takes_corrections_along(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    finish(store, correct(store, request, clock, labels=b"A"))
    correct(store, request, clock, labels=b"B")
    assert len(contents_of(store, request.request_id)) == 4
    retention.erase(store, request.request_id, admin="Dr. Who", now=clock.now)
    assert {key.partition("/")[0] for key in store.list_keys()} == {"audit", "tombstones"}
    assert unfinished(store) == ()
    assert verify(store).is_clean
