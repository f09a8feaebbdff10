"""Requests whose shepherd was killed: taken at once where its end can be seen, and not counted as their own failure."""

import subprocess
import sys

import pytest

from isletnet.storage import leases, records
from isletnet.storage.jobs import state_of
from isletnet.storage.layout import attempt_key
from isletnet.storage.leases import FIRST_PAUSE_S, LEASE_S, MOST_LOST, Dispatcher, Lease
from isletnet.storage.processes import process_mark
from isletnet.storage.store import Store
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import Clock, dispatcher, submit, work
from tests.storage.store_contract import MemoryStore


@pytest.fixture(scope="module")
def ended_mark() -> str:
    """Give the mark of a process that is no more."""
    tell = "from isletnet.storage.processes import process_mark; print(process_mark())"
    return subprocess.run([sys.executable, "-c", tell], check=True, capture_output=True, text=True).stdout.strip()


def taken_by(store: Store, clock: Clock, process: str | None) -> Lease:
    lease = Dispatcher(store, "gone", monotonic=clock.monotonic, process=process).take(now=clock.now)
    assert lease is not None
    return lease


def test_what_a_killed_shepherd_had_is_taken_at_once(store: MemoryStore, clock: Clock, ended_mark: str):
    request = submit(store, clock)
    stalled = leases.beat(store, taken_by(store, clock, ended_mark), now=clock.now)
    lease = dispatcher(store, clock).take(now=clock.now)
    assert lease is not None
    assert lease.attempt == 2
    with pytest.raises(leases.LeaseLostError, match="taken over"):
        leases.beat(store, stalled, now=clock.now)
    assert work(store, lease, clock).attempt == 2
    assert state_of(store, request.request_id) == "done"
    sweep(store, now=clock.now)
    assert verify(store).is_clean


@pytest.mark.parametrize("is_marked", [True, False])
def test_a_shepherd_that_lives_or_is_not_known_keeps_its_lease(store: MemoryStore, clock: Clock, is_marked: bool):
    submit(store, clock)
    taken_by(store, clock, process_mark() if is_marked else None)
    other = dispatcher(store, clock)
    assert other.take(now=clock.now) is None
    clock.pass_s(LEASE_S)
    assert other.take(now=clock.now) is not None


def test_a_damaged_claim_is_waited_for(store: MemoryStore, clock: Clock, ended_mark: str):
    request = submit(store, clock)
    taken_by(store, clock, ended_mark)
    key = attempt_key(request.request_id, 1, "claim.json")
    store.delete(key)
    store.create(key, b"{")
    other = dispatcher(store, clock)
    assert other.take(now=clock.now) is None
    clock.pass_s(LEASE_S)
    assert other.take(now=clock.now) is not None


def test_shepherds_that_die_again_and_again_are_no_fault_of_a_request(
    store: MemoryStore, clock: Clock, ended_mark: str
):
    request = submit(store, clock)
    worker = Dispatcher(store, "gone", monotonic=clock.monotonic, process=ended_mark)
    assert worker.take(now=clock.now) is not None
    for losses in range(1, MOST_LOST):
        pause_s = min(LEASE_S, FIRST_PAUSE_S * (losses - 1))
        if pause_s:
            assert worker.take(now=clock.now) is None
            clock.pass_s(0.001)
            assert worker.take(now=clock.now) is None
            clock.pass_s(pause_s)
        lease = worker.take(now=clock.now)
        assert lease is not None
        assert lease.attempt == losses + 1
    assert worker.take(now=clock.now) is None
    clock.pass_s(0.001)
    assert worker.take(now=clock.now) is None
    clock.pass_s(LEASE_S)
    assert worker.take(now=clock.now) is None
    outcome = records.load_outcome(store, request.request_id)
    assert outcome is not None
    assert (outcome.state, outcome.code) == ("dead", "worker_lost")
    assert f"broke off {MOST_LOST} times" in outcome.message


def test_failures_still_count_among_losses(store: MemoryStore, clock: Clock, ended_mark: str):
    def patiently(worker: Dispatcher) -> Lease | None:
        for _ in range(3):
            lease = worker.take(now=clock.now)
            if lease is not None:
                return lease
            clock.pass_s(100)
        return None

    request = submit(store, clock)
    gone = Dispatcher(store, "gone", monotonic=clock.monotonic, process=ended_mark)
    living = Dispatcher(store, "living", monotonic=clock.monotonic, process=process_mark())
    for failures in range(1, leases.MOST_ATTEMPTS + 1):
        assert patiently(gone) is not None
        lease = patiently(living)
        assert lease is not None
        assert lease.attempt == 2 * failures
        leases.give_up(store, lease, code="no_memory", message="No memory.", now=clock.now, final=False)
    assert patiently(living) is None
    outcome = records.load_outcome(store, request.request_id)
    assert outcome is not None
    assert (outcome.state, outcome.code) == ("dead", "no_memory")
