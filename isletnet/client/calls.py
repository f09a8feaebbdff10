"""The core of the client: what is asked, how answers are read, and when to ask again.

A *flow* is a generator: it yields steps (a call, a pause, some work on files), is sent their outcome, and returns its
value. It knows no network, so both transports run the same flows, and tests run them without any.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias, TypeVar

from isletnet.client.errors import KIND_OF_STATUS, AnswerError, BusyError, ServiceError, UnreachableError

Value = TypeVar("Value")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
# Nothing has ever answered at this address: more likely a wrong one than a restart.
STRANGER_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What is sent, read anew for each attempt; ``sent`` hears the size of each chunk when it is on its way."""

    chunks: Callable[[], Iterator[bytes]]
    size_bytes: int
    content_type: str
    sent: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP call; each does the same done twice as done once. With ``stream``, `Read` gives the body."""

    method: str
    path: str
    query: Mapping[str, str | int | float] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    stream: bool = False
    silence_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a call; ``content`` is empty where it is read as a stream."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Read:
    """Wait for the next bytes of the stream that the last call opened; None at its end."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Run a function that reads or writes files."""

    function: Callable[[], Any]


Step: TypeAlias = Call | Read | Pause | Work
Flow: TypeAlias = Generator[Step, Any, Value]


class Patience:
    """How long a client asks again before it gives up, and whether the service has ever answered it.

    Parameters
    ----------
    seconds
        The sum of the pauses for one thing that is asked.
    chance
        Numbers from 0 to 1, which keep clients from coming back all at once.
    """

    def __init__(self, seconds: float, *, chance: Callable[[], float] = random.random) -> None:
        self.seconds = seconds
        self.chance = chance
        self.met = False


class Persistence:
    """The pauses between the attempts at one thing: growing, or as the service asks for."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._spent_s = 0.0
        self._next_s = FIRST_PAUSE_S

    def pause(self, error: ServiceError) -> Pause:
        """Say how long to wait before the next attempt; raises ``error`` where none makes sense any more."""
        if not isinstance(error, BusyError | UnreachableError):
            raise error
        stranger = isinstance(error, UnreachableError) and not self._patience.met
        allowed_s = min(self._patience.seconds, STRANGER_PATIENCE_S) if stranger else self._patience.seconds
        seconds = error.retry_after_s
        if seconds is None:
            seconds = self._next_s * (0.5 + self._patience.chance() / 2)
            self._next_s = min(2 * self._next_s, LONGEST_PAUSE_S)
        if self._spent_s + seconds > allowed_s:
            raise error
        self._spent_s += seconds
        return Pause(seconds)


def once(call: Call, patience: Patience) -> Flow[Answer]:
    """Make a call, and raise what the service says is wrong."""
    answer: Answer = yield call
    error = error_of(answer)
    patience.met = patience.met or not isinstance(error, AnswerError)
    if error is not None:
        raise error
    return answer


def ask(call: Call, patience: Patience) -> Flow[Answer]:
    """Make a call, again and again while the line is broken or the service says "later"."""
    persistence = Persistence(patience)
    while True:
        try:
            return (yield from once(call, patience))
        except ServiceError as error:
            pause = persistence.pause(error)
        yield pause


def ask_json(call: Call, patience: Patience, read: Callable[[Any], Value]) -> Flow[Value]:
    """Make a call whose answer is JSON, and read that."""
    answer = yield from ask(call, patience)
    return parse(answer.content, read)


def parse(content: bytes, read: Callable[[Any], Value]) -> Value:
    """Read JSON; raises `AnswerError` if it is not what isletnet's service sends."""
    try:
        return read(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnswerError(
            f"expected an answer of isletnet's service, got something else ({type(error).__name__}: {error}); "
            "check the address, and that client and service are of the same version"
        ) from error


def json_body(value: Any) -> Body:
    """Send a value as JSON."""
    content = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True).encode("utf-8", "replace")
    return Body(chunks=lambda: iter((content,)), size_bytes=len(content), content_type="application/json")


def error_of(answer: Answer) -> ServiceError | None:
    """Make an exception of an answer; None if it is a good one."""
    if 200 <= answer.status < 300:
        return None
    told = _told(answer.content)
    kind = KIND_OF_STATUS.get(answer.status, ServiceError if told else AnswerError)
    if not told and answer.status in (404, 500):
        # Only another program has no words for a path it does not know. A process that dies has none either.
        kind = AnswerError if answer.status == 404 else BusyError
    message = told.get("message") or (
        f"the address answered HTTP {answer.status} without saying why; check that isletnet's service is there"
    )
    return kind(
        message,
        code=told.get("code"),
        status=answer.status,
        field=told.get("field"),
        call_id=told.get("request_id") or answer.headers.get("x-request-id"),
        retry_after_s=_retry_after_s(answer.headers),
    )


def _told(content: bytes) -> dict[str, str]:
    try:
        told = json.loads(content)["error"]
        return {str(key): str(value) for key, value in told.items() if value is not None}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds, or a date that is compared with the service's own clock."""
    told = headers.get("retry-after", "").strip()
    if told.isdecimal():
        return float(told)
    then, now = _date(told), _date(headers.get("date", ""))
    return max(0.0, (then - now).total_seconds()) if then and now else None


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None
