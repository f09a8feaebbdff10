"""What is deleted when, and what never is."""

from datetime import UTC, datetime, timedelta

import pytest

from isletnet.errors import ClockError, ConflictError, NotStoredError, ParameterError
from isletnet.storage import audit, consent, jobs, leases, records, retention
from isletnet.storage.deletion import tombstones_of
from isletnet.storage.jobs import state_of
from isletnet.storage.layout import REQUESTS, image_key, new_request_id, request_key
from isletnet.storage.retention import RetentionPolicy, confirm_clock, facts_of, plan, prune, survey
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import PICTURES, Clock, dispatcher, draft, ended, submit
from tests.storage.store_contract import MemoryStore

POLICY = RetentionPolicy()


def give(store: MemoryStore, clock: Clock, request_id: str, image: int = 0) -> None:
    consent.record_consent(store, request_id, image, granted=True, actor="ann", text="v1", now=clock.now)


def take_back(store: MemoryStore, clock: Clock, request_id: str, image: int = 0) -> None:
    consent.record_consent(store, request_id, image, granted=False, actor="ann", text="v1", now=clock.now)


def kinds(store: MemoryStore, now: datetime, policy: RetentionPolicy = POLICY) -> list[str]:
    return [deletion.kind for deletion in plan(survey(store), policy, now=now)]


def test_what_has_ended_goes_on_the_day_it_is_due(store: MemoryStore, clock: Clock):
    ended(store, clock)
    due = clock.now + timedelta(days=30)
    assert kinds(store, due - timedelta(seconds=1)) == []
    assert kinds(store, due) == ["record"]


