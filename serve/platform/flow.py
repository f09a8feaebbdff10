"""Bodies on their way through Ray Serve's proxy: who sends waits for who takes, as it would without a proxy.

What hands a body on, to the application or back to the caller, never waits, and keeps what is not wanted yet without
end. So both ends of that way count. The proxy reads a call's body only while not too much of it is between it and the
application; the application goes on with an answer only while not too much of that is between it and the caller, and
its call is over when the caller's line has taken all of it. Each tells the other from time to time, by a message among
the others, how much has come out at its end.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Of one body; large enough that the application never waits for the next bytes.
WINDOW_BYTES = 2_000_000
TOLD_EVERY_BYTES = WINDOW_BYTES // 4
# Of one answer; beyond it, all answers of a process together have some more, so that one reader alone is fast and
# many that stopped reading are cheap.
ANSWER_WINDOW_BYTES = 2_000_000
ANSWERS_SHARED_BYTES = 20_000_000
ANSWER_TOLD_EVERY_BYTES = ANSWER_WINDOW_BYTES // 2
# A message costs the same work however long it is, so large pieces, such as those of files, are put together: as much
# as has gone before, so that the first one goes at once.
GATHERED_BYTES = 12_000_000
LARGE_PIECE_BYTES = 500_000
# The end of an answer that nobody waits for; a line takes it or is closed, see `serve.platform.lines`.
LAST_BYTES = 64_000
# Names the message, and says in a call's scope that whoever passed the call on sends and wants it (an extension of
# ASGI).
TAKEN = "isletnet.taken"
# Names what the server in the proxy puts into a call's scope: waits until the caller's line has taken what was sent.
DRAINED = "isletnet.drained"

_LEFT = "http.disconnect"
_LOG = logging.getLogger("isletnet.serve.flow")


class Held:
    """In the proxy: holds a body back and tells how much of the answer went out; around all else that is there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        drained: Callable[[], Awaitable[None]] = scope.get("extensions", {}).get(DRAINED, {"wait": _no_wait})["wait"]
        body, answer = _Room(WINDOW_BYTES, _Shared(0)), _Count(ANSWER_TOLD_EVERY_BYTES)
        arrived: asyncio.Queue[Message] = asyncio.Queue()
        reading: asyncio.Task[None] | None = None

        async def read() -> None:
            is_there = True
            while is_there:
                await body.wait()
                message = await receive()
                is_there = message["type"] != _LEFT
                if not is_there:
                    # So says the server, too, when it has the whole answer.
                    await drained()
                body.fill(message)
                arrived.put_nowait(message)

        async def hand_on() -> Message:
            nonlocal reading
            reading = reading or asyncio.create_task(read())
            return await arrived.get()

        async def say(message: Message) -> None:
            if message["type"] == TAKEN:
                body.clear(message["bytes"])
                return
            # Comes back when the caller's line has taken all but this message.
            await send(message)
            if told := answer.count(message):
                arrived.put_nowait(told)

        try:
            # What the server in the proxy offers stays there.
            await self._app({**scope, "extensions": {TAKEN: {}}}, hand_on, say)
        finally:
            if reading is not None:
                reading.cancel()


async def _no_wait() -> None:
    """Wait for nothing."""


