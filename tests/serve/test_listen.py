"""The API's own server: shared ports, calls whose caller leaves, too many of them, and an end in good order."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from serve.platform import listen
from serve.platform.listen import Server
from tests.deploy.one_host import free_ports
from tests.serve.listening import listening

PULSE = threading.Event()


class Application:
    """Says its name at once; at ``/wait`` when it is let, at ``/late`` it has more to do when the answer is out."""

    def __init__(self, name: str = "a") -> None:
        self._name = name.encode()
        self.events: Counter[str] = Counter()
        self.may_answer = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.events["begun"] += 1
        try:
            while scope["path"] == "/wait" and not self.may_answer.is_set():
                await asyncio.sleep(0.01)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": self._name})
            while scope["path"] == "/late" and not self.may_answer.is_set():
                await asyncio.sleep(0.01)
            self.events["done"] += 1
        except asyncio.CancelledError:
            self.events["cancelled"] += 1
            raise


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        PULSE.wait(0.01)
    raise AssertionError("not within 10 s")


def line_to(port: int, path: str) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), timeout=10)
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return line


def test_several_processes_share_a_port_and_one_that_ends_takes_no_calls_with_it() -> None:
    def names(number: int) -> Counter[str]:
        # A connection each, as they are what is dealt out.
        return Counter(httpx.get(f"http://127.0.0.1:{port}/").text for _ in range(number))

    with listening(Application("a")) as (port, _):
        with listening(Application("b"), port):
            assert set(names(60)) == {"a", "b"}
        assert names(60) == {"a": 60}


def test_a_port_of_somebody_else_is_not_shared() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            Server("127.0.0.1", other.getsockname()[1])


def test_a_call_ends_when_its_caller_leaves() -> None:
    app = Application()
    with listening(app) as (port, _):
        with line_to(port, "/wait"):
            wait_until(lambda: app.events["begun"] == 1)
            assert app.events["cancelled"] == 0
        wait_until(lambda: app.events["cancelled"] == 1)
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "a"


def test_what_is_left_to_do_behind_an_answer_is_done_though_the_caller_has_left() -> None:
    app = Application()
    with listening(app) as (port, _):
        with line_to(port, "/late") as line:
            assert line.recv(1000).startswith(b"HTTP/1.1 200")
        with line_to(port, "/"):
            wait_until(lambda: app.events["done"] == 1)
        app.may_answer.set()
        wait_until(lambda: app.events["done"] == 2)
    assert app.events["cancelled"] == 0


def test_beyond_what_one_process_takes_callers_are_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "MOST_CALLS", 3)
    app = Application()
    with listening(app) as (port, _), ExitStack() as lines:
        for number in range(3):
            lines.enter_context(line_to(port, "/wait"))
            wait_until(lambda number=number: app.events["begun"] == number + 1)  # type: ignore[misc]
        answer = httpx.get(f"http://127.0.0.1:{port}/")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
        assert answer.headers["retry-after"] == "5"
        assert answer.headers["x-request-id"] == answer.json()["error"]["request_id"]
        assert httpx.get(f"http://127.0.0.1:{port}/api/health/live").status_code == 200
        app.may_answer.set()
        wait_until(lambda: app.events["done"] == 4)
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200


def test_calls_under_way_are_answered_before_the_end() -> None:
    app = Application()
    with ThreadPoolExecutor(1) as pool:
        with listening(app) as (port, server):
            asked = pool.submit(httpx.get, f"http://127.0.0.1:{port}/wait", timeout=10)
            wait_until(lambda: app.events["begun"] == 1)
            assert server.is_open
            threading.Timer(0.3, app.may_answer.set).start()
        assert not server.is_open
        assert asked.result().text == "a"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/")


def test_who_would_have_to_wait_beyond_the_end_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "LAST_ANSWERS_S", 1)
    app = Application()
    with ThreadPoolExecutor(1) as pool:
        with listening(app) as (port, _):
            asked = pool.submit(httpx.get, f"http://127.0.0.1:{port}/wait", timeout=10)
            wait_until(lambda: app.events["begun"] == 1)
        answer = asked.result()
    assert (answer.status_code, json.loads(answer.content)["error"]["code"]) == (503, "busy")
    assert app.events["cancelled"] == 1


def test_what_a_proxy_or_a_liar_says_of_the_caller_is_no_address() -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["client"][0], scope["scheme"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with listening(app) as (port, _):
        httpx.get(f"http://127.0.0.1:{port}/", headers={"X-Forwarded-For": "10.0.0.7", "X-Forwarded-Proto": "https"})
    assert seen == [("127.0.0.1", "http")]


def test_it_listens_where_it_is_told() -> None:
    (port,) = free_ports(1)
    server = Server("::1", port)
    assert not server.is_open
    with pytest.raises(OSError, match="in use"), socket.socket(socket.AF_INET6) as other:
        other.bind(("::1", port))
