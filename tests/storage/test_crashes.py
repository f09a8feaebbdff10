"""Death before and after every single operation on the store: nothing accepted is lost, doubled or left over."""

import hashlib
import itertools
import multiprocessing
import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from isletnet.errors import IsletnetError
from isletnet.storage import audit, consent, leases, records, retention, training
from isletnet.storage.backends.local import LocalStore
from isletnet.storage.jobs import state_of
from isletnet.storage.layout import REQUESTS, TRAINING, new_request_id, request_ids
from isletnet.storage.owners import requests_of
from isletnet.storage.resubmit import resubmit
from isletnet.storage.retention import RetentionPolicy
from isletnet.storage.store import Store
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from isletnet.storage.versions import files_of, labels_key, unfinished, versions_of
from tests.storage import drawings
from tests.storage.actors import PICTURES, Clock, correct, died, dispatcher, ended, finish, submit, work, work_through
from tests.storage.crash import Crash, CrashStore
from tests.storage.store_contract import MemoryStore

FOR_EVER = RetentionPolicy(images_days=10_000, results_days=10_000)
DEATHS_SAMPLE_N = 7


class Scenario(NamedTuple):
    """What happens before, what is interrupted (it returns the ids that were promised), and what must hold at last."""

    prepare: Callable[[Store, Clock], None]
    act: Callable[[Store, Clock, Callable[[str], None]], None]
    settled: Callable[[Store, Clock, set[str]], None]


def nothing_before(store: Store, clock: Clock) -> None:
    pass


def send_a_request(store: Store, clock: Clock, promise: Callable[[str], None]) -> None:
    idempotency = records.idempotency_hash("ann", "key")
    request_id = records.reserve(store, idempotency, request_id=new_request_id(), body_sha256="b" * 64, now=clock.now)
    records.open_draft(store, request_id, owner="ann", now=clock.now, idempotency=idempotency)
    for number, content in enumerate(PICTURES):
        records.add_image(store, request_id, number, [content], name="x", now=clock.now)
    records.submit(store, request_id, now=clock.now, mail_to="ann@clinic.example")
    promise(request_id)


def one_submitted(store: Store, clock: Clock) -> None:
    submit(store, clock, mail_to="ann@clinic.example")


def do_it(store: Store, clock: Clock, promise: Callable[[str], None]) -> None:
    worker = dispatcher(store, clock)
    lease = worker.take(now=clock.now)
    assert lease is not None
    work(store, lease, clock)


def everything_is_done(store: Store, clock: Clock, promised: set[str]) -> None:
    ids = set(request_ids(store, REQUESTS))
    assert promised <= ids
    assert all(state_of(store, request_id) == "done" for request_id in ids)
    for request_id in ids:
        outcome = records.load_outcome(store, request_id)
        assert outcome is not None
        assert len(outcome.files) == 3
    assert len(list(store.list_keys("outbox"))) == len(ids)


def ended_long_ago(store: Store, clock: Clock) -> None:
    first, second = ended(store, clock), ended(store, clock)
    submit(store, clock, mail_to=None)
    consent.record_consent(store, second.request_id, 0, granted=True, actor="ann", text="v1", now=clock.now)
    assert first != second
    finish(store, correct(store, second, clock, image=1, labels=b"A"))
    correct(store, first, clock, labels=b"B")
    retention.check_clock(store, now=clock.now)
    for _ in range(31):
        clock.pass_days(1)
        retention.check_clock(store, now=clock.now)


def prune(store: Store, clock: Clock, promise: Callable[[str], None]) -> None:
    retention.prune(store, RetentionPolicy(), actor="pruner", now=clock.now)


def all_but_the_held_is_gone(store: Store, clock: Clock, promised: set[str]) -> None:
    retention.prune(store, RetentionPolicy(), actor="pruner", now=clock.now)
    states = [state_of(store, request_id) for request_id in request_ids(store, REQUESTS)]
    # The one that was still waiting was done only now.
    assert sorted(states) == ["done", "done"]
    originals = [key for key in store.list_keys(REQUESTS) if key.endswith("/original")]
    assert len(originals) == 1 + 2
    deletions = [entry for entry in audit.entries(store) if entry.kind == "deletion"]
    assert sorted(entry.details["kind"] for entry in deletions) == ["images", "record", "results"]
    told = [key for entry in deletions for key in entry.details["sha256s"]]
    assert len(told) == len(set(told))


