"""How far a request is, from what is stored of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isletnet.errors import GoneError, NotStoredError
from isletnet.storage.consent import is_held
from isletnet.storage.deletion import is_deleted
from isletnet.storage.jobs import attempts_of, progress_of
from isletnet.storage.layout import TRAINING, Draft, ImageOutcome, ImageRecord, Outcome, Request, request_key
from isletnet.storage.records import images_of, load_draft, load_outcome, load_request
from isletnet.storage.store import Store
from isletnet.storage.versions import versions_of
from serve.doors.types import ENDED, FullStatus, ImageStatus, RequestStatus, State

_CANCELLED = "It was cancelled."


def status_of(store: Store, request_id: str) -> FullStatus:
    """Tell how far a request is, and each of its images; raises ``NotStoredError`` for an unknown one."""
    draft = load_draft(store, request_id)
    request, is_lost = _request(store, request_id)
    outcome = load_outcome(store, request_id) if request else None
    told = {} if request is None or outcome and outcome.state == "done" else progress_of(store, request_id)
    brief = _brief(store, draft, request, outcome, told, is_lost=is_lost)
    held = _held(store, request_id)
    images = request.images if request else images_of(store, request_id)
    return FullStatus(
        **dict(brief),
        images=tuple(_image(image, brief, outcome, told, is_given=image.number in held) for image in images),
        links=links_of(request_id, brief.state),
    )


def brief_of(store: Store, request: Request) -> RequestStatus:
    """Tell how far a submitted request is, without its images."""
    draft = Draft(request_id=request.request_id, owner=request.owner, created_utc=request.submitted_utc)
    outcome = load_outcome(store, request.request_id)
    told = {} if outcome else progress_of(store, request.request_id)
    return _brief(store, draft, request, outcome, told, is_lost=False)


def has_ended(store: Store, request_id: str) -> bool:
    """Whether somebody who waits for a request has waited enough; one that is not there has ended, too."""
    try:
        load_request(store, request_id)
    except GoneError:
        return True
    except NotStoredError:
        # A draft can still be submitted.
        return not store.exists(request_key(request_id, "draft.json"))
    return load_outcome(store, request_id) is not None


def links_of(request_id: str, state: State) -> dict[str, str]:
    """Tell where to go on with a request."""
    here = f"/api/requests/{request_id}"
    if state == "draft":
        return {"self": here, "images": f"{here}/images/{{number}}", "submit": f"{here}/submit"}
    if state not in ENDED:
        return {"self": here, "events": f"{here}/events", "cancel": f"{here}/cancel"}
    if state != "done":
        return {"self": here}
    names = ("results", "report.pdf", "results.xlsx", "islets.csv", "summary.csv", "archive.zip")
    return {"self": here, **{name: f"{here}/{name}" for name in names}}


def _request(store: Store, request_id: str) -> tuple[Request | None, bool]:
    """Read what was submitted, if it was, and whether it is lost as a draft that expired."""
    try:
        return load_request(store, request_id), False
    except NotStoredError:
        return None, False
    except GoneError:
        return None, True


def _brief(
    store: Store,
    draft: Draft,
    request: Request | None,
    outcome: Outcome | None,
    told: Mapping[str, Any],
    *,
    is_lost: bool,
) -> RequestStatus:
    # Which attempt won stands in the outcome; looking for it takes most of a long list's time.
    has_won = outcome is not None and outcome.attempt is not None
    attempts = attempts_of(store, draft.request_id) if request and not has_won else {}
    parameters = dict(request.parameters if request else draft.parameters)
    parameters.pop("mail_to", None)
    state: State = "draft" if request is None else "running" if attempts else "queued"
    if outcome is not None:
        state = outcome.state
    if is_lost or is_deleted(store, draft.request_id):
        state = "deleted"
    corrections = versions_of(store, draft.request_id) if state == "done" else ()
    return RequestStatus(
        request_id=draft.request_id,
        state=state,
        owner=draft.owner,
        created_utc=draft.created_utc,
        submitted_utc=request.submitted_utc if request else None,
        ended_utc=outcome.ended_utc if outcome else None,
        progress_fraction=1.0 if state == "done" else float(told.get("fraction", 0.0)),
        stage=told.get("stage") if outcome is None else None,
        attempt=outcome.attempt if outcome and outcome.attempt else max(attempts, default=None),
        version=max((one.version for one in corrections), default=0),
        code=outcome.code if outcome else None,
        message=outcome.message if outcome else None,
        parameters=parameters,
    )


def _image(
    image: ImageRecord, brief: RequestStatus, outcome: Outcome | None, told: Mapping[str, Any], *, is_given: bool
) -> ImageStatus:
    said: dict[str, Any] = {"state": "waiting", "fraction": 0.0, **told.get("images", {}).get(str(image.number), {})}
    if outcome is not None:
        said = _ended(image.number, outcome, said)
    return ImageStatus(
        number=image.number,
        name=image.name,
        sha256=image.sha256,
        size_bytes=image.size_bytes,
        state=said["state"],
        progress_fraction=said["fraction"],
        stage=said.get("stage") if brief.state == "running" else None,
        code=said.get("code") or None,
        message=said.get("message") or None,
        training=is_given,
    )


def _ended(number: int, outcome: Outcome, said: Mapping[str, Any]) -> dict[str, Any]:
    """Say how an image ended: by itself, or with its request."""
    own: ImageOutcome | None = next((one for one in outcome.images if one.number == number), None)
    if own is not None:
        return {"state": own.state, "fraction": 1.0, "code": own.code, "message": own.message}
    if said["state"] in ("done", "failed"):
        return dict(said)
    if outcome.state == "cancelled":
        return {"state": "failed", "fraction": said["fraction"], "code": "cancelled", "message": _CANCELLED}
    return {"state": "failed", "fraction": 1.0, "code": outcome.code, "message": outcome.message}


def _held(store: Store, request_id: str) -> frozenset[int]:
    """Tell which images are given for training; most requests need one look for that."""
    numbers = {int(key.split("/")[2]) for key in store.list_keys(f"{TRAINING}/{request_id}")}
    return frozenset(number for number in numbers if is_held(store, request_id, number))
