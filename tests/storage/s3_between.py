"""A server between a store and S3 that may let a call fail."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, TypeVar
from urllib.parse import urlsplit

# Refused and reset calls never come to S3; of a lost one, S3 has done it and only the answer is missing.
Fate = Literal["passed", "refused", "reset", "lost"]
UNTOLD_HEADERS = {"transfer-encoding", "connection", "date", "server"}


class Between(ThreadingHTTPServer):
    """Passes calls on to S3, or not, as `fate` says."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, target: str, *, refusal_status: int) -> None:
        self.target, self.refusal_status = urlsplit(target).netloc, refusal_status
        super().__init__(("127.0.0.1", 0), _Handler)

    def fate(self) -> Fate:
        """Decide what becomes of a call; asked by several threads."""
        raise NotImplementedError


AnyBetween = TypeVar("AnyBetween", bound=Between)


@contextmanager
def serving(server: AnyBetween) -> Iterator[AnyBetween]:
    """Have it answer until the end of the block."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Heads and bodies are sent apart; each body would wait 40 ms for the word that its head has come.
    disable_nagle_algorithm = True
    server: Between

    def _pass_on(self) -> None:
        fate = self.server.fate()
        if fate == "reset":
            return self._hang_up()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fate == "refused":
            return self._answer(self.server.refusal_status, {"Content-Length": "0"}, b"")
        connection = http.client.HTTPConnection(self.server.target)
        # The signature covers the host that the client asked for, so the headers go on as they are.
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if fate == "lost":
            return self._hang_up()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in UNTOLD_HEADERS}
        if self.command != "HEAD" and answer.status != 204:
            kept["Content-Length"] = str(len(content))
        return self._answer(answer.status, kept, content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on  # noqa: N815

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
