"""A store that is away for a while: the work on a request is put off, and nothing else."""

from pathlib import Path

import pytest
from requests_at_work import HeldPool, Shepherd, coordinator

from isletnet.errors import StoreUnavailableError
from isletnet.storage import jobs, leases
from isletnet.storage.backends.local import LocalStore
from isletnet.storage.records import load_outcome
from serve.work.tasks import Dropped


@pytest.fixture
def shepherd(tmp_path: Path) -> Shepherd:
    return Shepherd(tmp_path)


def unavailable(*_: object, **__: object) -> None:
    raise StoreUnavailableError("it does not answer")


def test_a_store_that_does_not_answer_stops_nothing_for_good(
    shepherd: Shepherd, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = shepherd.submit(1)
    with monkeypatch.context() as broken:
        broken.setattr(LocalStore, "list_keys", unavailable)
        shepherd.step()
    shepherd.step()
    assert shepherd.coordinator.requests == (request.request_id,)
    with monkeypatch.context() as broken:
        broken.setattr(LocalStore, "create", unavailable)
        shepherd.step(6.0)
    assert not shepherd.coordinator.requests
    for ticket in list(shepherd.pool.running):
        shepherd.pool.answer(ticket, Dropped())
    shepherd.step()
    shepherd.finish()
    assert jobs.state_of(shepherd.store, request.request_id) == "done"


def outage(shepherd: Shepherd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store be away until the work has been dropped."""
    with monkeypatch.context() as broken:
        for name in ("create", "exists", "list_keys"):
            broken.setattr(LocalStore, name, unavailable)
        shepherd.step(6.0)
        for ticket in list(shepherd.pool.running):
            shepherd.pool.answer(ticket, Dropped())
        shepherd.step()
        assert not shepherd.coordinator.requests


def test_a_store_that_was_away_costs_a_request_no_wait(shepherd: Shepherd, monkeypatch: pytest.MonkeyPatch) -> None:
    request = shepherd.submit(1)
    shepherd.step()
    outage(shepherd, monkeypatch)
    shepherd.step()
    assert shepherd.coordinator.requests == (request.request_id,)
    assert max(jobs.attempts_of(shepherd.store, request.request_id)) == 2


def test_a_store_that_is_away_again_and_again_is_no_failure_of_a_request(
    shepherd: Shepherd, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = shepherd.submit(1)
    for _ in range(leases.MOST_ATTEMPTS + 1):
        shepherd.step()
        shepherd.step(leases.LEASE_S)
        outage(shepherd, monkeypatch)
    shepherd.step()
    shepherd.step(leases.LEASE_S)
    shepherd.finish()
    outcome = load_outcome(shepherd.store, request.request_id)
    assert outcome is not None
    assert (outcome.state, outcome.attempt) == ("done", leases.MOST_ATTEMPTS + 2)


def test_what_breaks_off_ever_again_ends(shepherd: Shepherd, monkeypatch: pytest.MonkeyPatch) -> None:
    request = shepherd.submit(1)
    for _ in range(leases.MOST_LOST):
        shepherd.step()
        shepherd.step(leases.LEASE_S)
        assert shepherd.coordinator.requests == (request.request_id,)
        outage(shepherd, monkeypatch)
    shepherd.step()
    shepherd.step(leases.LEASE_S)
    assert jobs.state_of(shepherd.store, request.request_id) == "dead"


def test_what_somebody_else_has_taken_meanwhile_stays_theirs(
    shepherd: Shepherd, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = shepherd.submit(1)
    shepherd.step()
    other = coordinator(shepherd.store, shepherd.clock, HeldPool(), "other")
    other.step()
    with monkeypatch.context() as broken:
        broken.setattr(LocalStore, "create", unavailable)
        shepherd.step(6.0)
    shepherd.clock.pass_s(leases.LEASE_S + 1)
    other.step()
    assert other.requests == (request.request_id,)
    for ticket in list(shepherd.pool.running):
        shepherd.pool.answer(ticket, Dropped())
    shepherd.step()
    assert not shepherd.coordinator.requests
    assert "end.json" not in jobs.attempts_of(shepherd.store, request.request_id)[1]
