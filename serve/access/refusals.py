"""Calls that are refused before anything is done; each with the status of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from isletnet.errors import IsletnetError


class RefusedError(IsletnetError):
    """A call is refused; ``status`` is the HTTP status, ``headers`` belong to the answer.

    Parameters
    ----------
    message
        One plain sentence.
    retry_after_s
        When to come again, where that helps.
    """

    code = "refused"
    status = 400

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer."""
        return {} if self.retry_after_s is None else {"Retry-After": str(max(1, ceil(self.retry_after_s)))}


class UnauthorizedError(RefusedError):
    """Nobody knows who calls."""

    code = "unauthorized"
    status = 401

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer."""
        return {"WWW-Authenticate": 'Bearer realm="isletnet"'}


class ForbiddenError(RefusedError):
    """Who calls may not do this."""

    code = "forbidden"
    status = 403


class TooLargeError(RefusedError):
    """More bytes than are taken."""

    code = "too_large"
    status = 413


class TooManyError(RefusedError):
    """One principal or address calls too often."""

    code = "too_many"
    status = 429


class BusyError(RefusedError):
    """The service has as much to do as it takes on."""

    code = "busy"
    status = 503
