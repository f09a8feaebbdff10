"""The store in a bucket: the contract on a real server, and a server that misbehaves in every known way."""

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from isletnet.errors import AlreadyStoredError, StoreFullError, StoreUnavailableError, StoreUnsuitableError
from isletnet.storage.backends import s3
from isletnet.storage.backends.s3 import PART_BYTES, S3Store
from isletnet.storage.store import Store
from tests.storage.conftest import free_ports, make_s3_store
from tests.storage.store_contract import StoreContract


@pytest.fixture
def store(s3_store: S3Store) -> Store:
    return s3_store


class TestS3Store(StoreContract):
    """All of it."""

    # The losers of a race wait for seconds in this server.
    races_n = 2


class FakeS3(ThreadingHTTPServer):
    """Objects in memory, with faults: ``script`` holds the answers to the next PUTs, then it behaves.

    ``lost`` stores the object and drops the connection; a number answers with that status; ``conditional`` False
    ignores If-None-Match, as some servers do.
    """

    def __init__(self, script: tuple[str | int, ...] = (), *, conditional: bool = True) -> None:
        self.script = list(script)
        self.conditional = conditional
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.puts_n = self.reads_n = 0
        self.guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeS3

    def do_PUT(self) -> None:  # noqa: N802 - the name that the base class looks for
        content = self.rfile.read(int(self.headers["Content-Length"]))
        kept = {name: value for name, value in self.headers.items() if name.lower().startswith("x-amz-meta-")}
        with self.server.guard:
            self.server.puts_n += 1
            step = self.server.script.pop(0) if self.server.script else 200
            if isinstance(step, int) and step != 200:
                return self._answer(step)
            asked = self.server.conditional and self.headers["If-None-Match"] == "*"
            taken = asked and self.path in self.server.objects
            if not taken:
                self.server.objects[self.path] = (content, kept)
            if step == "lost":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return None
        return self._answer(412 if taken else 200)

    def do_GET(self) -> None:  # noqa: N802
        with self.server.guard:
            self.server.reads_n += 1
        content, kept = self.server.objects.get(self.path, (b"", None))
        if kept is None:
            return self._answer(404)
        return self._answer(200, content, kept)

    do_HEAD = do_GET  # noqa: N815

    def do_DELETE(self) -> None:  # noqa: N802
        self.server.objects.pop(self.path, None)
        self._answer(204)

    def _answer(self, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("ETag", '"0"')
        self.send_header("Last-Modified", "Tue, 24 Nov 2026 07:00:00 GMT")
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def fake_s3(*script: str | int, conditional: bool = True) -> Iterator[tuple[FakeS3, S3Store]]:
    with FakeS3(script, conditional=conditional) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server, make_s3_store(f"http://127.0.0.1:{server.server_port}", retry_s=2)
        finally:
            server.shutdown()
            thread.join()


def test_a_server_without_conditional_writes_is_refused_with_the_reason():
    with fake_s3(conditional=False) as (_, store), pytest.raises(StoreUnsuitableError, match="If-None-Match"):
        store.probe()


def test_a_conflict_that_left_no_object_is_tried_again():
    with fake_s3(409, 409) as (server, store):
        store.create("key", b"content")
        assert store.read("key") == b"content"
        assert server.puts_n == 3


def test_conflicts_without_end_are_given_up():
    with fake_s3(*[409] * 50) as (_, store), pytest.raises(StoreUnavailableError, match="conflicts"):
        store.create("key", b"content")


def test_failures_of_the_server_are_tried_again():
    with fake_s3(500, 503, 500) as (server, store):
        store.create("key", b"content")
        assert server.puts_n == 4


def test_a_writer_whose_answer_was_lost_has_won_all_the_same():
    with fake_s3("lost") as (server, store):
        store.create("key", b"content")
        assert server.puts_n == 2
        with pytest.raises(AlreadyStoredError):
            store.create("key", b"content")


def test_a_full_server_is_told():
    with fake_s3(*[507] * 50) as (_, store), pytest.raises(StoreFullError):
        store.create("key", b"content")


def test_wrong_credentials_are_told(s3_address: str):
    store = make_s3_store(s3_address, secret_key="wrong")
    with pytest.raises(StoreUnsuitableError, match="credentials"):
        store.read("key")
    with pytest.raises(StoreUnsuitableError, match="credentials"):
        store.create("key", b"content")


def test_a_server_that_is_down_is_told_within_five_seconds():
    store = make_s3_store(f"http://127.0.0.1:{free_ports(1)[0]}")
    start = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="try again later"):
        store.create("key", b"content")
    assert time.monotonic() - start < 5


def test_a_server_that_never_answers_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = make_s3_store(f"http://127.0.0.1:{silent.getsockname()[1]}", retry_s=0.2, request_s=0.3)
        with pytest.raises(StoreUnavailableError):
            store.read("key")


def test_what_is_not_big_is_read_by_one_request():
    content = bytes(range(256)) * 5000
    with fake_s3() as (server, store):
        store.create("key", content)
        for start in (0, 1, len(content)):
            server.reads_n = 0
            assert b"".join(store.stream("key", start=start)) == content[start:]
            assert server.reads_n == 1


def test_prefixes_do_not_see_each_other(s3_address: str):
    prefix = f"tests/{secrets.token_hex(8)}"
    one, other, all_of_them = (make_s3_store(s3_address, prefix=f"{prefix}{end}") for end in ("/one", "/other", ""))
    one.create("key", b"1")
    assert list(other.list_keys()) == []
    assert list(all_of_them.list_keys()) == ["one/key"]
    assert list(all_of_them.list_folders("")) == ["one"]


def test_big_content_is_out_of_sight_and_goes_with_its_key(s3_address: str):
    prefix = f"tests/{secrets.token_hex(8)}"
    store, around = make_s3_store(s3_address, prefix=prefix), make_s3_store(s3_address, prefix="tests")
    folder = prefix.removeprefix("tests/")
    pieces = [b"x" * PART_BYTES, b"y"]
    store.create_from("a/big", pieces)
    with pytest.raises(AlreadyStoredError):
        store.create_from("a/big", pieces)
    assert list(store.list_keys()) == ["a/big"]
    assert list(store.list_folders("")) == ["a"]
    # The name and one content: the loser's upload is gone.
    assert len(list(around.list_keys(folder))) == 2
    assert store.discard_leftovers() == 0
    assert store.size("a/big") == PART_BYTES + 1
    store.delete("a/big")
    assert list(around.list_keys(folder)) == []


def test_leftovers_are_discarded_when_they_are_old_and_no_key_names_them(
    s3_store: S3Store, monkeypatch: pytest.MonkeyPatch
):
    pieces = [b"x" * PART_BYTES, b"y"]
    s3_store.create_from("named", pieces)
    with monkeypatch.context() as patch:
        patch.setattr(s3_store, "_create_once", interrupted)
        with pytest.raises(KeyboardInterrupt):
            s3_store.create_from("not-named", pieces)
    assert s3_store.discard_leftovers() == 0
    monkeypatch.setattr(s3, "_LEFTOVER_AGE", timedelta(seconds=-1))
    assert s3_store.discard_leftovers() == 1
    assert s3_store.discard_leftovers() == 0
    assert s3_store.size("named") == PART_BYTES + 1


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt
