"""Images that are given for training, handed out once."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from isletnet.errors import NotStoredError
from isletnet.storage.training import (
    Export,
    claim_export,
    confirm_export,
    give_up_export,
    load_export,
    size_of,
    stream_export,
)
from serve.access.identity import Principal
from serve.doors import files
from serve.doors.deps import Deps, TheDeps, Who
from serve.doors.problems import RangeError
from serve.doors.types import ExportAnswer, ExportOrder
from serve.intake.small_bodies import SmallBodyRoute

router = APIRouter(prefix="/api/training", tags=["training"], route_class=SmallBodyRoute)

_RANGE = re.compile(r"bytes=(\d{1,18})-")
_TAR = {"description": "The images as a tar file.", "content": {"application/x-tar": {"schema": {"type": "string"}}}}


@router.get("/export", response_class=StreamingResponse, responses={200: _TAR, 206: _TAR})
def export(
    who: Who,
    deps: TheDeps,
    span: Annotated[str | None, Header(alias="Range", description="bytes=N- goes on after a broken line.")] = None,
) -> StreamingResponse:
    """Claim all images that were not handed out, and download them; confirm, and they never are again."""
    who.require("train")
    claimed = claim_export(deps.store, actor=who.name, now=deps.now())
    size_bytes, start = size_of(claimed), 0
    # A range of another kind may be passed over (RFC 9110, section 14.2).
    matched = _RANGE.fullmatch(span or "")
    if matched is not None:
        start = int(matched[1])
        if start >= size_bytes:
            raise RangeError(f"the export has {size_bytes} bytes")
    pieces = files.first_piece_read(stream_export(deps.store, claimed, start=start))
    answer = files.file_answer(
        pieces,
        f"training-{claimed.number}.tar",
        stem="isletnet",
        size_bytes=size_bytes - start,
        media_type="application/x-tar",
    )
    answer.headers["X-Export-Number"] = str(claimed.number)
    answer.headers["Accept-Ranges"] = "bytes"
    if matched is not None:
        answer.status_code = 206
        answer.headers["Content-Range"] = f"bytes {start}-{size_bytes - 1}/{size_bytes}"
    return answer


@router.post("/export/{number}/confirm")
def confirm(number: int, order: ExportOrder, who: Who, deps: TheDeps) -> ExportAnswer:
    """Say that an export has arrived whole: it is never handed out again."""
    found = _claimed(deps, who, number)
    confirm_export(deps.store, found, sha256=order.sha256, actor=who.name, now=deps.now())
    return ExportAnswer(number=number, state="confirmed")


@router.delete("/export/{number}")
def give_up(number: int, who: Who, deps: TheDeps) -> ExportAnswer:
    """Give up an export that was not confirmed: its images can be claimed again."""
    found = _claimed(deps, who, number)
    give_up_export(deps.store, found, actor=who.name, now=deps.now())
    return ExportAnswer(number=number, state="given_up")


def _claimed(deps: Deps, who: Principal, number: int) -> Export:
    """Find an export of this one's own; an admin may also close what others left open."""
    who.require("train")
    found = load_export(deps.store, number) if 0 < number < 10**8 else None
    if found is None or (found.actor != who.name and not who.may("admin")):
        raise NotStoredError("there is no such export")
    return found
