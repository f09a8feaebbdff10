"""Bodies on their way through Ray Serve's proxy: a sender waits for the application, as it would without a proxy.

The proxy reads a body as fast as it comes, and so does what calls the application; both keep what is not wanted yet,
without end. So the proxy reads on only while not too much is between it and the application, which tells it from time
to time, by a message among those of its answer, how much it has taken.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Of one body; large enough that the application never waits for the next bytes.
WINDOW_BYTES = 2_000_000
TOLD_EVERY_BYTES = WINDOW_BYTES // 4
# Names the message, and says in a call's scope that whoever passed the call on wants it (an extension of ASGI).
TAKEN = "isletnet.taken"


class Held:
    """In the proxy: holds a body back; around everything else that looks at calls there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        handed_bytes = taken_bytes = 0
        has_room = asyncio.Event()
        has_room.set()

        async def hand_on() -> Message:
            nonlocal handed_bytes
            await has_room.wait()
            message = await receive()
            handed_bytes += len(message.get("body", b""))
            if handed_bytes - taken_bytes >= WINDOW_BYTES:
                has_room.clear()
            return message

        async def say(message: Message) -> None:
            nonlocal taken_bytes
            if message["type"] != TAKEN:
                await send(message)
                return
            taken_bytes = message["bytes"]
            if handed_bytes - taken_bytes < WINDOW_BYTES:
                has_room.set()

        extensions = {**scope.get("extensions", {}), TAKEN: {}}
        await self._app({**scope, "extensions": extensions}, hand_on, say)


class Telling:
    """In the application: tells how much of a body it has taken, where that is wanted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        if TAKEN not in scope.get("extensions", {}):
            await self._app(scope, receive, send)
            return
        taken_bytes = told_bytes = 0

        async def take() -> Message:
            nonlocal taken_bytes, told_bytes
            message = await receive()
            taken_bytes += len(message.get("body", b""))
            if taken_bytes - told_bytes >= TOLD_EVERY_BYTES:
                told_bytes = taken_bytes
                await send({"type": TAKEN, "bytes": taken_bytes})
            return message

        await self._app(scope, take, send)