def one_ended(store: Store, clock: Clock) -> None:
    ended(store, clock)
    sweep(store, now=clock.now)


def correct_twice(store: Store, clock: Clock, promise: Callable[[str], None]) -> None:
    (request_id,) = request_ids(store, REQUESTS)
    for labels in (b"A", b"B"):
        correction = correct(store, records.load_request(store, request_id), clock, labels=labels)
        promise(labels.decode())
        finish(store, correction)


def what_was_promised_is_corrected(store: Store, clock: Clock, promised: set[str]) -> None:
    (request_id,) = request_ids(store, REQUESTS)
    labels = [store.read(labels_key(correction)).decode() for correction in versions_of(store, request_id)]
    assert promised <= set(labels) <= {"A", "B"}
    assert labels == sorted(set(labels))
    for version, corrected in enumerate(versions_of(store, request_id), start=1):
        key, _ = files_of(store, request_id, corrected.version)["report.pdf"]
        assert store.read(key).decode() == " and ".join(["report by 1", *labels[:version]])
    assert not unfinished(store)


def one_died(store: Store, clock: Clock) -> None:
    died(store, clock)


def submit_it_again(store: Store, clock: Clock, promise: Callable[[str], None]) -> None:
    for request_id in request_ids(store, REQUESTS):
        with suppress(IsletnetError):
            promise(resubmit(store, request_id, actor="Dr. Who", now=clock.now).request_id)


def at_most_one_came_again(store: Store, clock: Clock, promised: set[str]) -> None:
    ids = set(request_ids(store, REQUESTS))
    assert promised <= ids
    states = sorted(state_of(store, request_id) for request_id in ids)
    assert states in (["dead"], ["dead", "done"])
    told = [entry.subject for entry in audit.entries(store) if entry.kind == "resubmit"]
    assert {request_id for request_id in ids if state_of(store, request_id) == "done"} <= set(told)
    assert len(told) == len(set(told)) <= 1
    assert len(requests_of(store, "ann").requests) == len(ids)


def two_ended(store: Store, clock: Clock) -> None:
    ended(store, clock)
    ended(store, clock)


def hand_out_for_training(store: Store, clock: Clock, promise: Callable[[str], None]) -> None:
    for request_id in request_ids(store, REQUESTS):
        consent.record_consent(store, request_id, 0, granted=True, actor="ann", text="v1", now=clock.now)
        training.add_copy(store, request_id, 0, {"image.tif": b"pixels", "labels.tif": b"labels"}, now=clock.now)
    export = training.claim_export(store, actor="trainer", now=clock.now)
    content = b"".join(training.stream_export(store, export))
    training.confirm_export(store, export, sha256=hashlib.sha256(content).hexdigest(), actor="trainer", now=clock.now)


def each_was_handed_out_once(store: Store, clock: Clock, promised: set[str]) -> None:
    try:
        hand_out_for_training(store, clock, promised.add)
    except training.GoneError:
        pass
    exports = [training.load(store, key, training.Export) for key in store.list_keys("exports") if "claim" in key]
    items = [(item.request_id, item.image) for export in exports for item in export.items]
    assert sorted(items) == [(request_id, 0) for request_id in request_ids(store, REQUESTS)]
    confirmations = [entry for entry in audit.entries(store) if entry.kind == "training-export"]
    assert len(confirmations) == len(exports)
    assert len(list(store.list_keys("training"))) == 2 * (1 + 3)


def a_wreck(store: Store, clock: Clock) -> None:
    """One who was pruning died half way; one who worked stalled and left outputs behind."""
    ended_long_ago(store, clock)
    with suppress(Crash):
        prune(CrashStore(store, 60, "after"), clock, str)
    stalled = dispatcher(store, clock).take(now=clock.now)
    assert stalled is not None
    leases.write_file(store, stalled, "report.pdf", [b"never to be seen"])
    work_through(store, clock)


def sweep_up(store: Store, clock: Clock, promise: Callable[[str], None]) -> None:
    sweep(store, now=clock.now)


def erase_one(store: Store, clock: Clock, promise: Callable[[str], None]) -> None:
    for request_id in sorted(request_ids(store, TRAINING))[:1]:
        retention.erase(store, request_id, admin="Dr. Who", now=clock.now)
    promise("")


