"""States, leases, attempts and ends."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from isletnet.errors import ConflictError, LeaseLostError, NotStoredError, StoreUnavailableError
from isletnet.storage import jobs, leases, records
from isletnet.storage.jobs import progress_of, state_of
from isletnet.storage.layout import ImageOutcome, attempt_key, new_request_id, open_key, request_key
from isletnet.storage.leases import HEARTBEAT_S, LEASE_S, Lease
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import Clock, dispatcher, draft, ended, submit, work
from tests.storage.store_contract import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def taken(store: MemoryStore, clock: Clock, name: str = "worker") -> Lease:
    lease = dispatcher(store, clock, name).take(now=clock.now)
    assert lease is not None
    return lease


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


def test_the_oldest_is_taken_first(store: MemoryStore, clock: Clock):
    ids = []
    for _ in range(5):
        ids.append(submit(store, clock).request_id)
        clock.pass_s(0.001)
    worker = dispatcher(store, clock)
    assert [worker.take(now=clock.now).request.request_id for _ in range(5)] == ids
    assert worker.take(now=clock.now) is None


def test_of_many_workers_one_gets_it(store: MemoryStore, clock: Clock):
    for _ in range(3):
        submit(store, clock)
    barrier = threading.Barrier(16)

    def take(number: int) -> Lease | None:
        barrier.wait()
        return dispatcher(store, clock, str(number)).take(now=clock.now)

    with ThreadPoolExecutor(16) as pool:
        got = [lease for lease in pool.map(take, range(16)) if lease is not None]
    assert len({lease.request.request_id for lease in got}) == len(got) == 3
    assert {lease.attempt for lease in got} == {1}


def test_progress_is_what_the_last_attempt_says(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    assert progress_of(store, request.request_id) == {}
    lease = taken(store, clock)
    assert progress_of(store, request.request_id) == {}
    for done in range(12):
        lease = leases.beat(store, lease, now=clock.now, progress={"tiles_done_n": done})
        assert progress_of(store, request.request_id) == {"tiles_done_n": done}
    beats = list(store.list_keys(f"requests/{request.request_id}/attempts/1/beats"))
    assert len(beats) == 1


def test_signs_of_life_keep_the_lease_whatever_the_wall_clock_says(store: MemoryStore, clock: Clock):
    submit(store, clock)
    lease = taken(store, clock)
    other = dispatcher(store, clock, "other")
    for hours in range(20):
        assert other.take(now=clock.now + timedelta(hours=hours)) is None
        clock.pass_s(HEARTBEAT_S)
        lease = leases.beat(store, lease, now=clock.now - timedelta(hours=hours))


def test_outputs_are_signs_of_life_too(store: MemoryStore, clock: Clock):
    submit(store, clock)
    lease = taken(store, clock)
    other = dispatcher(store, clock, "other")
    for number in range(3):
        assert other.take(now=clock.now) is None
        clock.pass_s(LEASE_S - 1)
        leases.write_file(store, lease, f"{number}.csv", [b""])
    assert other.take(now=clock.now) is None


def test_a_worker_that_is_lost_is_replaced_and_cannot_interfere(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    stalled = leases.beat(store, taken(store, clock), now=clock.now)
    other = dispatcher(store, clock, "other")
    assert other.take(now=clock.now) is None
    clock.pass_s(LEASE_S - 0.1)
    assert other.take(now=clock.now) is None
    clock.pass_s(0.1)
    lease = other.take(now=clock.now)
    assert lease is not None
    assert lease.attempt == 2
    with pytest.raises(LeaseLostError, match="taken over"):
        leases.beat(store, stalled, now=clock.now)
    leases.write_file(store, stalled, "report.pdf", [b"late"])
    with pytest.raises(LeaseLostError, match="taken over"):
        leases.finish(store, stalled, files=[], images=[], now=clock.now)
    outcome = work(store, lease, clock)
    assert outcome.attempt == 2
    with pytest.raises(LeaseLostError):
        leases.beat(store, stalled, now=clock.now)
    removed = sweep(store, now=clock.now)
    assert attempt_key(request.request_id, 1, "files/report.pdf") in removed
    assert store.exists(attempt_key(request.request_id, 1, "claim.json"))
    assert store.read(attempt_key(request.request_id, 2, "files/report.pdf")) == b"report by 2"
    assert verify(store).is_clean


def test_a_sign_of_life_that_cannot_be_given_stops_the_work(
    store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    submit(store, clock)
    lease = taken(store, clock)

    def fails(*_: object) -> None:
        raise StoreUnavailableError("the store does not answer")

    monkeypatch.setattr(store, "create", fails)
    with pytest.raises(StoreUnavailableError):
        leases.beat(store, lease, now=clock.now)


def test_two_workers_with_one_lease_notice(store: MemoryStore, clock: Clock):
    submit(store, clock)
    lease = taken(store, clock)
    leases.beat(store, lease, now=clock.now)
    with pytest.raises(LeaseLostError, match="somebody else"):
        leases.beat(store, lease, now=clock.now)


def test_failures_are_tried_again_after_longer_and_longer_pauses(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    worker = dispatcher(store, clock)
    for attempt, pause_s in ((1, 10), (2, 20), (3, 40)):
        lease = worker.take(now=clock.now)
        assert lease is not None
        assert lease.attempt == attempt
        leases.give_up(store, lease, code="out_of_memory", message="No memory.", now=clock.now, final=False)
        assert worker.take(now=clock.now) is None
        clock.pass_s(pause_s - 0.1)
        assert worker.take(now=clock.now) is None
        assert state_of(store, request.request_id) == "running"
        clock.pass_s(0.1)
    assert worker.take(now=clock.now) is None
    assert state_of(store, request.request_id) == "dead"
    outcome = records.load_outcome(store, request.request_id)
    assert outcome is not None
    assert (outcome.code, outcome.message, outcome.attempt) == ("out_of_memory", "No memory.", None)
    assert list(store.list_keys("open")) == []


def test_a_picture_that_kills_its_workers_is_given_up_and_the_others_go_on(store: MemoryStore, clock: Clock):
    poison = submit(store, clock)
    clock.pass_s(1)
    good = submit(store, clock)
    worker = dispatcher(store, clock)
    for attempt in (1, 2, 3):
        lease = worker.take(now=clock.now)
        assert lease is not None
        assert (lease.request, lease.attempt) == (poison, attempt)
        if attempt == 1:
            second = worker.take(now=clock.now)
            assert second is not None
            assert second.request == good
            work(store, second, clock)
        assert worker.take(now=clock.now) is None
        clock.pass_s(LEASE_S)
    assert worker.take(now=clock.now) is None
    outcome = records.load_outcome(store, poison.request_id)
    assert outcome is not None
    assert (outcome.state, outcome.code) == ("dead", "worker_lost")
    assert "broke off 3 times" in outcome.message
    assert state_of(store, good.request_id) == "done"


def test_bad_input_ends_at_once(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    lease = taken(store, clock)
    leases.give_up(store, lease, code="image_damaged", message="The file is cut short.", now=clock.now, final=True)
    assert state_of(store, request.request_id) == "dead"
    assert records.load_outcome(store, request.request_id).code == "image_damaged"


def test_a_worker_that_is_told_to_stop_hands_back_unharmed(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    worker = dispatcher(store, clock)
    for attempt in range(1, 7):
        lease = worker.take(now=clock.now)
        assert lease is not None
        assert lease.attempt == attempt
        leases.release(store, lease, now=clock.now)
    work(store, worker.take(now=clock.now), clock)
    assert state_of(store, request.request_id) == "done"


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
