"""Leases and attempts: who works on what, and for how long."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from isletnet.errors import LeaseLostError, StoreUnavailableError
from isletnet.storage import leases, records
from isletnet.storage.jobs import progress_of, state_of
from isletnet.storage.layout import attempt_key
from isletnet.storage.leases import HEARTBEAT_S, LEASE_S, Lease
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import Clock, dispatcher, submit, taken, work
from tests.storage.crash import CrashStore
from tests.storage.store_contract import MemoryStore


def test_the_oldest_is_taken_first(store: MemoryStore, clock: Clock):
    ids = []
    for _ in range(5):
        ids.append(submit(store, clock).request_id)
        clock.pass_s(0.001)
    worker = dispatcher(store, clock)
    assert [worker.take(now=clock.now).request.request_id for _ in range(5)] == ids
    assert worker.take(now=clock.now) is None


def test_what_is_held_is_not_looked_at_again(store: MemoryStore, clock: Clock):
    worker = dispatcher(store, clock)
    submit(store, clock)
    held = worker.take(now=clock.now)
    assert held is not None
    looked = CrashStore(store, at=10_000, moment="before")
    worker = dispatcher(looked, clock)
    assert worker.take(now=clock.now, held=[held.request.request_id]) is None
    assert looked.operations_n == 1
    # Others watch over it.
    assert worker.take(now=clock.now) is None
    assert looked.operations_n > 2
    clock.pass_s(LEASE_S + 1)
    retaken = worker.take(now=clock.now)
    assert retaken is not None
    assert (retaken.request.request_id, retaken.attempt) == (held.request.request_id, 2)


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
