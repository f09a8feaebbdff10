"""Around every call: its id, the headers that keep browsers safe, the access log and the note for the statistics."""

from __future__ import annotations

import json
import logging
import re
import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from isletnet.storage.statistics import Event
from serve.doors import problems
from serve.doors.deps import Deps

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Asked every second or so by whoever watches over the service; the log is for what people and programs do.
UNNOTED = "/api/health/"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
}
_REQUEST_ID = re.compile(r"[0-9a-f]{32}")
ACCESS_LOG = logging.getLogger("isletnet.serve.access")
_FAULTS = logging.getLogger("isletnet.serve.faults")


class Calls:
    """Wraps an application; see the module. Names of files and addresses of people never go into the log.

    Parameters
    ----------
    app
        What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        deps: Deps = scope["app"].state.deps
        call_id, begun_s = secrets.token_hex(16), deps.monotonic()
        # What a call holds of the service, until it ends.
        held = ExitStack()
        scope["state"] = {**scope.get("state", {}), "call_id": call_id, "held": held}
        status = problems.CLIENT_LEFT

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = call_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception:
            _FAULTS.exception("call %s broke off", call_id)
            # A stream that breaks off in the middle stays incomplete, which the reader notices.
            if status == problems.CLIENT_LEFT:
                await problems.unexpected(Request(scope))(scope, receive, send_on)
        finally:
            held.close()
            _note(deps, scope, call_id, status, deps.monotonic() - begun_s)


def _note(deps: Deps, scope: Scope, call_id: str, status: int, duration_s: float) -> None:
    route = scope.get("route")
    address = getattr(route, "path_format", None) or "unknown"
    if address.startswith(UNNOTED):
        return
    principal = scope["state"].get("principal")
    request_id = scope.get("path_params", {}).get("request_id", "")
    event = Event(
        utc=deps.now(),
        kind="call",
        who=principal.name if principal else "",
        action=f"{scope['method'][:10]} {address}",
        duration_s=duration_s,
        status=status,
        call_id=call_id,
        request_id=request_id if _REQUEST_ID.fullmatch(request_id) else None,
        # What whoever answered has to say of it.
        **scope["state"].get("noted", {}),
    )
    line = {
        "utc": event.utc.isoformat(),
        "call": call_id,
        "who": event.who,
        "action": event.action,
        "request": event.request_id,
        "status": status,
        "duration_ms": round(duration_s * 1000, 1),
    }
    ACCESS_LOG.info("%s", json.dumps(line))
    deps.note(event)
