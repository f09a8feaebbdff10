"""Deleting beside others who delete, give or send at the same moment."""

import pytest

from isletnet.errors import ConflictError, NotStoredError
from isletnet.storage import audit, consent
from isletnet.storage.deletion import delete
from isletnet.storage.jobs import state_of
from isletnet.storage.layout import REQUESTS, image_key
from isletnet.storage.retention import RetentionPolicy, plan, prune, survey
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import PICTURES, Clock, ended
from tests.storage.store_contract import MemoryStore

POLICY = RetentionPolicy()


def give(store: MemoryStore, clock: Clock, request_id: str, image: int) -> None:
    consent.record_consent(store, request_id, image, granted=True, actor="ann", text="v1", now=clock.now)


def test_the_hold_is_looked_at_before_every_single_deletion(
    store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    request = ended(store, clock)
    clock.pass_days(31)
    (deletion,) = plan(survey(store), POLICY, now=clock.now)
    really_delete = store.delete

    def delete_and_then_consent_comes(key: str) -> None:
        really_delete(key)
        if key == image_key(request.request_id, 0):
            monkeypatch.setattr(store, "delete", really_delete)
            with pytest.raises(ConflictError, match="being deleted; ask again"):
                give(store, clock, request.request_id, 1)

    monkeypatch.setattr(store, "delete", delete_and_then_consent_comes)
    tombstone = delete(store, deletion, actor="pruner", now=clock.now)
    assert tombstone is not None
    assert not tombstone.complete
    assert store.read(image_key(request.request_id, 1)) == PICTURES[1]
    assert state_of(store, request.request_id) == "done"
    # Asked again, the consent stands.
    give(store, clock, request.request_id, 1)
    sweep(store, now=clock.now)
    assert verify(store).is_clean


def test_consent_that_comes_too_late_holds_nothing_up(
    store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    request = ended(store, clock)
    clock.pass_days(31)
    create = store.create

    def pruned_meanwhile(key: str, content: bytes) -> None:
        create(key, content)
        if "/consent/" in key:
            monkeypatch.setattr(store, "create", create)
            for number in (0, 1):
                store.delete(image_key(request.request_id, number))

    monkeypatch.setattr(store, "create", pruned_meanwhile)
    with pytest.raises(NotStoredError, match="no image 0 any more"):
        give(store, clock, request.request_id, 0)
    assert not consent.is_held(store, request.request_id, 0)
    with pytest.raises(NotStoredError):
        give(store, clock, request.request_id, 0)


@pytest.mark.parametrize("quick_policy", [POLICY, RetentionPolicy(results_days=1000)])
def test_two_pruners_tell_each_deletion_once(store: MemoryStore, clock: Clock, quick_policy: RetentionPolicy):
    ended(store, clock)
    clock.pass_days(31)
    (deletion,) = plan(survey(store), POLICY, now=clock.now)
    (quick_deletion,) = plan(survey(store), quick_policy, now=clock.now)
    create = store.create

    def other_is_quicker(key: str, content: bytes) -> None:
        if key.startswith("intents/"):
            store.create = create  # type: ignore[method-assign]
            assert delete(store, quick_deletion, actor="quick", now=clock.now) is not None
        create(key, content)

    store.create = other_is_quicker  # type: ignore[method-assign]
    delete(store, deletion, actor="slow", now=clock.now)
    assert [entry.actor for entry in audit.entries(store)] == ["quick"]
    assert list(store.list_keys("intents")) == []
    told = {key for entry in audit.entries(store) for key in entry.details["sha256s"]}
    assert not [key for key in deletion.keys if not store.exists(key) and key not in told]
    prune(store, POLICY, actor="pruner", now=clock.now)
    assert list(store.list_keys(REQUESTS)) == []
    assert verify(store).is_clean
