"""What went wrong, as an answer: one shape for everything, and never a trace, a path or a secret in it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from isletnet.errors import InputError, IsletnetError
from serve.access.refusals import RefusedError

CLIENT_LEFT = 499
STATUS_OF_CODE: Mapping[str, int] = {
    "bad_input": 422,
    "image_unsupported": 415,
    "image_damaged": 422,
    "image_too_large": 422,
    "calibration_invalid": 422,
    "parameter_invalid": 422,
    "network_unusable": 422,
    "storage_unavailable": 503,
    "storage_full": 507,
    "not_found": 404,
    "already_stored": 409,
    "conflict": 409,
    "lease_lost": 409,
    "clock_jumped": 409,
    "gone": 410,
    "worker_lost": 503,
    # Nobody hears it; it keeps those who go away from being counted as faults of the service.
    "broken_off": CLIENT_LEFT,
}
# In place of words that are not for callers.
_PLAIN = "the service has a fault; its operator finds more under this request id"
_OF_ADDRESS = {
    400: ("bad_request", "the body cannot be read; send what the documentation says"),
    404: ("not_found", "there is no such address"),
    405: ("method_not_allowed", "this address does not know that method"),
}
_RETRY_S = 5

_LOG = logging.getLogger("isletnet.serve.problems")


class SlowError(RefusedError):
    """The sender is too slow."""

    code = "slow"
    status = 408


class BadRequestError(RefusedError):
    """The call itself is malformed."""

    code = "bad_request"
    status = 400


class RangeError(RefusedError):
    """There are no such bytes."""

    code = "range_invalid"
    status = 416


def install(app: FastAPI) -> None:
    """Let an application answer all that goes wrong."""

    async def on_known(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, IsletnetError)
        return of_error(request, error)

    async def on_parameters(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        if first["type"] == "json_invalid":
            return answer(request, 422, "parameter_invalid", "the body is no JSON", field=None)
        return answer(request, 422, "parameter_invalid", plain(first["msg"]), field=field or None)

    async def on_address(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if isinstance(error.__cause__, IsletnetError):
            return of_error(request, error.__cause__)
        code, message = _OF_ADDRESS.get(error.status_code, ("refused", "this is refused"))
        return answer(request, error.status_code, code, message, headers=error.headers)

    app.add_exception_handler(IsletnetError, on_known)
    app.add_exception_handler(RequestValidationError, on_parameters)
    app.add_exception_handler(HTTPException, on_address)


def unexpected(request: Request) -> JSONResponse:
    """Answer what nobody thought of."""
    return answer(request, 500, "unexpected", _PLAIN)


def of_error(request: Request, error: IsletnetError) -> JSONResponse:
    """Answer what is known to go wrong."""
    if isinstance(error, RefusedError):
        return answer(request, error.status, error.code, error.message, headers=error.headers)
    status = STATUS_OF_CODE.get(error.code)
    if status is None:
        _LOG.error("call %s: %s", request.state.call_id, error, exc_info=error)
        return answer(request, 500, error.code, _PLAIN)
    field = error.subject if isinstance(error, InputError) else None
    headers = {"Retry-After": str(_RETRY_S)} if status == 503 else None
    return answer(request, status, error.code, error.message, field=field, headers=headers)


def answer(
    request: Request,
    status: int,
    code: str,
    message: str,
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Write the answer; ``field`` names the parameter or the file that it is about."""
    request.state.noted = {"failures": (code,)}
    error = {"code": code, "message": message, "request_id": request.state.call_id}
    if field is not None:
        error["field"] = field[:300].encode("utf-8", "replace").decode()
    return JSONResponse({"error": error}, status, headers=dict(headers or {}))


def plain(message: str) -> str:
    """Make a message of pydantic one sentence of ours."""
    return message.removeprefix("Value error, ")[:300]
