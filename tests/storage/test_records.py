"""Requests from the draft to the commit."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from isletnet.errors import ConflictError, GoneError, NotStoredError, ParameterError, StorageError
from isletnet.storage import records
from isletnet.storage.jobs import state_of
from isletnet.storage.layout import (
    FileRecord,
    check_request_id,
    image_key,
    image_number,
    new_request_id,
    open_key,
    owner_key,
    read_stamp,
    request_key,
    stamp,
)
from isletnet.storage.verify import verify
from tests.storage.actors import MORNING, PICTURES, Clock, draft, submit
from tests.storage.store_contract import MemoryStore

NASTY_NAMES = (
    *("../../etc/passwd", "a\r\nX: y", "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "\u202egnp.exe", "\0", ""),
    *("Žluťoučký kůň ostrůvek.tif", "a" * 300, "broken \ud800 surrogate", 'quote " and \\ slash'),
)


def test_ids_cannot_be_guessed_and_are_checked():
    ids = {new_request_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(check_request_id(one) == one and len(bytes.fromhex(one)) == 16 for one in ids)
    assert new_request_id(lambda size: "0" * size * 2) == "0" * 32
    for wrong in ("", "0" * 31, "0" * 33, "g" * 32, "A" * 32, "../" + "0" * 29, "0" * 32 + "\n", "٠" * 32):
        with pytest.raises(ParameterError, match="32 lower-case"):
            check_request_id(wrong)


def test_stamps_sort_like_moments_and_come_back():
    moments = [MORNING + timedelta(microseconds=number) for number in (0, 1, 999_999, 1_000_000, 10**12)]
    assert sorted(map(stamp, reversed(moments))) == [stamp(moment) for moment in moments]
    assert [read_stamp(stamp(moment)) for moment in moments] == moments


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("requests/x/images/12/original", 12),
        ("requests/x/attempts/3/files/images/7/labels.tif", 7),
        ("training/x/5/copy/image.tif", 5),
        ("requests/x/request.json", None),
        ("requests/x/attempts/3/files/report.pdf", None),
        ("requests/x/attempts/3/claim.json", None),
        ("outbox/x.json", None),
    ],
)
def test_a_key_tells_its_image(key: str, number: int | None):
    assert image_number(key) == number


def test_what_was_accepted_is_read_back(store: MemoryStore, clock: Clock):
    request_id = new_request_id()
    records.open_draft(store, request_id, owner="ann", now=clock.now)
    image = records.add_image(
        store, request_id, 3, iter([b"abc", b"def"]), name="a.tif", now=clock.now, facts={"um_per_px": 1.5}
    )
    assert image.sha256 == hashlib.sha256(b"abcdef").hexdigest()
    assert image.size_bytes == 6
    parameters = {"network": "islet-unet", "depth": [1, {"a": None}]}
    request = records.submit(store, request_id, now=clock.now, parameters=parameters, mail_to="a@b.cz")
    assert records.load_request(store, request_id) == request
    assert request.images == (image,)
    assert (request.owner, request.mail_to, request.submitted_utc) == ("ann", "a@b.cz", clock.now)
    assert request.parameters == parameters
    assert store.read(image_key(request_id, 3)) == b"abcdef"
    assert verify(store).is_clean


def test_the_commit_comes_last_and_its_entry_before(store: MemoryStore, clock: Clock):
    created: list[str] = []
    create = store.create
    store.create = lambda key, content: (create(key, content), created.append(key))[0]  # type: ignore[method-assign]
    request = submit(store, clock)
    folder = f"requests/{request.request_id}"
    assert created == [
        f"{folder}/draft.json",
        f"{folder}/images/0/original",
        f"{folder}/images/0/meta.json",
        f"{folder}/images/1/original",
        f"{folder}/images/1/meta.json",
        open_key(request.request_id, clock.now),
        owner_key(request),
        f"{folder}/request.json",
    ]


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_a_file_name_is_data_only(store: MemoryStore, clock: Clock, name: str):
    request_id = draft(store, clock, pictures=())
    keys = set(store.list_keys())
    records.add_image(store, request_id, 0, [b"x"], name=name, now=clock.now)
    assert set(store.list_keys()) - keys == {image_key(request_id, 0), image_key(request_id, 0, "meta.json")}
    (image,) = records.images_of(store, request_id)
    assert image.name == name.encode("utf-8", "replace").decode()[:255]


def test_sending_an_image_again_is_no_error_and_another_one_is(store: MemoryStore, clock: Clock):
    request_id = draft(store, clock)
    first = records.images_of(store, request_id)[0]
    clock.pass_s(5)
    again = records.add_image(store, request_id, 0, [PICTURES[0]], name="renamed", now=clock.now)
    assert again == first
    with pytest.raises(ConflictError, match="another image has number 0"):
        records.add_image(store, request_id, 0, [b"other"], name="x", now=clock.now)
    assert store.read(image_key(request_id, 0)) == PICTURES[0]


def test_an_upload_that_died_before_its_record_is_taken_up(store: MemoryStore, clock: Clock):
    request_id = draft(store, clock, pictures=())
    store.create(image_key(request_id, 0), b"whole")
    assert records.images_of(store, request_id) == ()
    records.add_image(store, request_id, 0, [b"whole"], name="x", now=clock.now)
    assert [image.number for image in records.images_of(store, request_id)] == [0]


def test_images_come_in_the_order_of_their_numbers(store: MemoryStore, clock: Clock):
    request_id = draft(store, clock, pictures=tuple(b"%d" % number for number in range(12)))
    assert [image.number for image in records.images_of(store, request_id)] == list(range(12))


@pytest.mark.parametrize("number", [-1, 1000])
def test_numbers_have_limits(store: MemoryStore, clock: Clock, number: int):
    with pytest.raises(ParameterError, match="0 to 999"):
        records.add_image(store, draft(store, clock), number, [b""], name="x", now=clock.now)


def test_what_cannot_be_is_told(store: MemoryStore, clock: Clock):
    unknown = new_request_id()
    with pytest.raises(NotStoredError):
        records.add_image(store, unknown, 0, [b""], name="x", now=clock.now)
    with pytest.raises(NotStoredError):
        records.submit(store, unknown, now=clock.now)
    with pytest.raises(NotStoredError):
        records.load_request(store, unknown)
    with pytest.raises(ConflictError, match="needs an image"):
        records.submit(store, draft(store, clock, pictures=()), now=clock.now)
    request = submit(store, clock)
    with pytest.raises(ConflictError, match="was submitted"):
        records.add_image(store, request.request_id, 5, [b""], name="x", now=clock.now)
    with pytest.raises(ConflictError, match="is taken"):
        records.open_draft(store, request.request_id, owner="eve", now=clock.now)


def test_submitting_again_gives_what_was_accepted(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    clock.pass_s(60)
    assert records.submit(store, request.request_id, now=clock.now, parameters={"network": "other"}) == request
    assert list(store.list_keys("open")) == [open_key(request.request_id, request.submitted_utc)]


def test_a_draft_that_was_abandoned_cannot_be_submitted(store: MemoryStore, clock: Clock):
    request_id = draft(store, clock)
    assert records.abandon(store, records.load_draft(store, request_id), now=clock.now)
    assert records.abandon(store, records.load_draft(store, request_id), now=clock.now)
    with pytest.raises(GoneError, match="expired"):
        records.submit(store, request_id, now=clock.now)
    with pytest.raises(GoneError, match="expired"):
        records.add_image(store, request_id, 5, [b""], name="x", now=clock.now)
    assert state_of(store, request_id) == "deleted"


def test_a_request_that_was_submitted_cannot_be_abandoned(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    assert not records.abandon(store, records.load_draft(store, request.request_id), now=clock.now)
    assert records.load_request(store, request.request_id) == request


def test_a_submission_that_comes_after_the_deletion_of_its_draft_is_refused(store: MemoryStore, clock: Clock):
    request_id = draft(store, clock)
    create = store.create

    def slow(key: str, content: bytes) -> None:
        if key == request_key(request_id):
            for old in list(store.list_keys("requests")):
                store.delete(old)
        create(key, content)

    store.create = slow  # type: ignore[method-assign]
    with pytest.raises(GoneError):
        records.submit(store, request_id, now=clock.now)
    assert list(store.list_keys()) == []


def test_many_submissions_with_one_key_are_one_request(store: MemoryStore, clock: Clock):
    idempotency = records.idempotency_hash("ann", "key-1")

    def send(_: int) -> str:
        offered = new_request_id()
        request_id = records.reserve(store, idempotency, request_id=offered, body_sha256="b" * 64, now=clock.now)
        records.open_draft(store, request_id, owner="ann", now=clock.now, idempotency=idempotency)
        records.add_image(store, request_id, 0, [b"picture"], name="a.tif", now=clock.now)
        return records.submit(store, request_id, now=clock.now).request_id

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(send, range(50)))
    assert len(ids) == 1
    assert len(list(store.list_keys("open"))) == 1
    assert verify(store).requests_by_state == {"queued": 1}
    with pytest.raises(ConflictError, match="other content"):
        records.reserve(store, idempotency, request_id=new_request_id(), body_sha256="c" * 64, now=clock.now)
    other = records.idempotency_hash("bob", "key-1")
    mine = new_request_id()
    assert records.reserve(store, other, request_id=mine, body_sha256="c" * 64, now=clock.now) == mine


def test_a_damaged_record_is_told_with_its_key(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    key = request_key(request.request_id)
    whole = store.read(key)
    for damaged in (whole[:-5], b"", b"[]", b"{}", whole.replace(b'"owner"', b'"0wner"')):
        store.delete(key)
        store.create(key, damaged)
        with pytest.raises(StorageError, match=r"request.json: it should hold a Request"):
            records.load_request(store, request.request_id)


def test_records_are_frozen():
    with pytest.raises(AttributeError):
        FileRecord(path="a", sha256="b", size_bytes=1).path = "c"  # type: ignore[misc]
