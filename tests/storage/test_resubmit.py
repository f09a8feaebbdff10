"""A dead request once more."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from isletnet.errors import ConflictError, GoneError, NotStoredError
from isletnet.storage import audit, leases, retention
from isletnet.storage.jobs import cancel, state_of
from isletnet.storage.layout import image_key, new_request_id
from isletnet.storage.owners import requests_of
from isletnet.storage.records import load_outcome
from isletnet.storage.resubmit import resubmit
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import PICTURES, Clock, died, draft, ended, submit, taken, work
from tests.storage.store_contract import MemoryStore


def test_a_dead_request_comes_again_as_a_new_one(store: MemoryStore, clock: Clock):
    dead = died(store, clock)
    end = load_outcome(store, dead.request_id)
    clock.pass_s(60)
    again = resubmit(store, dead.request_id, actor="Dr. Who", now=clock.now)
    assert again.request_id != dead.request_id
    assert (again.owner, again.parameters, again.mail_to) == ("ann", dead.parameters, dead.mail_to)
    assert again.submitted_utc == clock.now
    assert [(image.number, image.name, image.sha256) for image in again.images] == [
        (image.number, image.name, image.sha256) for image in dead.images
    ]
    assert tuple(store.read(image_key(again.request_id, image.number)) for image in again.images) == PICTURES
    assert load_outcome(store, dead.request_id) == end
    assert [one.request_id for one in requests_of(store, "ann").requests] == [again.request_id, dead.request_id]
    (entry,) = audit.entries(store)
    assert (entry.kind, entry.actor, entry.subject) == ("resubmit", "Dr. Who", again.request_id)
    assert entry.details == {"dead_id": dead.request_id}
    work(store, taken(store, clock), clock)
    assert state_of(store, again.request_id) == "done"
    sweep(store, now=clock.now)
    assert verify(store).is_clean


def test_asking_twice_gives_one(store: MemoryStore, clock: Clock):
    dead = died(store, clock)

    def ask(_: int) -> str:
        return resubmit(store, dead.request_id, actor="Dr. Who", now=clock.now).request_id

    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(ask, range(12)))
    assert len(ids) == 1
    assert audit.head(store) == 1
    sweep(store, now=clock.now)
    assert verify(store).is_clean


def test_when_that_one_was_deleted_another_can_be_had(store: MemoryStore, clock: Clock):
    dead = died(store, clock)
    first = resubmit(store, dead.request_id, actor="Dr. Who", now=clock.now)
    retention.delete_request(store, first.request_id, actor="ann", now=clock.now)
    second = resubmit(store, dead.request_id, actor="Dr. Who", now=clock.now)
    assert second.request_id != first.request_id
    sweep(store, now=clock.now)
    assert verify(store).is_clean


def test_the_new_one_may_die_and_come_again_itself(store: MemoryStore, clock: Clock):
    dead = died(store, clock)
    again = resubmit(store, dead.request_id, actor="Dr. Who", now=clock.now)
    leases.give_up(store, taken(store, clock), code="x", message="X.", now=clock.now, final=True)
    third = resubmit(store, again.request_id, actor="Dr. Who", now=clock.now)
    assert len({dead.request_id, again.request_id, third.request_id}) == 3


def test_only_a_dead_request_comes_again(store: MemoryStore, clock: Clock):
    done, waiting = ended(store, clock), submit(store, clock)
    with pytest.raises(ConflictError, match="is done"):
        resubmit(store, done.request_id, actor="Dr. Who", now=clock.now)
    with pytest.raises(ConflictError, match="has not ended"):
        resubmit(store, waiting.request_id, actor="Dr. Who", now=clock.now)
    cancel(store, waiting.request_id, actor="ann", now=clock.now)
    with pytest.raises(ConflictError, match="is cancelled"):
        resubmit(store, waiting.request_id, actor="Dr. Who", now=clock.now)
    for unknown in (new_request_id(), draft(store, clock)):
        with pytest.raises(NotStoredError):
            resubmit(store, unknown, actor="Dr. Who", now=clock.now)
    assert audit.head(store) == 0


def test_without_its_images_it_cannot(store: MemoryStore, clock: Clock):
    dead = died(store, clock)
    store.delete(image_key(dead.request_id, 1))
    with pytest.raises(GoneError, match="image 1 was deleted; send it again"):
        resubmit(store, dead.request_id, actor="Dr. Who", now=clock.now)
    assert len(requests_of(store, "ann").requests) == 1
