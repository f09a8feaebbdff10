"""What somebody submitted, newest first: an index whose entries are written before the commit that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from isletnet.errors import GoneError, NotStoredError
from isletnet.storage.layout import OWNERS, Aside, Request, id_of, owner_folder, owner_key, request_key
from isletnet.storage.records import load_request
from isletnet.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list; give ``next`` as ``before`` to go on, None at its end."""

    requests: tuple[Request, ...]
    next: str | None


def requests_of(store: Store, owner: str, *, before: str | None = None, limit: int = 50) -> Page:
    """List what an owner submitted and nobody deleted, newest first; what is damaged is passed over.

    Parameters
    ----------
    before
        ``next`` of the page before; any other text gives some page.
    limit
        The most requests to return, at least 1.

    Returns
    -------
    Page
    """
    keys = [key for key in store.list_keys(owner_folder(owner)) if before is None or key.rpartition("/")[2] < before]
    found: list[Request] = []
    aside = Aside()
    for key in reversed(keys):
        request = None
        with aside():
            request = _request_of(store, key)
        if request is None:
            continue
        if len(found) == limit:
            return Page(requests=tuple(found), next=owner_key(found[-1]).rpartition("/")[2])
        found.append(request)
    return Page(requests=tuple(found), next=None)


def stale_entries(store: Store) -> Iterator[str]:
    """List the entries that stand for nothing; those of drafts that may be submitted at this moment are none."""
    aside = Aside()
    for key in store.list_keys(OWNERS):
        request_id = id_of(key)
        # In this order: a draft that is submitted in between is a request then.
        is_draft = store.exists(request_key(request_id, "draft.json")) and not store.exists(request_key(request_id))
        # One that is damaged is there all the same.
        with aside():
            if not is_draft and _request_of(store, key) is None:
                yield key


def _request_of(store: Store, key: str) -> Request | None:
    try:
        request = load_request(store, id_of(key))
    except (NotStoredError, GoneError):
        return None
    return request if owner_key(request) == key else None