def two_given(store: Store, clock: Clock) -> None:
    for request in (ended(store, clock), ended(store, clock)):
        consent.record_consent(store, request.request_id, 1, granted=True, actor="ann", text="v1", now=clock.now)
        training.add_copy(store, request.request_id, 1, {"image.tif": b"pixels"}, now=clock.now)


def one_is_erased(store: Store, clock: Clock, promised: set[str]) -> None:
    if len(request_ids(store, REQUESTS, TRAINING)) == 2:
        assert not promised
        assert len(request_ids(store, REQUESTS)) == len(request_ids(store, TRAINING)) == 2
        erase_one(store, clock, promised.add)
    (left,) = request_ids(store, REQUESTS, TRAINING)
    assert state_of(store, left) == "done"
    (entry,) = [entry for entry in audit.entries(store) if entry.kind == "deletion"]
    assert entry.actor == "Dr. Who"
    # Four objects of images, three files, three of training, three records, a claim, an entry; perhaps a sign of life.
    assert len(entry.details["sha256s"]) in {15, 16}


def nothing_is_left(store: Store, clock: Clock, promised: set[str]) -> None:
    retention.prune(store, RetentionPolicy(), actor="pruner", now=clock.now)
    assert not list(store.list_keys(REQUESTS))


SCENARIOS = {
    "submit": Scenario(nothing_before, send_a_request, everything_is_done),
    "run": Scenario(one_submitted, do_it, everything_is_done),
    "prune": Scenario(ended_long_ago, prune, all_but_the_held_is_gone),
    "sweep": Scenario(a_wreck, sweep_up, all_but_the_held_is_gone),
    "erase": Scenario(two_given, erase_one, one_is_erased),
    "correct": Scenario(one_ended, correct_twice, what_was_promised_is_corrected),
    "submit-again": Scenario(one_died, submit_it_again, at_most_one_came_again),
    "draw": Scenario(drawings.one_measured, drawings.draw_all, drawings.all_is_drawn_once),
    "prune-drawn": Scenario(drawings.two_measured_long_ago, prune, nothing_is_left),
    "claim-for-training": Scenario(two_ended, hand_out_for_training, each_was_handed_out_once),
}


def restart(store: Store, clock: Clock, promised: set[str], scenario: Scenario) -> None:
    """Start anew after a death: workers, pruner and sweeper do their part, and then everything must be in order."""
    clock.pass_s(3600)
    work_through(store, clock)
    # Drafts that were never promised expire.
    for _ in range(2):
        clock.pass_days(0.9)
        retention.prune(store, FOR_EVER, actor="pruner", now=clock.now)
    sweep(store, now=clock.now)
    scenario.settled(store, clock, promised)
    assert verify(store).problems == ()
    assert sweep(store, now=clock.now) == ()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_death_at_every_operation_in_memory(name: str, moment: str):
    scenario = SCENARIOS[name]
    for at in itertools.count(1):
        store, clock, promised = MemoryStore(), Clock(), set()
        scenario.prepare(store, clock)
        dying = CrashStore(store, at, moment)
        try:
            scenario.act(dying, clock, promised.add)
        except Crash:
            pass
        restart(store, clock, promised, scenario)
        if dying.operations_n < at:
            break
    assert at > 15


def _act_and_die(name: str, root: Path, clock: Clock, at: int, moment: str) -> None:
    store = CrashStore(LocalStore(root / "store"), at, moment, die=lambda: os._exit(9))
    SCENARIOS[name].act(store, clock, lambda request_id: (root / "promised").write_text(request_id))
    os._exit(0)


@pytest.mark.parametrize("name", SCENARIOS)
def test_real_death_on_a_real_disk(name: str, tmp_path: Path):
    generator = random.Random(name)
    for number in range(DEATHS_SAMPLE_N):
        root, clock = tmp_path / str(number), Clock()
        SCENARIOS[name].prepare(LocalStore(root / "store"), clock)
        arguments = name, root, clock, generator.randint(1, 60), generator.choice(["before", "after"])
        child = multiprocessing.get_context("fork").Process(target=_act_and_die, args=arguments)
        child.start()
        child.join()
        assert child.exitcode in (0, 9)
        promised = {(root / "promised").read_text()} if (root / "promised").exists() else set()
        restart(LocalStore(root / "store"), clock, promised, SCENARIOS[name])
