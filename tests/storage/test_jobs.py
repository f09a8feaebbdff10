"""States, and how requests end."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from isletnet.errors import ConflictError, LeaseLostError, NotStoredError
from isletnet.storage import jobs, leases, records
from isletnet.storage.jobs import state_of
from isletnet.storage.layout import ImageOutcome, new_request_id, open_key, request_key
from isletnet.storage.leases import Lease
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import Clock, dispatcher, draft, ended, submit, taken, work
from tests.storage.store_contract import MemoryStore


def test_a_request_goes_through_its_states(store: MemoryStore, clock: Clock):
    with pytest.raises(NotStoredError):
        state_of(store, new_request_id())
    request_id = draft(store, clock)
    assert state_of(store, request_id) == "draft"
    records.submit(store, request_id, now=clock.now)
    assert state_of(store, request_id) == "queued"
    lease = taken(store, clock)
    assert state_of(store, request_id) == "running"
    outcome = work(store, lease, clock)
    assert state_of(store, request_id) == "done"
    assert records.load_outcome(store, request_id) == outcome
    assert [file.path for file in outcome.files] == ["images/0/labels.tif", "images/1/labels.tif", "report.pdf"]
    assert list(store.list_keys("open")) == []
    assert {problem.kind for problem in verify(store).problems} == {"unfinished"}
    sweep(store, now=clock.now)
    assert verify(store).is_clean


def test_bad_input_ends_at_once(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    lease = taken(store, clock)
    leases.give_up(store, lease, code="image_damaged", message="The file is cut short.", now=clock.now, final=True)
    assert state_of(store, request.request_id) == "dead"
    assert records.load_outcome(store, request.request_id).code == "image_damaged"


def test_some_images_may_fail_while_the_rest_is_done(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    lease = taken(store, clock)
    file = leases.write_file(store, lease, "images/0/labels.tif", [b"x"])
    images = [
        ImageOutcome(number=0, state="done"),
        ImageOutcome(number=1, state="failed", code="image_damaged", message="The file is cut short."),
    ]
    leases.finish(store, lease, files=[file], images=images, now=clock.now)
    assert records.load_outcome(store, request.request_id).images == tuple(images)


def test_cancelling_stops_the_work_and_can_be_said_twice(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    lease = taken(store, clock)
    outcome = jobs.cancel(store, request.request_id, actor="ann", now=clock.now)
    assert (outcome.state, outcome.actor) == ("cancelled", "ann")
    assert jobs.cancel(store, request.request_id, actor="ann", now=clock.now) == outcome
    with pytest.raises(LeaseLostError, match="has ended"):
        leases.beat(store, lease, now=clock.now)
    with pytest.raises(LeaseLostError, match="has ended"):
        leases.finish(store, lease, files=[], images=[], now=clock.now)
    assert taken_or_none(store, clock) is None
    with pytest.raises(ConflictError, match="ended already"):
        jobs.cancel(store, ended(store, clock).request_id, actor="ann", now=clock.now)
    with pytest.raises(NotStoredError):
        jobs.cancel(store, draft(store, clock), actor="ann", now=clock.now)


def taken_or_none(store: MemoryStore, clock: Clock) -> Lease | None:
    return dispatcher(store, clock).take(now=clock.now)


def test_ends_race_and_one_of_them_is_it(store: MemoryStore, clock: Clock):
    for _ in range(20):
        request = submit(store, clock)
        lease = taken(store, clock)
        barrier = threading.Barrier(3)

        def finishes(lease: Lease = lease, barrier: threading.Barrier = barrier) -> str | None:
            barrier.wait()
            try:
                return leases.finish(store, lease, files=[], images=[], now=clock.now).state
            except LeaseLostError:
                return None

        def cancels(request_id: str = request.request_id, barrier: threading.Barrier = barrier) -> str | None:
            barrier.wait()
            try:
                return jobs.cancel(store, request_id, actor="ann", now=clock.now).state
            except ConflictError:
                return None

        def fails(lease: Lease = lease, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            leases.give_up(store, lease, code="x", message="X.", now=clock.now, final=True)

        with ThreadPoolExecutor(3) as pool:
            claims = {future.result() for future in [pool.submit(f) for f in (finishes, cancels, fails)]} - {None}
        assert claims <= {state_of(store, request.request_id)}
        assert list(store.list_keys("open")) == []


def test_a_deleted_request_stops_its_worker(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    lease = taken(store, clock)
    store.delete(request_key(request.request_id))
    with pytest.raises(LeaseLostError, match="was deleted"):
        leases.beat(store, lease, now=clock.now)


def test_stale_entries_of_the_index_are_cleared_by_looking(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    waiting = submit(store, clock)
    being_submitted = draft(store, clock)
    now = clock.now
    stale = [
        open_key(request.request_id, request.submitted_utc),
        open_key(waiting.request_id, now - timedelta(hours=1)),
        open_key(new_request_id(), now),
    ]
    kept = [open_key(being_submitted, now - timedelta(minutes=1)), open_key(waiting.request_id, waiting.submitted_utc)]
    for key in [*stale, kept[0]]:
        store.create(key, b"")
    assert dispatcher(store, clock).take(now=now).request == waiting
    sweep(store, now=now)
    assert sorted(store.list_keys("open")) == sorted(kept)
