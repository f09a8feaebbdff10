"""Heads that never end and answers that nobody takes: the line is closed in time; other calls go on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPResponse
from typing import Any

import pytest

from serve.platform import lines
from tests.serve.listening import listening

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


LARGE_BYTES = 20_000_000
# What a line that is not read takes nevertheless: buffers of the system.
_BUFFER_BYTES = 1 << 16
PULSE = threading.Event()


class Application:
    """Answers with the number of bytes that came, at once or when all are there, or with many bytes."""

    def __init__(self) -> None:
        self.drained_n = self.ended_n = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        size_bytes, is_more = 0, scope["path"] == "/"
        while is_more:
            message = await receive()
            size_bytes, is_more = size_bytes + len(message.get("body", b"")), message.get("more_body", False)
        is_large = scope["path"] == "/large"
        body = bytes(LARGE_BYTES) if is_large else str(size_bytes).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        try:
            await send({"type": "http.response.body", "body": body, "more_body": is_large})
            if is_large:
                # Comes back when the line has taken what was sent before.
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                self.drained_n += 1
        finally:
            self.ended_n += is_large


@pytest.fixture(scope="module")
def application() -> Application:
    return Application()


@pytest.fixture(scope="module")
def port(application: Application) -> Iterator[int]:
    """The API's server, which waits for half a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "HEAD_S", 0.5)
        patch.setattr(lines, "LONGEST_STALL_S", 0.5)
        with listening(application) as (number, _):
            yield number


def wait_until(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until_s
        PULSE.wait(0.02)


def line_to(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def is_closed_within(line: socket.socket, seconds: float) -> bool:
    line.settimeout(seconds)
    try:
        return line.recv(1000) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def answer(line: socket.socket) -> bytes:
    line.settimeout(10)
    response = HTTPResponse(line)
    response.begin()
    return response.read()


def post(line: socket.socket, body: bytes) -> bytes:
    line.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return answer(line)


@pytest.mark.parametrize("beginning", [b"", HEAD])
def test_who_says_nothing_is_not_waited_for(port: int, beginning: bytes):
    with line_to(port) as line:
        line.sendall(beginning)
        assert is_closed_within(line, 5)


def test_who_drips_a_head_is_not_waited_for(port: int):
    begun_s = time.monotonic()
    with line_to(port) as line, suppress(OSError):
        line.sendall(HEAD)
        while not is_closed_within(line, 0.05) and time.monotonic() - begun_s < 5:
            line.sendall(b"X: y\r\n")
    assert time.monotonic() - begun_s < 5


def test_a_head_without_end_is_cut_off(port: int):
    sent_bytes = 0
    with line_to(port) as line, suppress(OSError):
        line.sendall(HEAD)
        while sent_bytes < 20_000_000:
            line.sendall(b"X: " + b"y" * 4000 + b"\r\n")
            sent_bytes += 4005
    assert sent_bytes < 20_000_000


def test_a_large_body_is_no_head(port: int):
    with line_to(port) as line:
        assert post(line, bytes(500_000)) == b"500000"


def test_a_slow_body_is_no_head(port: int):
    with line_to(port) as line:
        line.sendall(HEAD + b"Content-Length: 10\r\n\r\n")
        for _ in range(10):
            assert not is_closed_within(line, 0.1)
            line.sendall(b"x")
        assert answer(line) == b"10"


def test_the_next_head_on_a_line_has_its_own_time(port: int):
    with line_to(port) as line:
        for _ in range(3):
            assert post(line, b"abc") == b"3"
            assert not is_closed_within(line, 0.7)
        line.sendall(HEAD)
        assert is_closed_within(line, 5)


def test_an_empty_line_is_no_head(port: int):
    with line_to(port) as line:
        assert post(line, b"abc") == b"3"
        line.sendall(b"\r\n")
        assert is_closed_within(line, 4)


def test_the_rest_of_a_body_that_nobody_wanted_is_no_head(port: int):
    with line_to(port) as line:
        line.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n")
        assert answer(line) == b"0"
        for _ in range(3):
            line.sendall(bytes(100_000))
            assert not is_closed_within(line, 0.25)
        assert post(line, b"abc") == b"3"


def ask_for_much(port: int) -> socket.socket:
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    line.settimeout(10)
    line.connect(("127.0.0.1", port))
    line.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    return line


def test_who_takes_nothing_of_an_answer_is_not_waited_for(port: int, application: Application):
    drained_n, ended_n = application.drained_n, application.ended_n
    with ask_for_much(port) as line:
        wait_until(lambda: application.ended_n > ended_n)
        assert application.drained_n == drained_n
        taken_bytes = 0
        with suppress(ConnectionResetError):
            while piece := line.recv(1 << 20):
                taken_bytes += len(piece)
    assert taken_bytes < LARGE_BYTES


def test_who_takes_an_answer_slowly_gets_all_of_it(port: int, application: Application):
    drained_n, taken_bytes, begun_s = application.drained_n, 0, time.monotonic()
    with ask_for_much(port) as line:
        while taken_bytes < LARGE_BYTES:
            piece = line.recv(1 << 20)
            assert piece
            taken_bytes += len(piece)
            if taken_bytes < LARGE_BYTES // 2:
                assert application.drained_n == drained_n
            # Four times as long as nobody may take nothing.
            PULSE.wait(max(0.0, taken_bytes / LARGE_BYTES * 2 - (time.monotonic() - begun_s)))
    wait_until(lambda: application.drained_n > drained_n)
