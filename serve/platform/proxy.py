"""What Ray Serve's own proxy answers, in the words of the service; loaded into the proxy by an import path.

While replicas are away, the proxy answers by itself, in plain text, and calls an address that it does not know yet not
found. A caller must not take that for the end of a request.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.platform.flow import Held
from serve.platform.lines import limit_lines

IMPORT_PATH = "serve.platform.proxy:middlewares"
RETRY_S = 5

_AWAY = (503, "busy", "the service is being started or has lost a part of itself; send the call again")
_ANSWERS = {404: _AWAY, 500: _AWAY, 503: _AWAY, 408: (408, "slow", "the call took too long; send it again")}


def middlewares() -> Sequence[Middleware]:
    """Give what the proxy puts around itself; it asks before it begins to listen."""
    limit_lines()
    return [Middleware(OwnWords), Middleware(Held)]


class OwnWords:
    """Replaces the proxy's own plain answers; what the application says goes through as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, and look at the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_begun = is_replaced = False

        async def say(message: Message) -> None:
            nonlocal is_begun, is_replaced
            if message["type"] == "http.response.start":
                is_begun, is_replaced = True, _is_the_proxy_s(message)
                if is_replaced:
                    await _answer(message["status"], _request_id(message["headers"]), send)
                message = {**message, "headers": _with_one_request_id(message["headers"])}
            if not is_replaced:
                await send(message)

        await self._app(scope, receive, say)
        if not is_begun:
            # So ends a call whose replica died under it.
            await _answer(503, _request_id(scope["headers"]), send)


def _is_the_proxy_s(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    # The application marks every answer of its own.
    return start["status"] in _ANSWERS and "x-content-type-options" not in headers


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    return Headers(raw=headers).get("x-request-id", "")


def _with_one_request_id(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Drop the id that the proxy adds behind the application's own, which is the one in the logs and in the body."""
    ids = [header for header in headers if header[0].lower() == b"x-request-id"]
    return [*(header for header in headers if header not in ids), *ids[:1]]


async def _answer(said: int, request_id: str, send: Send) -> None:
    status, code, words = _ANSWERS[said]
    body = json.dumps({"error": {"code": code, "message": words, "request_id": request_id}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (b"retry-after", str(RETRY_S).encode()),
        (b"x-request-id", request_id.encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
