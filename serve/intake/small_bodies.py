"""Routes whose bodies are read whole: small ones only, and not for ever."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from anyio import to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute

from serve.access.refusals import TooLargeError
from serve.doors.deps import Deps, caller
from serve.doors.problems import SlowError
from serve.intake.uploads import SMALL_BODY_BYTES, announced_bytes, check_pace

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class SmallBodyRoute(APIRoute):
    """A route that reads nothing of strangers, nothing slow, and no more than `SMALL_BODY_BYTES`."""

    def get_route_handler(self) -> Handler:
        """Wrap what FastAPI makes of the route."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            # FastAPI would read the body first, so that a stranger could occupy the service.
            await to_thread.run_sync(caller, request)
            if (announced_bytes(request) or 0) > SMALL_BODY_BYTES:
                raise TooLargeError(f"at most {SMALL_BODY_BYTES} bytes are taken here")
            return await handle(Request(request.scope, _guarded(request), request._send))

        return guarded


def _guarded(request: Request) -> Callable[[], Coroutine[Any, Any, Any]]:
    deps: Deps = request.app.state.deps
    stall_s, begun_s = deps.stall_s, deps.monotonic()
    arrived_bytes, is_whole = 0, False

    async def receive() -> Any:
        nonlocal arrived_bytes, is_whole
        if is_whole:
            # What comes now is that the caller goes away, for which an answer may have to wait long.
            return await request.receive()
        try:
            with anyio.fail_after(stall_s):
                message = await request.receive()
        except TimeoutError:
            raise SlowError(f"nothing came for {stall_s:g} s; send again") from None
        arrived_bytes += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        if arrived_bytes > SMALL_BODY_BYTES:
            raise TooLargeError(f"at most {SMALL_BODY_BYTES} bytes are taken here; more came")
        if not is_whole:
            check_pace(arrived_bytes, deps.monotonic() - begun_s, stall_s=stall_s)
        return message

    return receive
