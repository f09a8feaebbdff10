"""Bodies of calls on their way into the store: piece by piece, so that none is ever whole in memory.

The store is written by a thread, which asks the event loop for each piece when it is ready for it. So a fast sender
waits for a slow disk, and a sender who stops, or drips, ends the upload; what was written of it is discarded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import chain
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, from_thread, to_thread
from starlette.requests import ClientDisconnect, Request

from isletnet.errors import IsletnetError
from serve.access.identity import Principal
from serve.access.limits import BODIES_AT_ONCE
from serve.access.refusals import BusyError, TooLargeError
from serve.doors.deps import Deps
from serve.doors.problems import BadRequestError, SlowError

Value = TypeVar("Value")

BUSY_RETRY_S = 2.0
# Slower than this on the whole is no upload but an attempt to occupy the service.
SLOWEST_BYTES_PER_S = 500
SMALL_BODY_BYTES = 1_000_000
PASSED_ON_BYTES = 1_000_000
_SIGNATURE_BYTES = 16

# Uploads wait for their senders, so they must not take the threads of all others.
_THREADS = CapacityLimiter(BODIES_AT_ONCE)


class BrokenOffError(IsletnetError):
    """The sender went away in the middle; nobody hears the answer."""

    code = "broken_off"


class Body:
    """The body of a call, to be read once, by a thread.

    Parameters
    ----------
    request
        The call.
    who
        The caller.
    deps
        For the limits, the clock and the patience.
    """

    def __init__(self, request: Request, who: Principal, deps: Deps) -> None:
        self._who, self._deps = who, deps
        self._stream = request.stream()
        self._begun_s = deps.monotonic()
        self._arrived_bytes = 0
        self._is_over = False
        self.announced_bytes = announced_bytes(request)
        self.content_type = request.headers.get("content-type", "")

    async def in_thread(self, work: Callable[[], Value]) -> Value:
        """Run what reads this body, and end it if the call ends."""
        if _THREADS.available_tokens < 1:
            raise BusyError("many files are on their way already; come again", retry_after_s=BUSY_RETRY_S)
        try:
            with self._deps.limits.bodies.hold(self._who):
                return await to_thread.run_sync(work, limiter=_THREADS)
        finally:
            self._is_over = True

    def pieces(self) -> Iterator[bytes]:
        """Read on, in a thread.

        Raises
        ------
        SlowError
            The sender is silent, or drips.
        BrokenOffError
            The sender went away.
        """
        while piece := from_thread.run(self._next):
            yield piece

    def small(self) -> bytes:
        """Read all of it, in a thread, if it is small; raises ``TooLargeError`` otherwise, and like `pieces`."""
        if (self.announced_bytes or 0) > SMALL_BODY_BYTES:
            raise TooLargeError(f"at most {SMALL_BODY_BYTES} bytes are taken here")
        return read_small(self.pieces())

    async def _next(self) -> bytes:
        """Wait for the first piece, which may be refused; then for as many as are worth the way to the thread."""
        pieces = [await self._piece()]
        if self._arrived_bytes > len(pieces[0]):
            while pieces[-1] and sum(map(len, pieces)) < PASSED_ON_BYTES:
                pieces.append(await self._piece())
        return b"".join(pieces)

    async def _piece(self) -> bytes:
        if self._is_over:
            raise BrokenOffError("the call has ended")
        try:
            with anyio.fail_after(self._deps.stall_s):
                # Empty pieces are no end.
                while not (piece := await anext(self._stream, None)) and piece is not None:
                    pass
        except TimeoutError:
            raise SlowError(f"nothing came for {self._deps.stall_s:g} s; send again") from None
        except ClientDisconnect:
            raise BrokenOffError("the sender went away") from None
        self._arrived_bytes += len(piece or b"")
        if piece:
            check_pace(self._arrived_bytes, self._deps.monotonic() - self._begun_s, stall_s=self._deps.stall_s)
        return piece or b""


def check_pace(arrived_bytes: int, elapsed_s: float, *, stall_s: float) -> None:
    """Raise ``SlowError`` where a body drips; a silence of ``stall_s`` now and then is none."""
    if arrived_bytes < (elapsed_s - 2 * stall_s) * SLOWEST_BYTES_PER_S:
        raise SlowError("the body comes too slowly; send again over a better line")


def announced_bytes(request: Request) -> int | None:
    """Read how large the body will be; None if that is not said."""
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise BadRequestError("the header Content-Length is a number of bytes")
    return int(text)


def read_small(pieces: Iterator[bytes], limit_bytes: int = SMALL_BODY_BYTES) -> bytes:
    """Read what must be whole in memory, up to a limit; raises ``TooLargeError`` beyond it."""
    # Grows in place, where joined pieces would be in memory twice.
    whole = BytesIO()
    for piece in pieces:
        if whole.tell() + len(piece) > limit_bytes:
            raise TooLargeError(f"at most {limit_bytes} bytes are taken here; more came")
        whole.write(piece)
    return whole.getvalue()


def picture_pieces(pieces: Iterator[bytes], name: str, check: Callable[[bytes], None]) -> Iterator[bytes]:
    """Pass a picture on once its first bytes are looked at, so that nothing is stored of what is none.

    Parameters
    ----------
    name
        Of the file; stands in the answer if it is refused.
    check
        Raises ``InputError`` for bytes that begin no picture.
    """
    start: list[bytes] = []
    while sum(map(len, start)) < _SIGNATURE_BYTES and (piece := next(pieces, b"")):
        start.append(piece)
    try:
        check(b"".join(start))
    except IsletnetError as error:
        raise type(error)(error.message, subject=name) from None
    return chain(start, pieces)


def counted(pieces: Iterator[bytes], count: Callable[[int], None]) -> Iterator[bytes]:
    """Count each piece before it is passed on."""
    for piece in pieces:
        count(len(piece))
        yield piece
