"""A real server in a thread, which can be restarted at the same address, and a line to it that breaks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import uvicorn
from service_in_process import Service

from isletnet.client import Client
from isletnet.storage.training import add_copy
from tests.serve.requests_at_work import MORNING, picture

COPY = np.random.default_rng(8).bytes(1_000_000)


class Server:
    """Serves an application on loopback; a new application of the same store after each start."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if self._socket.fileno() == -1:
            self._socket = socket.create_server(("127.0.0.1", self.port))
        config = uvicorn.Config(
            self._make(), log_level="critical", timeout_graceful_shutdown=0, ws="none", access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()
        self.close()

    def close(self) -> None:
        self._socket.close()

    def wait_for_connections(self, most: int) -> bool:
        """Whether at most so many connections are left within some seconds."""
        ended = threading.Event()
        return any(len(self._server.server_state.connections) <= most or ended.wait(0.05) for _ in range(100))


class BreakingLine:
    """Passes bytes on to a server and back.

    It breaks a connection that has carried more bytes than the first number of its direction, and takes that number
    off: what is sent for ``up``, what is fetched for ``down``.
    """

    def __init__(self, port: int, *, up: Sequence[int] = (), down: Sequence[int] = ()) -> None:
        self._to = port
        self._limits = {"up": list(up), "down": list(down)}
        self.broken_n = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                for way in (client, server, "up"), (server, client, "down"):
                    threading.Thread(target=self._carry, args=way, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        limits, carried = self._limits[direction], 0
        with suppress(OSError):
            while chunk := source.recv(65_536):
                carried += len(chunk)
                if limits and carried > limits[0]:
                    limits.pop(0)
                    self.broken_n += 1
                    break
                sink.sendall(chunk)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def give_for_training(made: Service, client: Client) -> None:
    """Submit an image, give it for training, and put its copy there."""
    request = client.submit([picture()])
    request.consent(0, granted=True, text="yes")
    add_copy(made.store, request.id, 0, {"image.png": COPY}, now=MORNING)
