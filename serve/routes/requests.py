"""Requests: made, filled, submitted, cancelled, deleted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from isletnet.storage.jobs import cancel
from isletnet.storage.layout import check_request_id
from isletnet.storage.resubmit import resubmit
from isletnet.storage.retention import delete_request, erase
from serve.doors.deps import TheDeps, Who
from serve.doors.status import links_of, status_of
from serve.doors.types import DeletedAnswer, DraftAnswer, FullStatus, RequeuedAnswer, UploadAnswer
from serve.intake import requests
from serve.intake.forms import read_parameters, submit_form
from serve.intake.small_bodies import SmallBodyRoute
from serve.intake.uploads import Body
from serve.work.parameters import RequestParameters

router = APIRouter(prefix="/api/requests", tags=["requests"], route_class=SmallBodyRoute)
streams = APIRouter(prefix="/api/requests", tags=["requests"])

ClientKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="Sent again with the same content, it gives the same request."),
]
_FORM = {
    "type": "object",
    "properties": {
        "parameters": {
            "type": "string",
            "description": "RequestParameters as JSON; the number of an image is its place",
        },
        "images": {"type": "array", "items": {"type": "string", "format": "binary"}},
    },
    "required": ["images"],
}
_BODIES = {
    "requestBody": {
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/RequestParameters"}},
            "multipart/form-data": {"schema": _FORM},
        }
    }
}
_BINARY = {"requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}


@streams.post(
    "",
    openapi_extra=_BODIES,
    status_code=201,
    response_model=DraftAnswer | FullStatus,
    responses={202: {"model": FullStatus, "description": "A form with images was accepted."}},
)
async def create(
    request: Request, response: Response, who: Who, deps: TheDeps, idempotency_key: ClientKey = None
) -> DraftAnswer | FullStatus:
    """Open a draft from parameters (JSON), or submit a form with parameters and images at once."""
    body = Body(request, who, deps)

    def open_draft() -> DraftAnswer:
        who.require("submit")
        parameters = read_parameters(body.small())
        draft = requests.open_draft(deps, who, parameters, idempotency_key)
        return DraftAnswer(request_id=draft.request_id, state="draft", links=links_of(draft.request_id, "draft"))

    def submit_at_once() -> FullStatus:
        return status_of(deps.store, submit_form(deps, who, body, idempotency_key))

    if body.content_type.startswith("multipart/"):
        response.status_code = 202
        return await body.in_thread(submit_at_once)
    return await body.in_thread(open_draft)


@streams.put("/{request_id}/images/{number}", openapi_extra=_BINARY, status_code=201)
async def add_image(
    request: Request,
    request_id: str,
    number: int,
    who: Who,
    deps: TheDeps,
    name: Annotated[str, Query(max_length=2000, description="The file's name, for display.")] = "",
) -> UploadAnswer:
    """Add one image to a draft; sending the same one again is no error."""
    body = Body(request, who, deps)

    def add() -> UploadAnswer:
        draft = requests.own(deps, who, request_id)
        shown = name or f"image {number}"
        image = requests.add_image(deps, who, draft, number, shown, body.pieces(), announced_bytes=body.announced_bytes)
        return UploadAnswer(number=image.number, name=image.name, sha256=image.sha256, size_bytes=image.size_bytes)

    return await body.in_thread(add)


@router.post("/{request_id}/submit", status_code=202)
def submit(request_id: str, who: Who, deps: TheDeps, parameters: RequestParameters | None = None) -> FullStatus:
    """Submit a draft: from the answer on, it is never lost. Without parameters, those of the draft hold."""
    requests.submit(deps, who, requests.own(deps, who, request_id), parameters)
    return status_of(deps.store, request_id)


@router.post("/{request_id}/cancel")
def cancel_request(request_id: str, who: Who, deps: TheDeps) -> FullStatus:
    """Stop a request that nobody wants any more; doing it twice is no error."""
    requests.own(deps, who, request_id)
    cancel(deps.store, request_id, actor=who.name, now=deps.now())
    deps.nudge()
    return status_of(deps.store, request_id)


@router.delete("/{request_id}", status_code=202)
def delete(
    request_id: str,
    who: Who,
    deps: TheDeps,
    erasure: Annotated[
        bool, Query(alias="erase", description="Also what is given for training, because a person has the right to it.")
    ] = False,
) -> DeletedAnswer:
    """Delete a request and all that came of it; one that runs is cancelled first."""
    if erasure:
        # Of a request that was deleted by age, what is given for training is still there.
        who.require("admin")
        erase(deps.store, check_request_id(request_id), admin=who.name, now=deps.now())
    else:
        requests.own(deps, who, request_id)
        delete_request(deps.store, request_id, actor=who.name, now=deps.now())
    deps.nudge()
    return DeletedAnswer(request_id=request_id, state="deleted")


@router.post("/{request_id}/requeue", status_code=202)
def requeue(request_id: str, who: Who, deps: TheDeps) -> RequeuedAnswer:
    """Submit a dead request again, as a new one of the same owner."""
    who.require("admin")
    requests.own(deps, who, request_id)
    request = resubmit(deps.store, request_id, actor=who.name, now=deps.now())
    deps.nudge()
    return RequeuedAnswer(request_id=request.request_id)
