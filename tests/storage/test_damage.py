"""One damaged record costs its own request, and nobody else's."""

from unittest.mock import patch

import pytest

from isletnet.errors import StorageError, StoreUnavailableError
from isletnet.storage import mail, training
from isletnet.storage.consent import record_consent
from isletnet.storage.jobs import state_of
from isletnet.storage.layout import Aside, request_key
from isletnet.storage.mail import Postman, SmtpSettings
from isletnet.storage.owners import requests_of
from isletnet.storage.retention import RetentionPolicy, delete_request, prune
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from isletnet.storage.versions import correction_key, unfinished
from tests.storage.actors import Clock, correct, dispatcher, ended, submit, work
from tests.storage.store_contract import MemoryStore

TO = "ann@clinic.example"


def damage(store: MemoryStore, key: str) -> None:
    content = store.read(key)
    store.delete(key)
    store.create(key, content[: len(content) // 2])


def test_the_work_goes_on_with_the_next_request(store: MemoryStore, clock: Clock):
    first = submit(store, clock)
    clock.pass_s(1)
    second = submit(store, clock)
    damage(store, request_key(first.request_id))
    lease = dispatcher(store, clock).take(now=clock.now)
    assert lease is not None
    assert lease.request == second
    assert work(store, lease, clock).state == "done"


def test_what_is_due_of_others_is_deleted_and_the_damage_told(store: MemoryStore, clock: Clock):
    requests = [ended(store, clock) for _ in range(3)]
    broken = sorted(request.request_id for request in requests)[0]
    damage(store, request_key(broken))
    clock.pass_days(40)
    with pytest.raises(StorageError, match=f"{broken}/request.json"):
        prune(store, RetentionPolicy(), actor="pruner", now=clock.now)
    assert list(store.list_folders("requests")) == [broken]


def test_a_deletion_whose_intent_is_damaged_holds_up_no_other(store: MemoryStore, clock: Clock):
    first, second = sorted(ended(store, clock).request_id for _ in range(2))
    store.create(f"intents/{first}/000001.json", b"{")
    with (
        patch.object(store, "delete", side_effect=StoreUnavailableError("gone")),
        pytest.raises(StoreUnavailableError),
    ):
        delete_request(store, second, actor="ann", now=clock.now)
    with pytest.raises(StorageError, match=f"intents/{first}"):
        prune(store, RetentionPolicy(), actor="pruner", now=clock.now)
    assert state_of(store, second) == "deleted"
    assert list(store.list_keys(f"intents/{second}")) == []
    with pytest.raises(StorageError, match=f"intents/{first}"):
        sweep(store, now=clock.now)


def test_what_is_left_over_of_others_is_swept_and_the_damage_told(store: MemoryStore, clock: Clock):
    requests = [ended(store, clock) for _ in range(3)]
    broken, *others = sorted(request.request_id for request in requests)
    sweep(store, now=clock.now)
    damage(store, request_key(broken))
    before = set(store.list_keys())
    leftovers = [request_key(request_id, "attempts/1/files/stray") for request_id in others]
    for key in leftovers:
        store.create(key, b"late")
    with pytest.raises(StorageError, match=f"{broken}/request.json"):
        sweep(store, now=clock.now)
    assert set(store.list_keys()) == before
    assert {problem.kind for problem in verify(store).problems} == {"damaged"}


def test_the_list_of_an_owner_shows_the_others(store: MemoryStore, clock: Clock):
    requests = []
    for _ in range(3):
        clock.pass_s(1)
        requests.append(submit(store, clock))
    damage(store, request_key(requests[1].request_id))
    page = requests_of(store, "ann")
    assert [request.request_id for request in page.requests] == [requests[2].request_id, requests[0].request_id]


def test_other_mails_go_out(store: MemoryStore, clock: Clock):
    requests = [ended(store, clock, mail_to=TO) for _ in range(2)]
    first, second = sorted(request.request_id for request in requests)
    damage(store, mail.outbox_key(first))
    settings = SmtpSettings(host="127.0.0.1", sender="isletnet@clinic.example", link="https://x/{request_id}")
    with patch.object(mail, "send") as send, pytest.raises(StorageError, match=first):
        Postman(store, settings, monotonic=clock.monotonic).deliver(now=clock.now)
    assert [call.args[0]["Message-ID"] for call in send.call_args_list] == [f"<{second}.done@isletnet>"]


def test_other_corrections_and_copies_are_found(store: MemoryStore, clock: Clock):
    requests = [ended(store, clock) for _ in range(2)]
    first, second = sorted(requests, key=lambda request: request.request_id)
    for request in requests:
        correct(store, request, clock)
        record_consent(store, request.request_id, 0, granted=True, actor="ann", text="v1", now=clock.now)
    damage(store, correction_key(first.request_id, 1, "correction.json"))
    assert [one.request_id for one in unfinished(store)] == [second.request_id]
    assert training.copies_due(store) == ((second.request_id, 0, 0),)


def test_a_store_that_is_away_is_no_damage():
    aside = Aside()
    with pytest.raises(StoreUnavailableError), aside():
        raise StoreUnavailableError("it does not answer")
    aside.tell()
