"""Who does what when: with workers that answer when they are told to, on a real store."""

from pathlib import Path
from typing import Any

import pytest
from requests_at_work import HeldPool, Shepherd, coordinator, failed

from isletnet.storage import jobs, leases
from isletnet.storage.records import load_outcome
from isletnet.storage.store import Store
from serve.work.parameters import RequestParameters
from serve.work.tasks import Answer, Broken, Dropped, NowTask, Refused

LOST = Broken(code="worker_lost", message="The worker broke down.")
NOW = NowTask(content=b"", name="now", parameters=RequestParameters())


@pytest.fixture
def shepherd(tmp_path: Path) -> Shepherd:
    return Shepherd(tmp_path)


def test_oldest_request_first_and_no_worker_idles_at_its_end(shepherd: Shepherd) -> None:
    old, young = shepherd.submit(3), shepherd.submit(2)
    shepherd.step()
    assert shepherd.pool.numbers == [0, 1]
    assert shepherd.coordinator.requests == (old.request_id,)
    shepherd.answer_all()
    # The last image of the old one leaves a worker for the young one.
    assert shepherd.pool.numbers == [2, 0]
    assert shepherd.coordinator.requests == (old.request_id, young.request_id)
    shepherd.answer_all()
    assert shepherd.pool.numbers == [None, 1]
    shepherd.finish()
    for request in (old, young):
        assert jobs.state_of(shepherd.store, request.request_id) == "done"


def test_no_request_is_taken_while_all_workers_are_busy(shepherd: Shepherd) -> None:
    shepherd.submit(2)
    waiting = shepherd.submit(1)
    shepherd.step()
    assert jobs.state_of(shepherd.store, waiting.request_id) == "queued"


def test_a_bad_image_leaves_the_others_their_result(shepherd: Shepherd) -> None:
    request = shepherd.submit(2)
    shepherd.step()
    good, bad = shepherd.pool.running
    shepherd.pool.answer(bad, failed(1))
    shepherd.pool.answer(good)
    shepherd.step()
    shepherd.finish()
    outcome = load_outcome(shepherd.store, request.request_id)
    assert outcome is not None
    assert (outcome.state, [one.state for one in outcome.images]) == ("done", ["done", "failed"])
    assert outcome.images[1].message == "It is broken."


@pytest.mark.parametrize(
    ("codes", "code", "message"),
    [
        (["image_damaged"], "image_damaged", "It is broken."),
        (
            ["image_damaged", "image_damaged"],
            "image_damaged",
            "None of the 2 images could be analysed. The first one: It is broken.",
        ),
        (
            ["image_damaged", "worker_lost"],
            "all_images_failed",
            "None of the 2 images could be analysed. The first one: It is broken.",
        ),
    ],
)
def test_without_any_result_the_request_is_dead_with_the_reason(
    shepherd: Shepherd, codes: list[str], code: str, message: str
) -> None:
    request = shepherd.submit(len(codes))
    shepherd.step()
    for ticket, (number, one) in zip(list(shepherd.pool.running), enumerate(codes), strict=True):
        shepherd.pool.answer(ticket, failed(number, one))
    shepherd.step()
    outcome = load_outcome(shepherd.store, request.request_id)
    assert outcome is not None
    assert (outcome.state, outcome.code, outcome.message) == ("dead", code, message)
    assert not shepherd.coordinator.requests


def test_an_image_that_kills_its_worker_is_tried_three_times_with_pauses(shepherd: Shepherd) -> None:
    request = shepherd.submit(2)
    shepherd.step()
    poison, good = shepherd.pool.running
    shepherd.pool.answer(good)
    for pause_s in (1.0, 2.0):
        shepherd.pool.answer(poison, LOST)
        shepherd.step()
        shepherd.step(pause_s - 0.1)
        assert not shepherd.pool.running
        shepherd.step(0.2)
        (poison,) = shepherd.pool.running
    shepherd.pool.answer(poison, LOST)
    shepherd.step()
    shepherd.finish()
    outcome = load_outcome(shepherd.store, request.request_id)
    assert outcome is not None
    assert [(one.state, one.code) for one in outcome.images] == [("failed", "worker_lost"), ("done", None)]


def test_an_end_that_breaks_off_is_tried_again_then_another_attempt(shepherd: Shepherd) -> None:
    request = shepherd.submit(1)
    shepherd.step()
    shepherd.answer_all()
    for _ in range(3):
        shepherd.answer_all(LOST)
        assert not shepherd.pool.running
        shepherd.step(5.0)
    assert jobs.state_of(shepherd.store, request.request_id) == "running"
    assert not shepherd.coordinator.requests
    shepherd.step(leases.FIRST_PAUSE_S + 1)
    shepherd.finish()
    outcome = load_outcome(shepherd.store, request.request_id)
    assert outcome is not None
    assert outcome.attempt == 2


def test_a_store_that_fails_a_worker_puts_the_request_off(shepherd: Shepherd) -> None:
    request = shepherd.submit(1)
    shepherd.step()
    shepherd.answer_all(Broken(code="storage_full", message="No space is left.", is_store=True))
    assert not shepherd.coordinator.requests
    shepherd.step(leases.FIRST_PAUSE_S + 1)
    assert shepherd.coordinator.requests == (request.request_id,)


