"""The check of a store finds everything that can be wrong with it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from isletnet.storage import audit, consent, training
from isletnet.storage.backends.local import LocalStore
from isletnet.storage.backends.s3 import S3Store
from isletnet.storage.jobs import cancel
from isletnet.storage.layout import attempt_key, image_key, new_request_id
from isletnet.storage.leases import write_file
from isletnet.storage.retention import RetentionPolicy, prune
from isletnet.storage.store import Store
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import PICTURES, Clock, correct, dispatcher, draft, ended, finish, submit
from tests.storage.store_contract import MemoryStore


@pytest.fixture
def store(clock: Clock) -> Store:
    """A store with something of everything."""
    return fill(MemoryStore(), clock)


def fill(store: Store, clock: Clock) -> Store:
    ended(store, clock)
    prune(store, RetentionPolicy(images_days=0, results_days=0), actor="pruner", now=clock.now)
    request = ended(store, clock, mail_to="ann@clinic.example")
    consent.record_consent(store, request.request_id, 0, granted=True, actor="ann", text="v1", now=clock.now)
    training.add_copy(store, request.request_id, 0, {"image.tif": b"pixels"}, now=clock.now)
    training.claim_export(store, actor="trainer", now=clock.now)
    finish(store, correct(store, request, clock, labels=b"A"))
    correct(store, request, clock, labels=b"B")
    store.create("keys/abc.json", b"{}")
    draft(store, clock, pictures=PICTURES[:1])
    submit(store, clock)
    assert dispatcher(store, clock).take(now=clock.now) is not None
    clock.pass_s(1)
    submit(store, clock)
    sweep(store, now=clock.now)
    return store


def find(store: Store, end: str) -> str:
    return next(key for key in store.list_keys() if key.endswith(end))


def damage(store: Store, key: str, content: bytes = b"damaged") -> str:
    store.delete(key)
    store.create(key, content)
    return key


def remove(store: Store, key: str) -> str:
    store.delete(key)
    return key


def add(store: Store, key: str) -> str:
    store.create(key, b"{}")
    return key


# The SHA-256 of what is given for training.
PIXELS = hashlib.sha256(b"pixels").hexdigest()


def without_consent(store: Store) -> str:
    key = next(key for key in store.list_keys("training") if "/consent/" in key)
    return remove(store, key).partition("/consent/")[0]


def forged_tombstone(store: Store) -> str:
    return damage(store, tombstone(store), b'{"kind":"record","complete":true,"audit_number":7}')


def tombstone(store: Store) -> str:
    return next(store.list_keys("tombstones"))


def without_audit(store: Store) -> str:
    """The audit has one entry here, so only the tombstone tells that it was removed."""
    store.delete(audit.entry_key(1))
    return tombstone(store)


def open_entry(store: Store) -> str:
    return next(store.list_keys("open"))


def correction_entry(store: Store) -> str:
    return next(store.list_keys("corrections"))


def begun_correction(store: Store) -> str:
    folder = find(store, "corrections/1/result.json").partition("/corrections/")[0]
    store.create(f"{folder}/corrections/3/images/0/labels", b"begun")
    return f"corrections/{folder.partition('/')[2]}/000003"


WRONGS: dict[str, tuple[str, Callable[[Store], str]]] = {
    "a stranger": ("orphan", lambda store: add(store, "holiday/x.jpg").partition("/")[0]),
    "an image that is damaged": ("damaged", lambda store: damage(store, find(store, "images/1/original"))),
    "an image that is missing": ("missing", lambda store: remove(store, find(store, "images/1/original"))),
    "an image without its record": ("missing", lambda store: remove(store, find(store, "images/1/meta.json"))),
    "a result that is damaged": ("damaged", lambda store: damage(store, find(store, "attempts/1/files/report.pdf"))),
    "a result that is missing": (
        "missing",
        lambda store: remove(store, find(store, "1/files/images/1/labels.tif")),
    ),
    "a request that is damaged": ("damaged", lambda store: damage(store, find(store, "request.json"))),
    "an outcome that is damaged": ("damaged", lambda store: damage(store, find(store, "outcome.json"))),
    "a training copy that is damaged": ("damaged", lambda store: damage(store, find(store, PIXELS))),
    "a training copy that is missing": ("missing", lambda store: remove(store, find(store, PIXELS))),
    "a training copy without consent": ("orphan", without_consent),
    "a request that nobody will find": ("missing", lambda store: remove(store, open_entry(store))),
    "an entry of nothing": ("unfinished", lambda store: add(store, f"open/20260101T000000000000Z-{new_request_id()}")),
    "an intent": ("unfinished", lambda store: add(store, f"intents/{new_request_id()}/000001.json")),
    "a key that stands for nothing": ("damaged", lambda store: add(store, "idempotency/abc.json")),
    "an entry of the audit that was removed": ("chain", without_audit),
    "an entry of the audit that is damaged": ("chain", lambda store: damage(store, audit.entry_key(1))),
    "labels that are damaged": ("damaged", lambda store: damage(store, find(store, "corrections/1/images/0/labels"))),
    "labels that are missing": ("missing", lambda store: remove(store, find(store, "corrections/2/images/0/labels"))),
    "labels that nobody committed": ("unfinished", begun_correction),
    "a corrected result that is damaged": ("damaged", lambda store: damage(store, find(store, "1/files/report.pdf"))),
    "a correction that is damaged": ("damaged", lambda store: damage(store, find(store, "2/correction.json"))),
    "a correction that nobody will find": (
        "missing",
        lambda store: remove(store, correction_entry(store)),
    ),
    "an entry of no correction": ("unfinished", lambda store: add(store, f"corrections/{new_request_id()}/000001")),
    "a request that its owner's list lacks": ("missing", lambda store: remove(store, next(store.list_keys("owners")))),
    "an entry in a list of nothing": ("unfinished", lambda store: add(store, f"owners/x/1-{new_request_id()}")),
    "an odd folder": ("orphan", lambda store: add(store, "requests/odd/request.json").rpartition("/")[0]),
    "a tombstone without a deletion": ("chain", forged_tombstone),
}


@pytest.mark.parametrize("where", ["memory", "disk", "s3"])
def test_a_store_with_something_of_everything_is_clean(clock: Clock, tmp_path: Path, s3_store: S3Store, where: str):
    store = fill({"memory": MemoryStore(), "disk": LocalStore(tmp_path), "s3": s3_store}[where], clock)
    report = verify(store)
    assert report.problems == ()
    assert report.requests_by_state == {"done": 1, "draft": 1, "queued": 1, "running": 1}
    assert report.objects_n == len(list(store.list_keys()))
    assert report.audit_entries_n == 1
    assert len(report.audit_head_sha256) == 64


def test_an_empty_store_is_clean():
    report = verify(MemoryStore())
    assert report.is_clean
    assert (report.objects_n, report.audit_entries_n) == (0, 0)


@pytest.mark.parametrize("name", WRONGS)
def test_a_wrong_is_found(store: Store, name: str):
    kind, do = WRONGS[name]
    expected = do(store)
    problems = verify(store).problems
    assert (kind, expected) in {(problem.kind, problem.key) for problem in problems}
    assert all(problem.message for problem in problems)


def test_what_a_stalled_worker_left_is_unfinished_until_it_is_swept(store: Store, clock: Clock):
    worker = dispatcher(store, clock)
    lease = worker.take(now=clock.now)
    assert lease is not None
    write_file(store, lease, "report.pdf", [b"x"])
    assert verify(store).is_clean
    cancel(store, lease.request.request_id, actor="ann", now=clock.now)
    key = attempt_key(lease.request.request_id, lease.attempt, "files/report.pdf")
    assert [(problem.kind, problem.key) for problem in verify(store).problems] == [("unfinished", key)]
    assert key in sweep(store, now=clock.now)
    assert verify(store).is_clean


def test_the_sweep_takes_nothing_that_anybody_needs(store: Store, clock: Clock):
    before = set(store.list_keys())
    assert sweep(store, now=clock.now) == ()
    assert set(store.list_keys()) == before


def test_an_upload_that_came_after_the_commit_is_swept(store: Store, clock: Clock):
    request = submit(store, clock)
    late = image_key(request.request_id, 7)
    store.create(late, b"late")
    assert [problem.key for problem in verify(store).problems] == [late]
    assert sweep(store, now=clock.now) == (late,)


def test_a_damaged_record_does_not_hide_the_others(store: Store):
    first = damage(store, find(store, "request.json"))
    second = damage(store, audit.entry_key(1))
    keys = {problem.key for problem in verify(store).problems}
    assert {first, second} <= keys
