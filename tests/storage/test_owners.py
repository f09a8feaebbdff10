"""What an owner submitted: found page by page, and by nobody else."""

from datetime import timedelta

import pytest

from isletnet.errors import NotStoredError
from isletnet.storage import records, retention
from isletnet.storage.layout import new_request_id, open_key, owner_folder, owner_key
from isletnet.storage.owners import requests_of
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import Clock, draft, ended, submit
from tests.storage.store_contract import MemoryStore


def test_pages_go_from_the_newest_to_the_oldest(store: MemoryStore, clock: Clock):
    ids = []
    for _ in range(7):
        ids.append(submit(store, clock).request_id)
        clock.pass_s(1)
    found, before = [], None
    for size in (3, 3, 1):
        page = requests_of(store, "ann", before=before, limit=3)
        assert len(page.requests) == size
        found += [request.request_id for request in page.requests]
        before = page.next
    assert before is None
    assert found == ids[::-1]
    assert requests_of(store, "ann", limit=7).next is None
    assert requests_of(store, "bob").requests == ()


def test_new_requests_do_not_shift_the_pages(store: MemoryStore, clock: Clock):
    first = submit(store, clock)
    clock.pass_s(1)
    second = submit(store, clock)
    page = requests_of(store, "ann", limit=1)
    assert page.requests == (second,)
    clock.pass_s(1)
    submit(store, clock)
    assert requests_of(store, "ann", before=page.next, limit=1).requests == (first,)


@pytest.mark.parametrize(
    ("cursor", "found_n"), [("", 0), ("../../etc", 0), ("\0", 0), ("zzz", 1), ("ž" * 1000, 1)], ids=range(5)
)
def test_a_cursor_that_somebody_made_up_gives_some_page(store: MemoryStore, clock: Clock, cursor: str, found_n: int):
    request = submit(store, clock)
    assert requests_of(store, "ann", before=cursor).requests == (request,) * found_n


def test_owners_names_are_data(store: MemoryStore, clock: Clock):
    folders = {owner_folder(name) for name in ("ann", "Ann", "", "a/../b", "\ud800", "ž" * 5000)}
    assert len(folders) == 6
    for folder in folders:
        assert list(store.list_keys(folder)) == []


def test_drafts_and_what_was_deleted_are_not_listed(store: MemoryStore, clock: Clock):
    draft(store, clock)
    request = ended(store, clock)
    assert requests_of(store, "ann").requests == (request,)
    retention.delete_request(store, request.request_id, actor="ann", now=clock.now)
    assert requests_of(store, "ann").requests == ()
    assert list(store.list_keys("owners")) == []
    assert verify(store).is_clean


def test_entries_that_stand_for_nothing_are_swept(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    being_submitted = draft(store, clock)
    folder, earlier = owner_folder("ann"), clock.now - timedelta(hours=1)
    names = [open_key(one, earlier).partition("/")[2] for one in (new_request_id(), request.request_id)]
    stale = sorted(f"{folder}/{name}" for name in names)
    kept = f"{folder}/{open_key(being_submitted, earlier).partition('/')[2]}"
    for key in [*stale, kept]:
        store.create(key, b"")
    assert requests_of(store, "ann").requests == (request,)
    assert sorted(problem.key for problem in verify(store).problems) == stale
    assert sorted(sweep(store, now=clock.now)) == stale
    assert list(store.list_keys("owners")) == sorted([kept, owner_key(request)])
    assert verify(store).is_clean


def test_a_late_second_submission_leaves_one_entry(store: MemoryStore, clock: Clock):
    request = submit(store, clock)
    clock.pass_s(1)
    assert records.submit(store, request.request_id, now=clock.now) == request
    assert list(store.list_keys("owners")) == [owner_key(request)]


def test_a_draft_that_expired_in_between_leaves_no_entry(store: MemoryStore, clock: Clock):
    request_id = draft(store, clock)
    clock.pass_days(2)
    retention.prune(store, retention.RetentionPolicy(), actor="pruner", now=clock.now)
    with pytest.raises(NotStoredError):
        records.submit(store, request_id, now=clock.now)
    assert list(store.list_keys("owners")) == []