def test_ages_are_counted_per_kind(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    policy = RetentionPolicy(images_days=2, results_days=5)
    (deletion,) = plan(survey(store), policy, now=clock.now + timedelta(days=2))
    assert deletion.kind == "images"
    assert deletion.keys == tuple(image_key(request.request_id, number) for number in (0, 1))
    assert deletion.rule == "images after 2 days"
    assert kinds(store, clock.now + timedelta(days=5), policy) == ["record"]
    other_way = RetentionPolicy(images_days=5, results_days=2)
    (deletion,) = plan(survey(store), other_way, now=clock.now + timedelta(days=2))
    assert deletion.kind == "results"
    assert {key.split("/files/")[1] for key in deletion.keys} == {
        "images/0/labels.tif",
        "images/1/labels.tif",
        "report.pdf",
    }


def test_what_has_not_ended_never_goes_by_age(store: MemoryStore, clock: Clock):
    submit(store, clock)
    submit(store, clock)
    assert dispatcher(store, clock).take(now=clock.now) is not None
    assert kinds(store, clock.now + timedelta(days=10_000)) == []


def test_the_dead_and_the_cancelled_go_too(store: MemoryStore, clock: Clock):
    submit(store, clock)
    lease = dispatcher(store, clock).take(now=clock.now)
    assert lease is not None
    leases.give_up(store, lease, code="x", message="X.", now=clock.now, final=True)
    jobs.cancel(store, submit(store, clock).request_id, actor="ann", now=clock.now)
    assert kinds(store, clock.now + timedelta(days=30)) == ["record", "record"]


def test_a_plan_changes_nothing_and_is_the_same_again(store: MemoryStore, clock: Clock):
    ended(store, clock)
    before = {key: store.read(key) for key in store.list_keys()}
    now = clock.now + timedelta(days=31)
    assert plan(survey(store), POLICY, now=now) == plan(survey(store), POLICY, now=now)
    assert {key: store.read(key) for key in store.list_keys()} == before


def test_pruning_leaves_a_tombstone_with_hashes_and_no_names(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    clock.pass_days(30)
    (tombstone,) = prune(store, POLICY, actor="pruner", now=clock.now)
    assert tombstone.complete
    assert list(store.list_keys(REQUESTS)) == []
    assert state_of(store, request.request_id) == "deleted"
    (entry,) = audit.entries(store)
    assert (entry.kind, entry.subject, entry.actor, entry.utc) == ("deletion", request.request_id, "pruner", clock.now)
    assert entry.details["rule"] == "images after 30 days and results after 30 days"
    sha256s = entry.details["sha256s"]
    assert [sha256s[image_key(request.request_id, image.number)] for image in request.images] == [
        image.sha256 for image in request.images
    ]
    everything = b"".join(store.read(key) for key in store.list_keys())
    assert b"islets" not in everything
    assert b"ann" not in everything
    assert not any(picture in everything for picture in PICTURES)
    assert verify(store).is_clean


def test_a_second_pass_deletes_nothing(store: MemoryStore, clock: Clock):
    for _ in range(3):
        ended(store, clock)
    clock.pass_days(31)
    assert len(prune(store, POLICY, actor="pruner", now=clock.now)) == 3
    assert prune(store, POLICY, actor="pruner", now=clock.now) == ()
    assert audit.head(store) == 3


def test_what_is_given_for_training_stays_and_goes_when_consent_is_withdrawn(store: MemoryStore, clock: Clock):
    request = ended(store, clock)
    give(store, clock, request.request_id, 1)
    clock.pass_days(31)
    planned = [key for deletion in plan(survey(store), POLICY, now=clock.now) for key in deletion.keys]
    assert sorted(planned) == [
        request_key(request.request_id, "attempts/1/files/images/0/labels.tif"),
        image_key(request.request_id, 0),
    ]
    prune(store, POLICY, actor="pruner", now=clock.now)
    assert not store.exists(image_key(request.request_id, 0))
    assert store.read(image_key(request.request_id, 1)) == PICTURES[1]
    assert store.exists(request_key(request.request_id, "attempts/1/files/images/1/labels.tif"))
    assert state_of(store, request.request_id) == "done"
    assert verify(store).problems != ()
    sweep(store, now=clock.now)
    assert verify(store).is_clean
    assert prune(store, POLICY, actor="pruner", now=clock.now) == ()
    take_back(store, clock, request.request_id, 1)
    prune(store, POLICY, actor="pruner", now=clock.now)
    assert state_of(store, request.request_id) == "deleted"
    assert list(store.list_keys(REQUESTS)) == list(store.list_keys("training")) == []
    assert verify(store).is_clean


def test_a_draft_that_nobody_submits_expires(store: MemoryStore, clock: Clock):
    request_id = draft(store, clock)
    clock.pass_days(0.99)
    assert prune(store, POLICY, actor="pruner", now=clock.now) == ()
    clock.pass_days(0.01)
    assert len(prune(store, POLICY, actor="pruner", now=clock.now)) == 1
    assert state_of(store, request_id) == "deleted"
    assert list(store.list_keys(REQUESTS)) == []
    with pytest.raises(NotStoredError):
        records.submit(store, request_id, now=clock.now)


def test_a_draft_that_is_submitted_at_the_last_moment_is_kept(store: MemoryStore, clock: Clock):
    request_id = draft(store, clock)
    clock.pass_days(1)
    create = store.create

    def submitted_just_before(key: str, content: bytes) -> None:
        if key == request_key(request_id):
            store.create = create  # type: ignore[method-assign]
            records.submit(store, request_id, now=clock.now)
        create(key, content)

    store.create = submitted_just_before  # type: ignore[method-assign]
    assert prune(store, POLICY, actor="pruner", now=clock.now) == ()
    assert state_of(store, request_id) == "queued"
    assert verify(store).is_clean


def test_deleting_on_request_cancels_first_and_refuses_what_is_held(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    lease = dispatcher(store, clock).take(now=clock.now)
    assert lease is not None
    retention.delete_request(store, request.request_id, actor="ann", now=clock.now)
    with pytest.raises(leases.LeaseLostError):
        leases.beat(store, lease, now=clock.now)
    assert state_of(store, request.request_id) == "deleted"
    with pytest.raises(NotStoredError):
        retention.delete_request(store, new_request_id(), actor="ann", now=clock.now)
    held = ended(store, clock)
    give(store, clock, held.request_id)
    with pytest.raises(ConflictError, match="withdraw the consent first"):
        retention.delete_request(store, held.request_id, actor="ann", now=clock.now)
    assert state_of(store, held.request_id) == "done"
    retention.delete_request(store, draft(store, clock), actor="ann", now=clock.now)
    retention.delete_request(store, ended(store, clock, mail_to="a@b.cz").request_id, actor="ann", now=clock.now)
    sweep(store, now=clock.now)
    assert list(store.list_keys("outbox")) == list(store.list_keys("open")) == []
    assert verify(store).is_clean


def test_what_a_stalled_worker_writes_after_the_deletion_is_swept(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    lease = dispatcher(store, clock).take(now=clock.now)
    assert lease is not None
    retention.delete_request(store, request.request_id, actor="ann", now=clock.now)
    leases.write_file(store, lease, "report.pdf", [b"late"])
    assert state_of(store, request.request_id) == "deleted"
    assert [problem.kind for problem in verify(store).problems] == ["unfinished"]
    assert len(sweep(store, now=clock.now)) == 1
    assert verify(store).is_clean


def test_erasure_outranks_the_hold_and_needs_a_name(store: MemoryStore, clock: Clock):
    request = ended(store, clock, mail_to="ann@clinic.example")
    give(store, clock, request.request_id)
    with pytest.raises(ParameterError, match="name of the admin"):
        retention.erase(store, request.request_id, admin=" ", now=clock.now)
    tombstone = retention.erase(store, request.request_id, admin="Dr. Who", now=clock.now)
    assert tombstone is not None
    assert (tombstone.kind, tombstone.complete) == ("erasure", True)
    assert {key.partition("/")[0] for key in store.list_keys()} == {"audit", "tombstones"}
    assert b"clinic.example" not in b"".join(store.read(key) for key in store.list_keys())
    assert verify(store).is_clean
    with pytest.raises(NotStoredError):
        retention.erase(store, request.request_id, admin="Dr. Who", now=clock.now)


@pytest.mark.parametrize("jump_days", [1.01, 5, 400, -1.01, -400])
def test_a_clock_that_jumps_deletes_nothing_until_somebody_confirms_it(
    store: MemoryStore, clock: Clock, jump_days: float
):
    ended(store, clock)
    for _ in range(31):
        clock.pass_days(1)
        retention.check_clock(store, now=clock.now)
    jumped = clock.now + timedelta(days=jump_days)
    before = set(store.list_keys())
    for _ in range(3):
        with pytest.raises(ClockError, match="Check the clock, then confirm it"):
            prune(store, POLICY, actor="pruner", now=jumped)
    assert set(store.list_keys()) == before
    assert len(prune(store, POLICY, actor="pruner", now=clock.now)) == 1
    with pytest.raises(ParameterError):
        confirm_clock(store, admin="", now=jumped)
    confirm_clock(store, admin="Dr. Who", now=jumped)
    prune(store, POLICY, actor="pruner", now=jumped)
    assert [entry.kind for entry in audit.entries(store)] == ["deletion", "clock-confirmed"]
    assert len(list(store.list_keys("clock"))) == 1


def test_another_time_zone_is_no_jump(store: MemoryStore, clock: Clock):
    prune(store, POLICY, actor="pruner", now=clock.now)
    elsewhere = clock.now.astimezone(tz=UTC).astimezone()
    assert prune(store, POLICY, actor="pruner", now=elsewhere) == ()


def test_facts_of_an_unknown_request_are_empty(store: MemoryStore):
    assert facts_of(store, new_request_id()).keys == ()
    assert tuple(tombstones_of(store, new_request_id())) == ()
