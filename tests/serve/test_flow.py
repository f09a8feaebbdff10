"""Large bodies on their way through Ray Serve's proxy: never much of them between the sender and the application."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from serve.platform.flow import (
    ANSWER_TOLD_EVERY_BYTES,
    ANSWER_WINDOW_BYTES,
    ANSWERS_SHARED_BYTES,
    GATHERED_BYTES,
    LARGE_PIECE_BYTES,
    LONGEST_STALL_S,
    TAKEN,
    TOLD_EVERY_BYTES,
    WINDOW_BYTES,
    Held,
    Telling,
)

PIECE = bytes(range(250)) * 400
# As a file is read.
FILE_PIECE = bytes(range(256)) * 4096
FILE_PIECES_N = 3 * (ANSWER_WINDOW_BYTES + ANSWERS_SHARED_BYTES) // len(FILE_PIECE)


class Sender:
    """Sends pieces as fast as they are asked for."""

    def __init__(self, pieces_n: int) -> None:
        self.pieces_n = pieces_n
        self.sent_n = 0
        self.answers: list[Message] = []

    async def receive(self) -> Message:
        if self.sent_n == self.pieces_n:
            await asyncio.Event().wait()
        self.sent_n += 1
        return {"type": "http.request", "body": PIECE, "more_body": self.sent_n < self.pieces_n}

    async def send(self, message: Message) -> None:
        self.answers.append(message)


class GreedyProxy:
    """Keeps without end what is on its way, as Ray's does: bodies to the application, and its answers."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.most_waiting_bytes = self.answers_bytes = self.most_answers_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        waiting: asyncio.Queue[Message] = asyncio.Queue()
        answers: asyncio.Queue[Message | None] = asyncio.Queue()

        async def read() -> None:
            while True:
                waiting.put_nowait(await receive())
                self.most_waiting_bytes = max(self.most_waiting_bytes, waiting.qsize() * len(PIECE))

        async def keep(message: Message) -> None:
            answers.put_nowait(message)
            self.answers_bytes += len(message.get("body", b""))
            self.most_answers_bytes = max(self.most_answers_bytes, self.answers_bytes)

        async def answer() -> None:
            try:
                await self._app(scope, waiting.get, keep)
            finally:
                answers.put_nowait(None)

        tasks = [asyncio.create_task(read()), asyncio.create_task(answer())]
        try:
            while (message := await answers.get()) is not None:
                await send(message)
                self.answers_bytes -= len(message.get("body", b""))
            await tasks[1]
        finally:
            for task in tasks:
                task.cancel()


class Reader:
    """A caller that reads its answer until it stops."""

    def __init__(self, reads_bytes: float = float("inf")) -> None:
        self._reads_bytes = reads_bytes
        self._body = bytearray()
        self._has_left = asyncio.Event()
        self.is_complete = False

    @property
    def read_bytes(self) -> int:
        return len(self._body)

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self._body).digest()

    def leave(self) -> None:
        self._has_left.set()

    async def receive(self) -> Message:
        await self._has_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.read_bytes >= self._reads_bytes:
            await self._has_left.wait()
        if message["type"] == "http.response.body" and not self._has_left.is_set():
            self._body += message["body"]
            self.is_complete = not message.get("more_body", False)


class Giver:
    """Answers with a file, piece by piece, and may listen to the caller meanwhile."""

    def __init__(self, *, listens: bool) -> None:
        self._spec = "2.3" if listens else "2.4"
        self.given_n = self.ended_n = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        for _ in range(FILE_PIECES_N):
            self.given_n += 1
            yield FILE_PIECE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await StreamingResponse(self.pieces())({**scope, "asgi": {"spec_version": self._spec}}, receive, send)
        finally:
            self.ended_n += 1


HTTP = {"type": "http", "headers": []}


async def settled() -> None:
    """Give all others many turns."""
    for _ in range(1000):
        await asyncio.sleep(0)


def run(app: Callable[[Scope, Receive, Send], Awaitable[None]], sender: Sender, **scope: Any) -> None:
    asyncio.run(app({"type": "http", "headers": [], **scope}, sender.receive, sender.send))


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


@pytest.fixture(params=[True, False], ids=["listens", "never listens"])
def giver(request: pytest.FixtureRequest) -> Giver:
    return Giver(listens=request.param)


