"""The API's own server on a port of this machine, for tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from serve.platform.listen import Server
from tests.deploy.one_host import free_ports


@contextmanager
def listening(app: Any, port: int | None = None) -> Iterator[tuple[int, Server]]:
    """Listen in an event loop of its own; gives the port and the server, which is closed in good order at the end."""
    number = port or free_ports(1)[0]
    server, opened = Server("127.0.0.1", number), Future[asyncio.Event]()

    async def serve() -> None:
        await server.open(app)
        end = asyncio.Event()
        opened.set_result(end)
        await end.wait()
        await server.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    end = opened.result(10)
    try:
        yield number, server
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()
