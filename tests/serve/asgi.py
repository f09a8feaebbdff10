"""Calls piece by piece, as no well-behaved client makes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from service_in_process import Service

STALL, LEAVE = object(), object()


@dataclass
class Raw:
    """What came back: nothing, if the caller was not there any more to hear it."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    asked_n: int = 0

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])


def call(
    made: Service,
    method: str,
    path: str,
    pieces: Iterable[Any],
    *,
    headers: dict[str, str] | None = None,
    query: bytes = b"",
) -> Raw:
    """Send a body in pieces; `STALL` says nothing for ever, and `LEAVE` breaks the line off."""
    return asyncio.run(_call(made, method, path, pieces, headers or {}, query))


async def _call(
    made: Service, method: str, path: str, pieces: Iterable[Any], headers: dict[str, str], query: bytes
) -> Raw:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), *((k.encode(), v.encode()) for k, v in headers.items())],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
    }
    found, waiting = Raw(), iter(pieces)

    async def receive() -> dict[str, Any]:
        found.asked_n += 1
        piece = next(waiting, None)
        if piece is STALL:
            await asyncio.Event().wait()
        if piece is LEAVE:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            found.status = message["status"]
            found.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        found.body += message.get("body", b"")

    await made.app(scope, receive, send)
    return found
