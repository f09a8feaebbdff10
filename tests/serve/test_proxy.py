"""Answers of the proxy itself become those of the service; the application's stay as they are."""

import asyncio
import json

import httpx
import pytest
from ray._common.utils import import_attr
from ray.serve._private.http_util import RequestIdMiddleware
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.platform import proxy
from serve.platform.flow import TAKEN


def proxied(app: ASGIApp) -> ASGIApp:
    for middleware in proxy.middlewares():
        app = middleware.cls(app)
    return app


def ask(answer: ASGIApp) -> httpx.Response:
    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(proxied(answer))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get("/api/requests/1")

    return asyncio.run(call())


@pytest.mark.parametrize(
    ("said", "told", "code"), [(404, 503, "busy"), (500, 503, "busy"), (503, 503, "busy"), (408, 408, "slow")]
)
def test_what_the_proxy_says_by_itself_means_come_again(said: int, told: int, code: str):
    answer = ask(PlainTextResponse("Path not found. Ping /-/routes", said, {"x-request-id": "7"}))
    assert answer.status_code == told
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["retry-after"] == "5"
    error = json.loads(answer.content)["error"]
    assert (error["code"], error["request_id"]) == (code, "7")
    assert "routes" not in answer.text


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_what_the_application_says_stays(status: int):
    own = Response(b'{"error": 1}', status, {"x-content-type-options": "nosniff"}, "application/json")
    answer = ask(own)
    assert (answer.status_code, answer.content) == (status, b'{"error": 1}')


def test_an_answer_has_one_request_id_that_of_the_application():
    own = Response(b"", 200, {"x-content-type-options": "nosniff", "x-request-id": "7"})
    assert ask(RequestIdMiddleware(own)).headers.get_list("x-request-id") == ["7"]


def test_a_long_answer_goes_through_in_pieces():
    answer = ask(StreamingResponse(iter([b"a" * 9, b"b"]), headers={"x-content-type-options": "nosniff"}))
    assert answer.content == b"aaaaaaaaab"


def test_a_call_that_ends_without_an_answer_means_come_again():
    async def dies(scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"].append((b"x-request-id", b"7"))
        # What it had told before its end is no answer.
        await send({"type": TAKEN, "bytes": 1})

    answer = ask(dies)
    error = json.loads(answer.content)["error"]
    assert (answer.status_code, error["code"], error["request_id"]) == (503, "busy", "7")
    assert answer.headers["retry-after"] == "5"


def test_ray_finds_it():
    assert import_attr(proxy.IMPORT_PATH) is proxy.middlewares
