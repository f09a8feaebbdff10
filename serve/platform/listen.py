"""The API's own server, in each process that answers calls: all of a machine share the port.

The system deals out connections among those that listen, so that one which dies takes only its own with it. Ray
Serve's proxy would be one process more on every call's way, in which each piece of a body and of an answer is a
message from process to process, and which keeps without end what is not wanted yet.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.access.limits import CALLS_AT_ONCE
from serve.platform.lines import CALL, Line

# Of one process: as many as callers share, and as many more that wait for a thread or are refused in a moment.
MOST_CALLS = 2 * CALLS_AT_ONCE
KEEP_ALIVE_S = 75
# For answers that are under way when the process is to end; Ray Serve waits longer.
LAST_ANSWERS_S = 5
RETRY_S = 5
HEALTH = "/api/health/"
_WAITING_N = 1024
_LOOK_S = 0.02


class Server:
    """Listens for calls of one application.

    Parameters
    ----------
    host, port
        Where.

    Raises
    ------
    OSError
        Somebody else has the port.
    """

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            self._socket.setsockopt(socket.SOL_SOCKET, option, 1)
        self._socket.bind((host, port))
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, app: ASGIApp) -> None:
        """Begin to listen, in this event loop."""
        config = uvicorn.Config(
            Polite(app),
            interface="asgi3",
            http=Line,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            # A proxy is believed by its own header only, see `serve.access.identity`.
            proxy_headers=False,
            server_header=False,
            backlog=_WAITING_N,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=LAST_ANSWERS_S,
        )
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve([self._socket]))
        while not self._server.started:
            await asyncio.sleep(_LOOK_S)
            if self._task.done():
                await self._task

    @property
    def is_open(self) -> bool:
        """Whether calls are taken."""
        return self._task is not None and not self._task.done()

    async def close(self) -> None:
        """Take no more calls, and end when those that are under way have their answers."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
        self._socket.close()


class Polite:
    """Around an application: not too many calls at once, and an end to those whose caller has left."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._calls_n = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        # Whoever watches over the service hears that it lives, however much it has to do.
        if self._calls_n >= MOST_CALLS and not scope["path"].startswith(HEALTH):
            await _busy(send)
            return
        is_begun, task = False, asyncio.current_task()
        tasks: set[Any] = scope["extensions"][CALL]["tasks"]

        async def say(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                # What is left to do when the answer is out is done to its end.
                tasks.discard(task)

        tasks.add(task)
        self._calls_n += 1
        try:
            await self._app(scope, receive, say)
        except asyncio.CancelledError:
            # The caller has left and hears nothing any more, or the process is to end.
            if not is_begun:
                await _busy(send)
        finally:
            tasks.discard(task)
            self._calls_n -= 1


async def _busy(send: Send) -> None:
    """Answer as `serve.doors.problems` would, for an application that is not asked any more."""
    message = "the service is busy or is being started anew; send the call again"
    request_id = secrets.token_hex(16)
    body = json.dumps({"error": {"code": "busy", "message": message, "request_id": request_id}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (b"retry-after", str(RETRY_S).encode()),
        (b"x-request-id", request_id.encode()),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
