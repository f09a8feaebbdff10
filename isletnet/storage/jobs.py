"""The state of a request, and how it ends: all derived from objects that are created once.

Whoever creates the outcome first has ended the request, be it a result, a failure or a cancellation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from isletnet.errors import AlreadyStoredError, ConflictError, GoneError, NotStoredError
from isletnet.storage import mail
from isletnet.storage.deletion import is_deleted
from isletnet.storage.layout import Outcome, Request, attempt_key, dump, id_of, load, open_key, request_key
from isletnet.storage.records import load_draft, load_outcome, load_request
from isletnet.storage.store import Store

State = Literal["draft", "queued", "running", "done", "dead", "cancelled", "deleted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A sign of life, and how far the work is."""

    utc: datetime
    progress: Mapping[str, Any] = field(default_factory=dict)


def state_of(store: Store, request_id: str) -> State:
    """Derive the state of a request from what exists; raises ``NotStoredError`` for an unknown id."""
    if is_deleted(store, request_id):
        return "deleted"
    try:
        load_request(store, request_id)
    except NotStoredError:
        load_draft(store, request_id)
        return "draft"
    except GoneError:
        return "deleted"
    outcome = load_outcome(store, request_id)
    if outcome is not None:
        return outcome.state
    return "running" if attempts_of(store, request_id) else "queued"


def progress_of(store: Store, request_id: str) -> Mapping[str, Any]:
    """Read how far the last attempt says it is; empty if it has not said."""
    attempts = attempts_of(store, request_id)
    if not attempts:
        return {}
    number = max(attempts)
    beats = sorted(path for path in attempts[number] if path.startswith("beats/"))
    try:
        return load(store, attempt_key(request_id, number, beats[-1]), Beat).progress if beats else {}
    except NotStoredError:
        return {}


def settle(store: Store, entry: str) -> Request | None:
    """Look at an entry of the index: the request if it waits for work, else what is left to do about it is done."""
    request_id = id_of(entry)
    try:
        request = load_request(store, request_id)
    except GoneError:
        store.delete(entry)
        return None
    except NotStoredError:
        # A draft that is being submitted has its entry already; one that is no more needs none.
        if not store.exists(request_key(request_id, "draft.json")):
            store.delete(entry)
        return None
    outcome = load_outcome(store, request_id)
    if outcome is not None:
        _wrap_up(store, request, outcome)
    elif entry == open_key(request_id, request.submitted_utc):
        return request
    # Also the entry of a submission that came late or died on the way.
    store.delete(entry)
    return None


def cancel(store: Store, request_id: str, *, actor: str, now: datetime) -> Outcome:
    """End a request that nobody wants any more; cancelling twice is no error.

    Raises
    ------
    NotStoredError
        It is not known, or only a draft.
    ConflictError
        It has ended otherwise.
    """
    request = load_request(store, request_id)
    end(store, request, Outcome(state="cancelled", ended_utc=now, actor=actor))
    outcome = load_outcome(store, request_id)
    if outcome is None or outcome.state != "cancelled":
        raise ConflictError("the request has ended already", subject=request_id)
    return outcome


def end(store: Store, request: Request, outcome: Outcome) -> bool:
    """End a request, unless it has ended already; whether this outcome is the one."""
    try:
        store.create(request_key(request.request_id, "outcome.json"), dump(outcome))
    except AlreadyStoredError:
        return False
    _wrap_up(store, request, outcome)
    return True


def _wrap_up(store: Store, request: Request, outcome: Outcome) -> None:
    """Do what follows from an end; the entry of the index goes last, so that a crash leaves it to do again."""
    mail.queue(store, request, outcome)
    store.delete(open_key(request.request_id, request.submitted_utc))


def attempts_of(store: Store, request_id: str) -> dict[int, frozenset[str]]:
    """Map each attempt to the paths in its folder."""
    folder = request_key(request_id, "attempts")
    paths = [key.removeprefix(f"{folder}/").partition("/") for key in store.list_keys(folder)]
    numbers = {int(number) for number, _, _ in paths}
    return {n: frozenset(path for number, _, path in paths if int(number) == n) for n in numbers}
