"""Lines of callers: nobody is waited for without end, and not much is kept for anybody.

A line that brings no head of a call in time, or too long a one, is closed, and so is one that takes nothing of its
answer. A call whose line is gone ends. The server has no such limits of its own.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 15.0
# What one read of the line brings may come on top.
MOST_HEAD_BYTES = 64_000
# Who takes nothing of an answer for so long is taken for gone, or would occupy the service for ever.
LONGEST_STALL_S = 300.0
# Names, in a call's scope, the tasks that end with its line; who answers the call puts itself there, under ``tasks``.
CALL = "isletnet.call"


class Line(HttpToolsProtocol):
    """A line to a caller, closed when it is silent for too long where it is waited for."""

    _waiting: asyncio.TimerHandle | None = None
    _stalling: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_between = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Begin with no call."""
        super().__init__(*arguments, **named)
        self._tasks: set[asyncio.Task[Any]] = set()

    def connection_made(self, transport: Any) -> None:
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more, and end a call that nobody hears any more."""
        self._stop_waiting()
        self._stop_stalling()
        super().connection_lost(exc)
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Read on; what follows a head in the same piece is no part of it."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._is_between and self.cycle.response_complete:
            # The server waits for the next head no more when anything came, were it only an empty line.
            self._wait()
        if self._waiting is not None and self._head_bytes > MOST_HEAD_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Wait for this head."""
        self._wait()
        self._is_between = False
        super().on_message_begin()
        self.scope["extensions"] = {CALL: {"tasks": self._tasks}}

    def on_headers_complete(self) -> None:
        """Wait no more: what comes now is the body."""
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the next head, some time."""
        self._is_between = True
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Wait until the line has taken what was sent."""
        super().pause_writing()
        self._stall(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Wait no more."""
        self._stop_stalling()
        super().resume_writing()

    def _wait(self) -> None:
        if self._waiting is None:
            self._head_bytes = 0
            self._waiting = self.loop.call_later(HEAD_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _stall(self, left_bytes: int) -> None:
        self._stalling = self.loop.call_later(LONGEST_STALL_S, self._look_at_stall, left_bytes)

    def _look_at_stall(self, before_bytes: int) -> None:
        left_bytes = self.transport.get_write_buffer_size()
        if left_bytes < before_bytes:
            self._stall(left_bytes)
        else:
            # It would be closed only when it has taken the rest.
            self.transport.abort()

    def _stop_stalling(self) -> None:
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None