def test_a_large_answer_arrives_whole_and_is_never_whole_between(giver: Giver):
    proxy = GreedyProxy(Telling(giver))
    reader = Reader()
    asyncio.run(Held(proxy)(HTTP, reader.receive, reader.send))
    assert reader.is_complete
    assert reader.sha256 == hashlib.sha256(FILE_PIECE * FILE_PIECES_N).digest()
    one_bytes = GATHERED_BYTES + len(FILE_PIECE)
    assert 0 < proxy.most_answers_bytes <= ANSWER_WINDOW_BYTES + ANSWERS_SHARED_BYTES + one_bytes


def test_readers_that_stop_hold_up_no_other_and_little_memory(giver: Giver):
    stopped, last = [Reader(reads_bytes=1) for _ in range(6)], Reader()

    async def all_read() -> GreedyProxy:
        proxy = GreedyProxy(Telling(giver))
        held = Held(proxy)
        tasks = [asyncio.create_task(held(HTTP, reader.receive, reader.send)) for reader in stopped]
        await settled()
        stopped_bytes = proxy.answers_bytes
        one_bytes = ANSWER_WINDOW_BYTES + GATHERED_BYTES + len(FILE_PIECE)
        assert stopped_bytes <= ANSWERS_SHARED_BYTES + len(stopped) * one_bytes
        await held(HTTP, last.receive, last.send)
        assert proxy.answers_bytes == stopped_bytes
        assert not any(task.done() for task in tasks)
        for reader in stopped:
            reader.leave()
        await asyncio.gather(*tasks)
        return proxy

    asyncio.run(all_read())
    assert last.is_complete
    assert last.read_bytes == FILE_PIECES_N * len(FILE_PIECE)
    assert giver.ended_n == 7
    assert not any(reader.is_complete for reader in stopped)


@pytest.mark.parametrize("way", ["leaves", "is cancelled"])
def test_what_a_stopped_reader_shared_is_given_back(giver: Giver, way: str):
    """The next one that stops may have as much under way as the first one had; no task stays behind."""

    async def stop_and_end(telling: Telling) -> int:
        proxy, reader = GreedyProxy(telling), Reader(reads_bytes=1)
        task = asyncio.create_task(Held(proxy)(HTTP, reader.receive, reader.send))
        await settled()
        if way == "leaves":
            reader.leave()
        else:
            task.cancel()
        await asyncio.wait([task])
        await settled()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return proxy.most_answers_bytes

    async def twice() -> tuple[int, int]:
        telling = Telling(giver)
        return await stop_and_end(telling), await stop_and_end(telling)

    first_bytes, second_bytes = asyncio.run(twice())
    assert first_bytes == second_bytes > ANSWERS_SHARED_BYTES


def test_who_left_stays_away():
    told: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.extend([await receive(), await receive()])

    reader = Reader()
    reader.leave()
    asyncio.run(asyncio.wait_for(Telling(app)({**HTTP, "extensions": {TAKEN: {}}}, reader.receive, reader.send), 10))
    assert told == [{"type": "http.disconnect"}] * 2


def test_nothing_more_is_sent_to_who_left(giver: Giver):
    sent_bytes = 0

    async def call() -> None:
        arrives: asyncio.Queue[Message] = asyncio.Queue()

        async def send(message: Message) -> None:
            nonlocal sent_bytes
            sent_bytes += len(message.get("body", b""))

        task = asyncio.create_task(Telling(giver)({**HTTP, "extensions": {TAKEN: {}}}, arrives.get, send))
        await settled()
        before_bytes = sent_bytes
        assert not task.done()
        arrives.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(task, 10)
        assert sent_bytes == before_bytes

    asyncio.run(call())
    assert giver.ended_n == 1


def test_an_answer_ends_when_its_proxy_dies(giver: Giver, caplog: pytest.LogCaptureFixture):
    async def call() -> None:
        dies = asyncio.Event()

        async def receive() -> Message:
            await dies.wait()
            raise ConnectionError("the actor died")

        async def send(message: Message) -> None:
            """Nobody hears it."""

        task = asyncio.create_task(Telling(giver)({**HTTP, "extensions": {TAKEN: {}}}, receive, send))
        await settled()
        assert not task.done()
        dies.set()
        await asyncio.wait_for(task, 10)

    asyncio.run(call())
    assert giver.ended_n == 1
    assert "ConnectionError" in caplog.text


