"""What people add to a result: corrected labels, and consent to train on an image."""

from __future__ import annotations

from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request

from isletnet.analysis.formats.label_files import read_labels
from isletnet.errors import NotStoredError
from isletnet.storage.consent import record_consent
from isletnet.storage.corrections import add_correction
from isletnet.storage.records import MOST_IMAGES
from isletnet.storage.versions import Correction
from serve.access.limits import MEGABYTE
from serve.doors import files
from serve.doors.answers import RefusedInputError, wanted
from serve.doors.deps import TheDeps, Who
from serve.doors.types import ConsentAnswer, ConsentOrder, CorrectionAnswer
from serve.intake import requests
from serve.intake.small_bodies import SmallBodyRoute
from serve.intake.uploads import Body, counted, read_small
from serve.work.tasks import CorrectionDone, CorrectionTask, Refused

router = APIRouter(prefix="/api/requests", tags=["corrections"], route_class=SmallBodyRoute)
streams = APIRouter(prefix="/api/requests", tags=["corrections"])

_PICTURE = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/tiff", "image/png")},
    }
}


@streams.put("/{request_id}/images/{number}/labels", openapi_extra=_PICTURE)
async def correct(
    request: Request,
    request_id: str,
    number: int,
    who: Who,
    deps: TheDeps,
    kind: Annotated[
        Literal["classes", "islets", "regions"],
        Query(
            description="classes: 0 background, 1 islet, 2 exocrine; islets: the number of each islet; "
            "regions: 0 background, 1 exocrine, from 2 on the number of each islet"
        ),
    ] = "classes",
    note: Annotated[str, Query(max_length=2000)] = "",
) -> CorrectionAnswer:
    """Measure an image anew by a person's labels, a TIFF or PNG of its size; what was before stays beside it."""
    body = Body(request, who, deps)

    def commit() -> Correction:
        requests.own(deps, who, request_id)
        found = files.results_of(deps.store, request_id, None)
        found.name_of(number)
        with deps.limits.upload(who, body.announced_bytes) as upload:
            pieces = counted(body.pieces(), upload.count)
            labels = read_small(pieces, deps.settings.max_upload_mb * MEGABYTE)
        if f"images/{number}/summary.json" in found.files:
            picture = files.read_json(deps.store, found, f"images/{number}/summary.json")["image"]
            read_labels(labels, shape_px=(picture["height_px"], picture["width_px"]))
        return add_correction(
            deps.store, request_id, number, labels, kind=kind, actor=who.name, note=note, now=deps.now()
        )

    # Held before anything is stored: who is refused may send the same again.
    with deps.limits.answers.hold(who):
        correction = await body.in_thread(commit)
        task = CorrectionTask(request_id=request_id, version=correction.version)
        result = wanted(await deps.ask(task), CorrectionDone).result
    if result.code is not None:
        raise RefusedInputError(Refused(code=result.code, message=result.message or "", subject="labels"))

    def summary() -> CorrectionAnswer:
        found = files.results_of(deps.store, request_id, correction.version)
        record = files.read_json(deps.store, found, f"images/{number}/summary.json")
        return CorrectionAnswer(version=correction.version, summary=record["summary"])

    return await to_thread.run_sync(summary)


@router.put("/{request_id}/images/{number}/training")
def consent(request_id: str, number: int, order: ConsentOrder, who: Who, deps: TheDeps) -> ConsentAnswer:
    """Give an image for training, which keeps it from being deleted by age, or withdraw that."""
    requests.own(deps, who, request_id)
    if not 0 <= number < MOST_IMAGES:
        raise NotStoredError(f"there is no image {number}")
    decided = record_consent(
        deps.store,
        request_id,
        number,
        granted=order.granted,
        actor=who.name,
        text=order.text,
        now=deps.now(),
    )
    return ConsentAnswer(granted=decided.granted, version=decided.version, utc=decided.utc)
