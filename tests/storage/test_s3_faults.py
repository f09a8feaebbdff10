"""The whole of the work through a connection that fails all the time: nothing lost, nothing doubled."""

import http.client
import random
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from isletnet.storage import records
from isletnet.storage.backends.s3 import S3Store
from isletnet.storage.retention import RetentionPolicy, prune
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import Clock, submit, work_through
from tests.storage.conftest import make_s3_store

REFUSED, LOST = 0.1, 0.1


class FaultProxy(ThreadingHTTPServer):
    """Passes requests on to S3; refuses some, and of others loses the answer after S3 has done them."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target).netloc
        self.generator = random.Random(3)
        self.refused_n = self.lost_n = 0
        self.guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def fate(self) -> str:
        with self.guard:
            drawn = self.generator.random()
            self.refused_n += drawn < REFUSED
            self.lost_n += REFUSED <= drawn < REFUSED + LOST
        return "refused" if drawn < REFUSED else "lost" if drawn < REFUSED + LOST else "passed"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultProxy

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fate = self.server.fate()
        if fate == "refused":
            return self._answer(503, {}, b"")
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
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        skipped = {"transfer-encoding", "connection", "date", "server"}
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in skipped}
        if self.command != "HEAD" and answer.status != 204:
            kept["Content-Length"] = str(len(content))
        return self._answer(answer.status, kept, content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on  # noqa: N815

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in (headers or {"Content-Length": "0"}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy(s3_address: str) -> Iterator[FaultProxy]:
    with FaultProxy(s3_address) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_fifth_of_all_requests_failing_loses_and_doubles_nothing(proxy: FaultProxy, s3_store: S3Store):
    prefix = s3_store._bucket.prefix
    assert prefix is not None
    shaky = make_s3_store(f"http://127.0.0.1:{proxy.server_port}", prefix=prefix)
    clock = Clock()
    request = submit(shaky, clock)
    work_through(shaky, clock)
    outcome = records.load_outcome(s3_store, request.request_id)
    assert outcome is not None
    # A claim whose answer was lost was recognised as won, so nobody had to come a second time.
    assert (outcome.state, outcome.attempt) == ("done", 1)
    prune(shaky, RetentionPolicy(images_days=0, results_days=0), actor="pruner", now=clock.now)
    sweep(shaky, now=clock.now)
    report = verify(s3_store)
    assert report.problems == ()
    assert report.audit_entries_n == 1
    assert min(proxy.refused_n, proxy.lost_n) > 5