class SetClockLoop(asyncio.SelectorEventLoop):
    """Time goes by only as a test says."""

    now_s = 0.0

    def time(self) -> float:
        return self.now_s


async def later(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SetClockLoop)
    await settled()
    loop.now_s += seconds
    await settled()


def test_who_takes_nothing_for_long_is_given_up(giver: Giver):
    async def call() -> None:
        reader = Reader(reads_bytes=1)
        held = Held(GreedyProxy(Telling(giver)))
        task = asyncio.create_task(held(HTTP, reader.receive, reader.send))
        await later(LONGEST_STALL_S - 1)
        assert giver.ended_n == 0
        await later(2)
        assert giver.ended_n == 1
        reader.leave()
        await task

    with asyncio.Runner(loop_factory=SetClockLoop) as runner:
        runner.run(call())


def test_who_takes_a_little_now_and_then_is_not_given_up():
    """What was taken counts, even while it makes no room."""
    large = bytes(ANSWER_WINDOW_BYTES + ANSWERS_SHARED_BYTES + 3 * ANSWER_TOLD_EVERY_BYTES)
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.body", "body": large, "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    async def send(message: Message) -> None:
        sent.append(message)

    async def call() -> None:
        arrives: asyncio.Queue[Message] = asyncio.Queue()
        task = asyncio.create_task(Telling(app)({**HTTP, "extensions": {TAKEN: {}}}, arrives.get, send))
        for told_n in (1, 2, 3):
            await later(LONGEST_STALL_S - 1)
            arrives.put_nowait({"type": TAKEN, "bytes": told_n * ANSWER_TOLD_EVERY_BYTES})
            await settled()
            assert len(sent) == 1
        arrives.put_nowait({"type": TAKEN, "bytes": len(large)})
        await task

    with asyncio.Runner(loop_factory=SetClockLoop) as runner:
        runner.run(call())
    assert sent[-1]["body"] == b"end"


def test_a_file_that_fits_on_the_way_is_over_when_little_of_it_is_left_there():
    """Else, readers that stop would keep what all share."""
    pieces_n = (ANSWER_WINDOW_BYTES + ANSWERS_SHARED_BYTES // 2) // len(FILE_PIECE)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(pieces_n):
            await send({"type": "http.response.body", "body": FILE_PIECE, "more_body": True})
        await send({"type": "http.response.body"})

    async def call() -> None:
        arrives: asyncio.Queue[Message] = asyncio.Queue()
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        task = asyncio.create_task(Telling(app)({**HTTP, "extensions": {TAKEN: {}}}, arrives.get, send))
        await settled()
        assert sum(len(message.get("body", b"")) for message in sent) == pieces_n * len(FILE_PIECE)
        assert not sent[-1]["more_body"]
        assert not task.done()
        arrives.put_nowait({"type": TAKEN, "bytes": pieces_n * len(FILE_PIECE) - ANSWER_TOLD_EVERY_BYTES})
        await asyncio.wait_for(task, 10)

    asyncio.run(call())


def test_small_answers_are_not_talked_about():
    told: list[Message] = []
    body = bytes(ANSWER_TOLD_EVERY_BYTES - 1)

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
        while (message := await receive())["type"] != "http.disconnect":
            told.append(message)

    reader = Reader()
    reader.leave()
    asyncio.run(Held(proxy)(HTTP, reader.receive, reader.send))
    assert told == []


def test_events_go_out_as_they_come():
    """Small pieces never wait for others, however many there are; large ones go out together."""
    small, large = b"e" * 1000, b"f" * LARGE_PIECE_BYTES
    sent: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for n in range(1, ANSWER_TOLD_EVERY_BYTES // len(small)):
            await send({"type": "http.response.body", "body": small, "more_body": True})
            assert len(sent) == n
        for piece in (large, large, small):
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])

    asyncio.run(Telling(app)({**HTTP, "extensions": {TAKEN: {}}}, Reader().receive, send))
    assert sent[-2:] == [small, large + large + small]


def test_answers_that_come_by_no_proxy_stay_as_they_are(giver: Giver):
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Telling(giver)(HTTP, Reader().receive, send))
    assert [message["body"] for message in sent[1:]] == [FILE_PIECE] * FILE_PIECES_N + [b""]
