"""Large bodies on their way through Ray Serve's proxy: never much of them between the sender and the application."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from flow_ends import PIECE, GreedyProxy, Sender, run
from starlette.types import Receive, Scope, Send

from serve.platform.flow import (
    TAKEN,
    TOLD_EVERY_BYTES,
    WINDOW_BYTES,
    Held,
    Telling,
)


@pytest.fixture
def taken() -> list[bytes]:
    return []


@pytest.fixture
def slow_app(taken: list[bytes]) -> Any:
    """Takes a body slower than it comes, and answers."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            taken.append(message["body"])
            # All others have their turn, several times.
            for _ in range(5):
                await asyncio.sleep(0)
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"thanks"})

    return app


def test_a_large_body_arrives_whole_and_is_never_whole_between(slow_app: Any, taken: list[bytes]):
    sender = Sender(10 * WINDOW_BYTES // len(PIECE))
    proxy = GreedyProxy(Telling(slow_app))
    run(Held(proxy), sender)
    sent = PIECE * sender.pieces_n
    assert hashlib.sha256(b"".join(taken)).digest() == hashlib.sha256(sent).digest()
    assert proxy.most_waiting_bytes <= WINDOW_BYTES + len(PIECE)
    assert [message["type"] for message in sender.answers] == ["http.response.start", "http.response.body"]


def test_nothing_more_is_read_for_an_application_that_takes_nothing():
    sender = Sender(3 * WINDOW_BYTES // len(PIECE))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 413, "headers": []})

    run(Held(GreedyProxy(Telling(app))), sender)
    assert sender.sent_n * len(PIECE) == WINDOW_BYTES
    assert sender.answers[0]["status"] == 413


def test_one_sender_s_body_does_not_hold_up_another_s(slow_app: Any, taken: list[bytes]):
    stuck = asyncio.Event()
    held_up, other = Sender(2 * WINDOW_BYTES // len(PIECE)), Sender(5)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/stuck":
            await stuck.wait()
        else:
            await slow_app(scope, receive, send)

    held = Held(GreedyProxy(Telling(app)))

    async def both() -> None:
        scope = {"type": "http", "headers": []}
        first = asyncio.create_task(held({**scope, "path": "/stuck"}, held_up.receive, held_up.send))
        await asyncio.sleep(0)
        await held({**scope, "path": "/"}, other.receive, other.send)
        assert not first.done()
        stuck.set()
        await first

    asyncio.run(both())
    assert len(taken) == 5
    assert other.answers[-1]["body"] == b"thanks"


def test_small_bodies_are_not_talked_about(slow_app: Any):
    sender = Sender(TOLD_EVERY_BYTES // len(PIECE) - 1)
    run(Telling(slow_app), sender, extensions={TAKEN: {}})
    assert [message["type"] for message in sender.answers] == ["http.response.start", "http.response.body"]


def test_only_who_asks_is_told(slow_app: Any):
    sender = Sender(2 * TOLD_EVERY_BYTES // len(PIECE))
    run(Telling(slow_app), sender)
    assert TAKEN not in {message["type"] for message in sender.answers}
    again = Sender(sender.pieces_n)
    run(Telling(slow_app), again, extensions={TAKEN: {}})
    told = [message["bytes"] for message in again.answers if message["type"] == TAKEN]
    assert told == [TOLD_EVERY_BYTES, 2 * TOLD_EVERY_BYTES]