class Telling:
    """In the application: tells how much of a body it has taken and holds its answer back, where that is wanted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._shared = _Shared(ANSWERS_SHARED_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        if TAKEN not in scope.get("extensions", {}):
            await self._app(scope, receive, send)
            return
        call = _ToldCall(receive, send, self._shared)
        try:
            await self._app(scope, call.take, call.say)
            await call.end()
        finally:
            call.close()


class _ToldCall:
    """One call in the application."""

    def __init__(self, receive: Receive, send: Send, shared: _Shared) -> None:
        self._receive = receive
        self._send = send
        self._body = _Count(TOLD_EVERY_BYTES)
        self._answer = _Room(ANSWER_WINDOW_BYTES, shared)
        self._arrived: asyncio.Queue[Message] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None
        self._is_left = False
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0

    async def take(self) -> Message:
        self._start_reading()
        if self._is_left and self._arrived.empty():
            return {"type": _LEFT}
        message = await self._arrived.get()
        if told := self._body.count(message):
            await self._send(told)
        return message

    async def say(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        if self._is_left:
            return
        piece, has_more = message.get("body", b""), message.get("more_body", False)
        most_bytes = min(GATHERED_BYTES, self._answer.sent_bytes - self._gathered_bytes)
        self._answer.fill(message)
        self._gathered.append(piece)
        self._gathered_bytes += len(piece)
        is_large = len(piece) >= LARGE_PIECE_BYTES
        if has_more and is_large and self._gathered_bytes < most_bytes and not self._answer.is_full():
            return
        whole = {"type": message["type"], "body": b"".join(self._gathered), "more_body": has_more}
        self._gathered, self._gathered_bytes = [], 0
        await self._send(whole)
        if has_more:
            await self._wait_for_room()

    async def end(self) -> None:
        """Wait until hardly anything is still on its way, or nobody is there to take it."""
        if not self._is_left:
            self._answer.shrink(LAST_BYTES)
            await self._wait_for_room()

    def close(self) -> None:
        # Who still reads in a thread hears it, too.
        self._leave()
        if self._reading is not None:
            self._reading.cancel()

    async def _wait_for_room(self) -> None:
        if self._answer.is_full():
            # Not every application listens while it answers.
            self._start_reading()
            await self._answer.wait()

    def _start_reading(self) -> None:
        self._reading = self._reading or asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while (message := await self._receive())["type"] != _LEFT:
                if message["type"] == TAKEN:
                    self._answer.clear(message["bytes"])
                else:
                    self._arrived.put_nowait(message)
        except Exception as error:
            # The caller's line went with the proxy that held it.
            _LOG.warning("a call lost its proxy: %s", type(error).__name__)
        self._leave()

    def _leave(self) -> None:
        self._is_left = True
        self._arrived.put_nowait({"type": _LEFT})
        self._answer.open()


class _Shared:
    """Room that several bodies have beyond their own."""

    def __init__(self, size_bytes: int) -> None:
        self.free_bytes = size_bytes


class _Room:
    """How much of a body may be on its way, as the one knows who sends it."""

    def __init__(self, own_bytes: int, shared: _Shared) -> None:
        self._own_bytes = own_bytes
        self._shared = shared
        self._may_share = True
        self.sent_bytes = self._taken_bytes = self._beyond_bytes = 0
        self._is_told = asyncio.Event()

    def fill(self, message: Message) -> None:
        self.sent_bytes += len(message.get("body", b""))
        self._share()

    def clear(self, taken_bytes: int) -> None:
        self._taken_bytes = taken_bytes
        self._share()
        self._is_told.set()

    def shrink(self, own_bytes: int) -> None:
        """Be full from now on while there is more than that; what is shared stays so until it is taken."""
        self._own_bytes, self._may_share = own_bytes, False

    def open(self) -> None:
        """Let everything through from now on; what was shared is given back."""
        self._own_bytes = sys.maxsize
        self._share()
        self._is_told.set()

    def is_full(self) -> bool:
        has_own = self.sent_bytes - self._taken_bytes < self._own_bytes
        return not has_own and not (self._may_share and self._shared.free_bytes > 0)

    async def wait(self) -> None:
        """Wait for room."""
        while self.is_full():
            self._is_told.clear()
            await self._is_told.wait()

    def _share(self) -> None:
        beyond_bytes = max(0, self.sent_bytes - self._taken_bytes - self._own_bytes)
        self._shared.free_bytes -= beyond_bytes - self._beyond_bytes
        self._beyond_bytes = beyond_bytes


class _Count:
    """How much of a body has come out, as the one knows who takes it."""

    def __init__(self, told_every_bytes: int) -> None:
        self._told_every_bytes = told_every_bytes
        self._taken_bytes = self._told_bytes = 0

    def count(self, message: Message) -> Message | None:
        """Count a message; returns what to tell the sender, if it is time for that."""
        self._taken_bytes += len(message.get("body", b""))
        if self._taken_bytes - self._told_bytes < self._told_every_bytes:
            return None
        self._told_bytes = self._taken_bytes
        return {"type": TAKEN, "bytes": self._taken_bytes}
