"""Large answers on their way through Ray Serve's proxy: who does not read them costs little memory."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from flow_ends import FILE_PIECE, FILE_PIECES_N, HTTP, Giver, GreedyProxy, Reader, Sender, settled
from starlette.types import Message, Receive, Scope, Send

from serve.platform.flow import (
    ANSWER_TOLD_EVERY_BYTES,
    ANSWER_WINDOW_BYTES,
    ANSWERS_SHARED_BYTES,
    DRAINED,
    GATHERED_BYTES,
    LARGE_PIECE_BYTES,
    LAST_BYTES,
    TAKEN,
    Held,
    Telling,
)


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


@pytest.mark.parametrize("is_taken", [True, False], ids=["taken", "left"])
def test_an_answer_that_fits_on_the_way_is_over_when_hardly_anything_is_left_there(is_taken: bool):
    """Else, readers that stop would cost memory and no place."""
    size_bytes = ANSWER_WINDOW_BYTES // 2

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(size_bytes)})

    async def call() -> None:
        arrives: asyncio.Queue[Message] = asyncio.Queue()
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        task = asyncio.create_task(Telling(app)({**HTTP, "extensions": {TAKEN: {}}}, arrives.get, send))
        await settled()
        assert not sent[-1]["more_body"]
        arrives.put_nowait({"type": TAKEN, "bytes": size_bytes - LAST_BYTES})
        await settled()
        assert not task.done()
        end = {"type": TAKEN, "bytes": size_bytes - LAST_BYTES + 1} if is_taken else {"type": "http.disconnect"}
        arrives.put_nowait(end)
        await asyncio.wait_for(task, 10)

    asyncio.run(call())


def test_a_small_answer_is_over_at_once():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(LAST_BYTES - 1)})

    async def never() -> Message:
        raise AssertionError("nobody needs to listen")

    sender = Sender(0)
    asyncio.run(Telling(app)({**HTTP, "extensions": {TAKEN: {}}}, never, sender.send))
    assert len(sender.answers) == 2


def test_who_has_the_answer_has_left_when_the_line_has_taken_it():
    heard: list[Message] = []

    async def call() -> None:
        drained = asyncio.Event()

        async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
            assert scope["extensions"] == {TAKEN: {}}
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"all"})
            heard.append(await receive())

        reader = Reader()
        reader.leave()
        scope = {**HTTP, "extensions": {DRAINED: {"wait": drained.wait}}}
        task = asyncio.create_task(Held(proxy)(scope, reader.receive, reader.send))
        await settled()
        assert heard == []
        drained.set()
        await asyncio.wait_for(task, 10)

    asyncio.run(call())
    assert heard == [{"type": "http.disconnect"}]


def test_a_thread_that_still_reads_hears_that_the_call_is_cancelled():
    async def call() -> Message:
        elsewhere: asyncio.Task[Message] | None = None

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal elsewhere
            elsewhere = asyncio.ensure_future(receive())
            await asyncio.shield(elsewhere)

        telling = Telling(app)({**HTTP, "extensions": {TAKEN: {}}}, Reader().receive, Reader().send)
        task = asyncio.create_task(telling)
        await settled()
        task.cancel()
        await asyncio.wait([task])
        assert elsewhere is not None
        return await asyncio.wait_for(elsewhere, 10)

    assert asyncio.run(call()) == {"type": "http.disconnect"}


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
        # Large ones wait for as much as has gone before.
        for n in range(1, 3 * LARGE_PIECE_BYTES // len(small)):
            await send({"type": "http.response.body", "body": small, "more_body": True})
            assert len(sent) == n
        for piece in (large, large, small):
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])

    reader = Reader()
    reader.leave()
    asyncio.run(Telling(app)({**HTTP, "extensions": {TAKEN: {}}}, reader.receive, send))
    assert sent[-2:] == [small, large + large + small]


def test_answers_that_come_by_no_proxy_stay_as_they_are(giver: Giver):
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Telling(giver)(HTTP, Reader().receive, send))
    assert [message["body"] for message in sent[1:]] == [FILE_PIECE] * FILE_PIECES_N + [b""]
