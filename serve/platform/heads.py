"""Heads of calls at Ray Serve's proxy: nobody is waited for without end, and not more of a head is kept than it needs.

The server inside the proxy has no limit of either kind, and Ray no setting that would give it one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 15.0
MOST_HEAD_BYTES = 64_000


class Heads(HttpToolsProtocol):
    """A line to a caller, closed when it brings no head in `HEAD_S`, or one of more than `MOST_HEAD_BYTES`."""

    _waiting: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what follows a head in the same piece is no part of it."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._waiting is not None and self._head_bytes > MOST_HEAD_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Wait for this head."""
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Wait no more: what comes now is the body."""
        self._stop_waiting()
        super().on_headers_complete()

    def _wait(self) -> None:
        if self._waiting is None:
            self._head_bytes = 0
            self._waiting = self.loop.call_later(HEAD_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def limit_heads() -> None:
    """Let servers that start in this process use `Heads`; the proxy chooses its kind of line by this name."""
    auto.AutoHTTPProtocol = Heads
