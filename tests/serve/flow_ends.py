"""Both ends of bodies on their way, and what is between them, for the tests of their flow."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from serve.platform.flow import (
    ANSWER_WINDOW_BYTES,
    ANSWERS_SHARED_BYTES,
)

PIECE = bytes(range(250)) * 400
# As a file is read.
FILE_PIECE = bytes(range(256)) * 4096
FILE_PIECES_N = 3 * (ANSWER_WINDOW_BYTES + ANSWERS_SHARED_BYTES) // len(FILE_PIECE)


class Sender:
    """Sends pieces as fast as they are asked for."""

    def __init__(self, pieces_n: int) -> None:
        self.pieces_n = pieces_n
        self.sent_n = 0
        self.answers: list[Message] = []

    async def receive(self) -> Message:
        if self.sent_n == self.pieces_n:
            await asyncio.Event().wait()
        self.sent_n += 1
        return {"type": "http.request", "body": PIECE, "more_body": self.sent_n < self.pieces_n}

    async def send(self, message: Message) -> None:
        self.answers.append(message)


class GreedyProxy:
    """Keeps without end what is on its way, as Ray's does: bodies to the application, and its answers."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.most_waiting_bytes = self.answers_bytes = self.most_answers_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        waiting: asyncio.Queue[Message] = asyncio.Queue()
        answers: asyncio.Queue[Message | None] = asyncio.Queue()

        async def read() -> None:
            while True:
                waiting.put_nowait(await receive())
                self.most_waiting_bytes = max(self.most_waiting_bytes, waiting.qsize() * len(PIECE))

        async def keep(message: Message) -> None:
            answers.put_nowait(message)
            self.answers_bytes += len(message.get("body", b""))
            self.most_answers_bytes = max(self.most_answers_bytes, self.answers_bytes)

        async def answer() -> None:
            try:
                await self._app(scope, waiting.get, keep)
            finally:
                answers.put_nowait(None)

        tasks = [asyncio.create_task(read()), asyncio.create_task(answer())]
        try:
            while (message := await answers.get()) is not None:
                await send(message)
                self.answers_bytes -= len(message.get("body", b""))
            await tasks[1]
        finally:
            for task in tasks:
                task.cancel()


class Reader:
    """A caller that reads its answer until it stops; it is gone when it has all of it, as the server sees it."""

    def __init__(self, reads_bytes: float = float("inf")) -> None:
        self._reads_bytes = reads_bytes
        self._body = bytearray()
        self._is_gone = asyncio.Event()
        self.is_complete = False

    @property
    def read_bytes(self) -> int:
        return len(self._body)

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self._body).digest()

    def leave(self) -> None:
        self._is_gone.set()

    async def receive(self) -> Message:
        await self._is_gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.read_bytes >= self._reads_bytes:
            await self._is_gone.wait()
        if message["type"] == "http.response.body" and not self._is_gone.is_set():
            self._body += message["body"]
            self.is_complete = not message.get("more_body", False)
            if self.is_complete:
                self._is_gone.set()


class Giver:
    """Answers with a file, piece by piece, and may listen to the caller meanwhile."""

    def __init__(self, *, listens: bool) -> None:
        self._spec = "2.3" if listens else "2.4"
        self.given_n = self.ended_n = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        for _ in range(FILE_PIECES_N):
            self.given_n += 1
            yield FILE_PIECE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await StreamingResponse(self.pieces())({**scope, "asgi": {"spec_version": self._spec}}, receive, send)
        finally:
            self.ended_n += 1


HTTP = {"type": "http", "headers": []}


async def settled() -> None:
    """Give all others many turns."""
    for _ in range(1000):
        await asyncio.sleep(0)


def run(app: Callable[[Scope, Receive, Send], Awaitable[None]], sender: Sender, **scope: Any) -> None:
    asyncio.run(app({"type": "http", "headers": [], **scope}, sender.receive, sender.send))
