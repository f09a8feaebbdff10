"""How far requests are: asked once, waited for, listed, or heard as events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated

import anyio
from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from isletnet.errors import IsletnetError, NotStoredError
from isletnet.storage.layout import Aside
from isletnet.storage.layout import Request as StoredRequest
from isletnet.storage.owners import requests_of
from serve.doors.deps import Deps, TheDeps, Who
from serve.doors.samples import samples_of
from serve.doors.status import brief_of, has_ended, status_of
from serve.doors.types import ENDED, FullStatus, RequestList, RequestStatus, State
from serve.intake import requests

router = APIRouter(prefix="/api/requests", tags=["progress"])

LONGEST_WAIT_S = 60
PING_S = 15.0
SHORTEST_LOOK_S = 0.05
# Who asks for few of many gets what was found among so many, and where to go on.
MOST_LOOKED_AT = 500
# A bucket takes its time for each look.
LOOKS_AT_ONCE = 8
_EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["status", "end"]},
        "data": {"type": "string", "description": "JSON: FullStatus with status, nothing with end."},
    },
}


@router.get("/{request_id}")
async def status(
    request_id: str,
    who: Who,
    deps: TheDeps,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT_S, description="Answer when it has ended, or after so many seconds.")
    ] = 0,
) -> FullStatus:
    """Tell how far a request is."""
    await to_thread.run_sync(requests.visible, deps, who, request_id)
    begun_s = deps.monotonic()
    while (waited_s := deps.monotonic() - begun_s) < wait and not await to_thread.run_sync(
        has_ended, deps.store, request_id
    ):
        # Who waits for a short request hears of its end at once, and nobody much later than it took.
        pause_s = min(deps.look_s, max(SHORTEST_LOOK_S, waited_s / 20))
        await anyio.sleep(min(pause_s, wait - waited_s))
    return await to_thread.run_sync(status_of, deps.store, request_id)


@router.get(
    "/{request_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": _EVENT}}}},
)
async def events(request: Request, request_id: str, who: Who, deps: TheDeps) -> StreamingResponse:
    """Tell how far a request is at each change, as server-sent events ``status``; the last event is ``end``."""
    await to_thread.run_sync(requests.visible, deps, who, request_id)
    # A proxy must not collect them.
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(_events(deps, request_id), media_type="text/event-stream", headers=headers)


@router.get("")
def listing(
    who: Who,
    deps: TheDeps,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=100, pattern=r"^[0-9A-Za-z-]+$")] = None,
    sample: Annotated[str | None, Query(max_length=200, description="Only those with images of this sample.")] = None,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
) -> RequestList:
    """List one's own requests, newest first."""
    who.require("read")
    found: list[RequestStatus] = []
    looked_at_n, cursor = 0, before
    with ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
        while True:
            page = requests_of(deps.store, who.name, before=cursor, limit=limit - len(found))
            chosen = [one for one in page.requests if sample is None or sample in samples_of(one)]
            statuses = pool.map(partial(_brief, deps), chosen)
            found += [one for one in statuses if one is not None and state in (None, one.state)]
            looked_at_n, cursor = looked_at_n + len(page.requests), page.next
            if cursor is None or len(found) >= limit or looked_at_n >= MOST_LOOKED_AT:
                return RequestList(requests=tuple(found), next=cursor)


def _brief(deps: Deps, request: StoredRequest) -> RequestStatus | None:
    """Tell how far a request is; None for one that is gone by now or damaged, which must not hide the others."""
    status, aside = None, Aside()
    with aside():
        status = brief_of(deps.store, request)
    return status


async def _events(deps: Deps, request_id: str) -> AsyncIterator[str]:
    told, told_s = "", deps.monotonic()
    while True:
        try:
            status = await to_thread.run_sync(status_of, deps.store, request_id)
        except NotStoredError:
            break
        except IsletnetError:
            # The store does not answer; whoever listens goes on listening.
            status = None
        text = status.model_dump_json() if status else told
        if text != told:
            told, told_s = text, deps.monotonic()
            yield f"event: status\ndata: {text}\n\n"
        elif deps.monotonic() - told_s >= PING_S:
            told_s = deps.monotonic()
            yield ": ping\n\n"
        if status is not None and status.state in ENDED:
            break
        await anyio.sleep(deps.look_s)
    yield "event: end\ndata: {}\n\n"
