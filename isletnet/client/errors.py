"""What the service, or the way to it, answers when it cannot do what is asked.

::

    ServiceError              everything that goes wrong between the client and the service
    ├── UnreachableError      no answer: nothing listens there, or the line broke and stayed broken
    ├── BusyError             it answers "later" for longer than the client's patience (408, 429, 502, 503, 504)
    ├── AccessError           no key, an unknown key, or a key without that scope (401, 403)
    ├── MissingError          there is no such request or file, or it is somebody else's (404)
    │   └── DeletedError      it was there (410)
    ├── RefusedError          what is stored does not allow it (409)
    ├── RejectedError         the image or a parameter cannot be used (400, 413, 415, 416, 422)
    ├── NoSpaceError          the service's disk is full (507)
    ├── TransferError         what arrived is not what was sent
    └── AnswerError           an answer that isletnet's service does not give
"""

from __future__ import annotations

from isletnet.errors import IsletnetError


class ServiceError(IsletnetError):
    """The service could not be reached, or did not do what was asked.

    Parameters
    ----------
    message
        The service's own sentence, or the client's where there was no answer.
    code
        The service's stable code, such as ``parameter_invalid``.
    status
        The HTTP status; None where there was no answer.
    field
        The parameter that it is about, if there is one.
    call_id
        What the operator of the service finds this call by in the log.
    retry_after_s
        When the service wants to be asked again.
    subject
        The file or request that it is about.
    """

    code = "service_failed"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        field: str | None = None,
        call_id: str | None = None,
        retry_after_s: float | None = None,
        subject: str | None = None,
    ) -> None:
        super().__init__(message, subject=subject)
        self.code = code or type(self).code
        self.status = status
        self.field = field
        self.call_id = call_id
        self.retry_after_s = retry_after_s


class UnreachableError(ServiceError):
    """There was no answer."""

    code = "unreachable"


class BusyError(ServiceError):
    """The service says "later"."""

    code = "busy"


class AccessError(ServiceError):
    """The key is absent, unknown or not meant for this."""

    code = "access_denied"


class MissingError(ServiceError):
    """There is nothing of that name, or it belongs to somebody else."""

    code = "not_found"


class DeletedError(MissingError):
    """It was there, and has been deleted or handed out."""

    code = "gone"


class RefusedError(ServiceError):
    """What is stored does not allow it."""

    code = "conflict"


class RejectedError(ServiceError):
    """The image or a parameter cannot be used."""

    code = "rejected"


class NoSpaceError(ServiceError):
    """The service has no space left for images."""

    code = "storage_full"


class TransferError(ServiceError):
    """What arrived is not what was sent."""

    code = "transfer_damaged"


class AnswerError(ServiceError):
    """An answer that isletnet's service does not give."""

    code = "answer_unexpected"


KIND_OF_STATUS: dict[int, type[ServiceError]] = {
    400: RejectedError,
    401: AccessError,
    403: AccessError,
    404: MissingError,
    408: BusyError,
    409: RefusedError,
    410: DeletedError,
    413: RejectedError,
    415: RejectedError,
    416: RejectedError,
    422: RejectedError,
    429: BusyError,
    502: BusyError,
    503: BusyError,
    504: BusyError,
    507: NoSpaceError,
}
