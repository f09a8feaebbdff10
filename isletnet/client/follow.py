"""Waiting for a request: by the service's events, or by asking where these do not come through."""

from __future__ import annotations

from dataclasses import dataclass

from isletnet.client import records
from isletnet.client.calls import Call, Flow, Patience, Persistence, Read, once, parse
from isletnet.client.errors import AnswerError, RefusedError, ServiceError, UnreachableError
from isletnet.client.send import OnProgress, look

# The service says something every 15 s.
SILENCE_S = 40.0
# How long the service may hold an answer back; short enough for progress to be seen.
WAIT_S = 10


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    kind: str
    data: str


class Events:
    """Cuts a stream of bytes into events (WHATWG HTML, section 9.2), wherever the network cuts it."""

    def __init__(self) -> None:
        self._rest = b""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Event]:
        """Take bytes, give the events that are whole."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        found = []
        for line in lines:
            text = line.removesuffix(b"\r").decode("utf-8", "replace")
            name, _, value = text.partition(":")
            value = value.removeprefix(" ")
            if not text:
                if self._data or self._kind:
                    found.append(Event(self._kind or "message", "\n".join(self._data)))
                self._kind, self._data = "", []
            elif name == "event":
                self._kind = value
            elif name == "data":
                self._data.append(value)
        return found


def wait(patience: Patience, request_id: str, on_progress: OnProgress) -> Flow[records.Status]:
    """Wait until a request has ended, and give its last status."""
    tell = _Teller(on_progress)
    first = yield from look(patience, request_id)
    if first.state == "draft":
        raise RefusedError("this request was not submitted yet; submit it first", subject=request_id)
    tell(first)
    if not first.ended:
        yield from _follow(patience, request_id, tell)
    while True:
        status = yield from look(patience, request_id, wait_s=WAIT_S)
        tell(status)
        if status.ended:
            return status


def _follow(patience: Patience, request_id: str, tell: _Teller) -> Flow[None]:
    """Hear events until the service says that it was the last; give up if there are none."""
    call = Call(method="GET", path=f"/api/requests/{request_id}/events", stream=True, silence_s=SILENCE_S)
    persistence = Persistence(patience)
    while True:
        heard_n = tell.heard_n
        try:
            return (yield from _listen(call, patience, tell))
        except AnswerError:
            return
        except ServiceError as error:
            if tell.heard_n > heard_n:
                persistence = Persistence(patience)
            pause = persistence.pause(error)
        yield pause


def _listen(call: Call, patience: Patience, tell: _Teller) -> Flow[None]:
    """Hear events to the last; raises `AnswerError` if none come through."""
    answer = yield from once(call, patience)
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        raise AnswerError("expected server-sent events, got something else")
    events, heard_n = Events(), tell.heard_n
    try:
        while (chunk := (yield Read())) is not None:
            for event in events.feed(chunk):
                if event.kind == "status":
                    tell(parse(event.data.encode(), records.status))
                elif event.kind == "end":
                    return
    except UnreachableError as error:
        if tell.heard_n == heard_n:
            raise AnswerError("the events were silent") from error
        raise
    raise UnreachableError("the events ended early")


class _Teller:
    """Tells each status once."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._last: records.Status | None = None
        self.heard_n = 0

    def __call__(self, status: records.Status) -> None:
        self.heard_n += 1
        if status == self._last:
            return
        self._last = status
        self._on_progress(
            records.Progress(
                stage="wait",
                fraction=1.0 if status.ended else status.progress_fraction,
                done=sum(image.state in ("done", "failed") for image in status.images),
                total=len(status.images),
                name=next((image.name for image in status.images if image.state == "running"), ""),
                status=status,
            )
        )
