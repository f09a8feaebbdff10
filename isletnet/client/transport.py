"""The two ways to the network: each runs flows, one call at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, TypeVar

import httpx

from isletnet.client.calls import Answer, Body, Call, Flow, Pause, Read, Work
from isletnet.client.errors import ServiceError, UnreachableError
from isletnet.errors import ParameterError

Value = TypeVar("Value")

CONNECT_S = 10.0
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def settings(url: str, key: str | None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Make the arguments of either httpx client.

    Raises
    ------
    ParameterError
        An address without http, or a key that no header can hold.
    """
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL:
        base = httpx.URL()
    if base.scheme not in ("http", "https") or not base.host:
        raise ParameterError("expected the service's address, such as http://127.0.0.1:8000", subject=url)
    if key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
        raise ParameterError("expected a key as the service made it: letters, digits and signs, without spaces")
    return {
        "base_url": base,
        "headers": {**(headers or {}), **({"Authorization": f"Bearer {key}"} if key else {})},
        # A proxy of the house has no way to this very machine.
        "trust_env": base.host not in LOOPBACK,
        "follow_redirects": False,
        # Each wait holds one; how many there may be is the service's to say.
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=20),
    }


class SyncTransport:
    """Runs flows on the caller's thread."""

    def __init__(self, url: str, key: str | None, headers: Mapping[str, str] | None = None) -> None:
        self._http = httpx.Client(**settings(url, key, headers))

    def run(self, flow: Flow[Value]) -> Value:
        """Run a flow to its end."""
        opened: httpx.Response | None = None
        chunks: Iterator[bytes] = iter(())
        outcome: Any = None
        error: ServiceError | None = None
        try:
            while True:
                try:
                    step = flow.throw(error) if error else flow.send(outcome)
                except StopIteration as end:
                    value: Value = end.value
                    return value
                outcome, error = None, None
                try:
                    match step:
                        case Call():
                            if opened:
                                opened.close()
                            content = _counted(step.body) if step.body else None
                            opened = self._http.send(_request(self._http, step, content), stream=True)
                            chunks = opened.iter_bytes()
                            outcome = _answer(opened, b"" if _is_stream(step, opened) else opened.read())
                        case Read():
                            outcome = next(chunks, None)
                        case Pause(seconds):
                            time.sleep(seconds)
                        case Work(function):
                            outcome = function()
                except httpx.RequestError as lost:
                    error = _unreachable(self._http.base_url, lost)
        finally:
            flow.close()
            if opened:
                opened.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class AsyncTransport:
    """Runs flows on the event loop, and their work on files beside it."""

    def __init__(self, url: str, key: str | None, headers: Mapping[str, str] | None = None) -> None:
        self._http = httpx.AsyncClient(**settings(url, key, headers))

    async def run(self, flow: Flow[Value]) -> Value:
        """Run a flow to its end."""
        opened: httpx.Response | None = None
        chunks: AsyncIterator[bytes] | None = None
        outcome: Any = None
        error: ServiceError | None = None
        try:
            while True:
                try:
                    step = flow.throw(error) if error else flow.send(outcome)
                except StopIteration as end:
                    value: Value = end.value
                    return value
                outcome, error = None, None
                try:
                    match step:
                        case Call():
                            if opened:
                                await opened.aclose()
                            content = _counted_beside(step.body) if step.body else None
                            opened = await self._http.send(_request(self._http, step, content), stream=True)
                            chunks = opened.aiter_bytes()
                            outcome = _answer(opened, b"" if _is_stream(step, opened) else await opened.aread())
                        case Read():
                            outcome = await anext(chunks, None) if chunks else None
                        case Pause(seconds):
                            await asyncio.sleep(seconds)
                        case Work(function):
                            outcome = await asyncio.to_thread(function)
                except httpx.RequestError as lost:
                    error = _unreachable(self._http.base_url, lost)
        finally:
            flow.close()
            if opened:
                await opened.aclose()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _request(
    http: httpx.Client | httpx.AsyncClient, call: Call, content: Iterator[bytes] | AsyncIterator[bytes] | None
) -> httpx.Request:
    headers = {**call.headers, "Accept-Encoding": "identity"} if call.stream else dict(call.headers)
    if call.body:
        headers |= {"Content-Type": call.body.content_type, "Content-Length": str(call.body.size_bytes)}
    timeout = httpx.Timeout(call.silence_s, connect=CONNECT_S)
    return http.build_request(
        call.method, call.path, params=dict(call.query) or None, headers=headers, content=content, timeout=timeout
    )


def _is_stream(call: Call, response: httpx.Response) -> bool:
    return call.stream and response.is_success


def _answer(response: httpx.Response, content: bytes) -> Answer:
    # httpx's headers are found in any case.
    return Answer(status=response.status_code, headers=response.headers, content=content)


def _counted(body: Body) -> Iterator[bytes]:
    for chunk in body.chunks():
        yield chunk
        body.sent(len(chunk))


async def _counted_beside(body: Body) -> AsyncIterator[bytes]:
    chunks = body.chunks()
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk
        body.sent(len(chunk))


def _unreachable(base: httpx.URL, error: httpx.RequestError) -> UnreachableError:
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    # Without what may stand before the host: a name and a password.
    return UnreachableError(
        f"no whole answer from {base.scheme}://{base.netloc.decode()}/ ({told}); "
        "check the address, that the service runs (isletnet up), and the network"
    )
