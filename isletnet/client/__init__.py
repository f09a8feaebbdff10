"""The client of isletnet's service: `Client` for scripts and notebooks, `AsyncClient` for programs with an event loop.

It knows the service by its HTTP API alone. Both clients run the same flows: what is asked and how answers are read is
written once, in rooms that know no network; `transport` is all that they do not share.
"""

from isletnet.client.asynchronous import AsyncClient, AsyncRequest
from isletnet.client.errors import (
    AccessError,
    AnswerError,
    BusyError,
    DeletedError,
    MissingError,
    NoSpaceError,
    RefusedError,
    RejectedError,
    ServiceError,
    TransferError,
    UnreachableError,
)
from isletnet.client.records import (
    Analysed,
    Corrected,
    ImageStatus,
    Key,
    NewKey,
    Page,
    Progress,
    Results,
    Status,
    Version,
)
from isletnet.client.sync import Client, Request

__all__ = [
    "AccessError",
    "Analysed",
    "AnswerError",
    "AsyncClient",
    "AsyncRequest",
    "BusyError",
    "Client",
    "Corrected",
    "DeletedError",
    "ImageStatus",
    "Key",
    "MissingError",
    "NewKey",
    "NoSpaceError",
    "Page",
    "Progress",
    "RefusedError",
    "RejectedError",
    "Request",
    "Results",
    "ServiceError",
    "Status",
    "TransferError",
    "UnreachableError",
    "Version",
]
