"""What comes back from those who do the work, turned into an answer or an error."""

from __future__ import annotations

from typing import TypeVar

from isletnet.errors import InputError, IsletnetError, StoreUnavailableError
from serve.access.refusals import BusyError
from serve.work.tasks import Answer, Broken, Refused

Done = TypeVar("Done")
RETRY_S = 5.0


class RefusedInputError(InputError):
    """What a worker refused, in its own words and under its own code."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message, subject=refused.subject)
        self.code = refused.code


class WorkBrokenError(IsletnetError):
    """A fault of the service stopped the work."""

    code = "unexpected"


def wanted(answer: Answer, kind: type[Done]) -> Done:
    """Return an answer of the wanted kind.

    Raises
    ------
    RefusedInputError
        The caller's data cannot be used.
    StoreUnavailableError
        The store did not answer.
    BusyError
        The work broke off, and may be tried again.
    """
    if isinstance(answer, kind):
        return answer
    if isinstance(answer, Refused):
        raise RefusedInputError(answer)
    if isinstance(answer, Broken) and answer.code == "unexpected":
        raise WorkBrokenError(answer.message)
    if isinstance(answer, Broken) and answer.is_store:
        raise StoreUnavailableError("the store does not answer; try again")
    message = answer.message if isinstance(answer, Broken) else "the work was stopped; try again"
    raise BusyError(message, retry_after_s=RETRY_S)