def test_parameters_that_cannot_be_end_the_request(shepherd: Shepherd) -> None:
    request = shepherd.submit(1)
    shepherd.step()
    shepherd.answer_all(Refused(code="parameter_invalid", message="1 parameters cannot be."))
    outcome = load_outcome(shepherd.store, request.request_id)
    assert outcome is not None
    assert (outcome.state, outcome.code) == ("dead", "parameter_invalid")


def test_a_cancelled_request_is_dropped_at_the_next_look(shepherd: Shepherd) -> None:
    request = shepherd.submit(3)
    shepherd.step()
    jobs.cancel(shepherd.store, request.request_id, actor="ann", now=shepherd.clock.now())
    shepherd.step(0.1, look=True)
    assert sorted(shepherd.pool.dropped) == sorted(shepherd.pool.running)
    assert not shepherd.coordinator.requests
    for ticket in list(shepherd.pool.running):
        shepherd.pool.answer(ticket, Dropped())
    shepherd.step()
    assert not shepherd.pool.running


def test_signs_of_life_keep_others_away_and_tell_the_progress(shepherd: Shepherd) -> None:
    request = shepherd.submit(2)
    other = coordinator(shepherd.store, shepherd.clock, HeldPool(), "other")
    shepherd.step()
    shepherd.pool.told = {next(iter(shepherd.pool.running)): ("segmenting, tile 1", 0.5)}
    for _ in range(20):
        shepherd.step(4.0)
        other.step()
    assert not other.requests
    progress = jobs.progress_of(shepherd.store, request.request_id)
    assert progress["images"]["0"] == {"state": "running", "fraction": 0.5, "stage": "segmenting, tile 1"}
    assert progress["fraction"] == pytest.approx(0.9 * 0.5 / 2)


def test_beats_do_not_follow_every_word_of_a_worker(shepherd: Shepherd) -> None:
    request = shepherd.submit(1)
    shepherd.step()
    for number in range(20):
        shepherd.pool.told = {next(iter(shepherd.pool.running)): (f"tile {number}", 0.5)}
        shepherd.step(0.1)
    # Beats 1 and 2 within two seconds; the first was deleted by the second.
    beats = [key for key in shepherd.store.list_keys(f"requests/{request.request_id}") if "/beats/" in key]
    assert len(beats) == 1
    assert int(beats[0].rpartition("/")[2]) <= 2


def test_on_a_slow_store_beats_leave_time_for_the_work(shepherd: Shepherd, monkeypatch: pytest.MonkeyPatch) -> None:
    beaten_s: list[float] = []

    def slow_beat(store: Store, lease: leases.Lease, **told: Any) -> leases.Lease:
        beaten_s.append(shepherd.clock.monotonic_s)
        shepherd.clock.pass_s(0.6)
        return lease

    shepherd.submit(1)
    shepherd.step()
    monkeypatch.setattr(leases, "beat", slow_beat)
    for number in range(40):
        shepherd.pool.told = {next(iter(shepherd.pool.running)): (f"tile {number}", 0.5)}
        shepherd.step(0.5)
    pauses_s = [later - earlier for earlier, later in zip(beaten_s, beaten_s[1:], strict=False)]
    assert len(pauses_s) >= 5
    # A fifth of the time at most, and never so late that others take the work.
    assert 3.0 <= min(pauses_s) <= max(pauses_s) <= leases.HEARTBEAT_S


def test_stopping_hands_requests_back_at_once(shepherd: Shepherd) -> None:
    request = shepherd.submit(1)
    shepherd.step()
    shepherd.coordinator.stop()
    other = coordinator(shepherd.store, shepherd.clock, HeldPool(), "other")
    other.step()
    assert other.requests == (request.request_id,)


def test_who_was_overtaken_drops_the_work(shepherd: Shepherd) -> None:
    request = shepherd.submit(1)
    shepherd.step()
    other_pool = HeldPool()
    other = coordinator(shepherd.store, shepherd.clock, other_pool, "other")
    other.step()
    shepherd.clock.pass_s(leases.LEASE_S + 1)
    other.step()
    assert other.requests == (request.request_id,)
    shepherd.answer_all()
    shepherd.step()
    assert not shepherd.coordinator.requests
    assert not shepherd.pool.running


def test_who_waits_for_an_answer_goes_first(shepherd: Shepherd) -> None:
    heard: list[Answer] = []
    shepherd.submit(4)
    shepherd.step()
    shepherd.coordinator.ask(NOW, heard.append)
    assert shepherd.coordinator.asked_n == 1
    first, second = shepherd.pool.running
    shepherd.pool.answer(first)
    shepherd.step()
    asked = next(ticket for ticket, task in shepherd.pool.running.items() if task is NOW)
    shepherd.pool.answer(asked, LOST)
    shepherd.step()
    assert heard == [LOST]
    assert shepherd.coordinator.asked_n == 0
    assert second in shepherd.pool.running
