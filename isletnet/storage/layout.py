"""The layout of keys, and the records that they hold.

::

    requests/<id>/draft.json              opened: whose it is, since when
    requests/<id>/images/<k>/original     bytes as received; then meta.json beside it
    requests/<id>/request.json            the commit: submitted or, where a draft expired, abandoned
    requests/<id>/attempts/<n>/claim.json who works on it; beats/<n>: signs of life; end.json: why it gave up
    requests/<id>/attempts/<n>/files/...  its outputs; those of image k in images/<k>/; see also `drawn`
    requests/<id>/outcome.json            the end, decided once: done, dead or cancelled
    requests/<id>/mailed.json             the mail about the end has gone out
    requests/<id>/corrections/<v>/...     a person's labels of an image, and what follows; see `corrections`
    open/<time>-<id>                      index of requests that have not ended, oldest first
    owners/<hash>/<time>-<id>             index of what somebody submitted
    corrections/<id>/<v>                  index of corrections whose results are not there yet
    outbox/<id>.json                      mails to send
    idempotency/<hash>.json               which request a client's key stands for
    training/<id>/<k>/...                 consent, and the copy for training
    exports/<n>/...                       what was handed out for training
    intents/<id>/<n>.json                 deletions that are under way
    tombstones/<id>/<n>.json              deletions that are done
    audit/<n>.json                        the chain of what was done
    clock/<time>                          when the pruner last looked
    statistics/<day>/...                  what was used, when and how long
    keys/<id>.json                        keys to the service, kept by it
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from isletnet.errors import ParameterError, StorageError, StoreFullError, StoreUnavailableError, StoreUnsuitableError
from isletnet.storage.store import Store

REQUESTS, OPEN, IDEMPOTENCY, OUTBOX = "requests", "open", "idempotency", "outbox"
TRAINING, EXPORTS, INTENTS, TOMBSTONES = "training", "exports", "intents", "tombstones"
AUDIT, CLOCK, STATISTICS, KEYS = "audit", "clock", "statistics", "keys"
OWNERS, CORRECTIONS = "owners", "corrections"

_ID = re.compile(r"[0-9a-f]{32}")
_OF_IMAGE = re.compile(
    r"requests/[^/]+/(?:(?:attempts|corrections)/\d+/(?:files/)?)?images/(\d+)/|training/[^/]+/(\d+)/"
)
_STAMP = "%Y%m%dT%H%M%S%fZ"

Record = TypeVar("Record")
EndState = Literal["done", "dead", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A request that is being put together; ``idempotency`` is the hash of the client's key.

    ``parameters`` hold for its submission where that brings none of its own.
    """

    request_id: str
    owner: str
    created_utc: datetime
    idempotency: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """An image as received. ``name`` is the sender's word, for display only; ``facts`` are parameters of the image."""

    number: int
    name: str
    sha256: str
    size_bytes: int
    received_utc: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was accepted. ``abandoned`` is the mark of a draft that expired instead; it has no images."""

    request_id: str
    owner: str
    submitted_utc: datetime
    images: tuple[ImageRecord, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    mail_to: str | None = None
    idempotency: str | None = None
    abandoned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """A file of an attempt (or of a training copy): its path below that folder, and what is in it."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOutcome:
    """How one image of a request ended; ``code`` and ``message`` say why it failed."""

    number: int
    state: Literal["done", "failed"]
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a request ended: ``attempt`` won with ``files``, or ``code`` and ``message`` say why not.

    Cancelled, it names the ``actor``.
    """

    state: EndState
    ended_utc: datetime
    attempt: int | None = None
    files: tuple[FileRecord, ...] = ()
    images: tuple[ImageOutcome, ...] = ()
    code: str | None = None
    message: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The request that a client's key stands for, and what came with it."""

    request_id: str
    body_sha256: str
    reserved_utc: datetime


def new_request_id(random_hex: Callable[[int], str] = secrets.token_hex) -> str:
    """Make an id that nobody can guess: 128 random bits as 32 hexadecimal digits."""
    return random_hex(16)


def check_request_id(text: str) -> str:
    """Return the id if it is 32 lower-case hexadecimal digits, or raise ``ParameterError``."""
    if not _ID.fullmatch(text):
        raise ParameterError("a request's id is 32 lower-case hexadecimal digits", subject=text[:40])
    return text


def request_ids(store: Store, *folders: str) -> list[str]:
    """List the ids that have anything in the folders, each once, in order."""
    names = {name for folder in folders for name in store.list_folders(folder)}
    return sorted(name for name in names if _ID.fullmatch(name))


def request_key(request_id: str, path: str = "request.json") -> str:
    """Name an object of a request."""
    return f"{REQUESTS}/{check_request_id(request_id)}/{path}"


def image_key(request_id: str, number: int, path: str = "original") -> str:
    """Name an object of an image."""
    return request_key(request_id, f"images/{number}/{path}")


def attempt_key(request_id: str, attempt: int, path: str) -> str:
    """Name an object of an attempt."""
    return request_key(request_id, f"attempts/{attempt}/{path}")


def file_key(request_id: str, attempt: int, path: str) -> str:
    """Name an output of an attempt."""
    return attempt_key(request_id, attempt, f"files/{path}")


def image_number(key: str) -> int | None:
    """Tell which image an object of a request, an output, a correction or a training copy is of; None if of several."""
    found = _OF_IMAGE.match(key)
    return int(found[1] or found[2]) if found else None


def open_key(request_id: str, submitted_utc: datetime) -> str:
    """Name the entry of a request in the index of those that have not ended."""
    return f"{OPEN}/{stamp(submitted_utc)}-{request_id}"


def id_of(entry: str) -> str:
    """Read the id of the request in an entry of an index."""
    return entry.rpartition("-")[2]


def owner_folder(owner: str) -> str:
    """Name the folder that lists what an owner submitted."""
    return f"{OWNERS}/{hashlib.sha256(owner.encode('utf-8', 'replace')).hexdigest()[:32]}"


def owner_key(request: Request) -> str:
    """Name the entry of a request in the list of its owner."""
    return f"{owner_folder(request.owner)}/{stamp(request.submitted_utc)}-{request.request_id}"


def stamp(moment: datetime) -> str:
    """Write a moment as a part of a key; keys sort like the moments."""
    return moment.astimezone(UTC).strftime(_STAMP)


def read_stamp(text: str) -> datetime:
    """Read what `stamp` wrote."""
    return datetime.strptime(text, _STAMP).replace(tzinfo=UTC)


def dump(record: Any) -> bytes:
    """Write a record as JSON."""
    kind: Any = type(record)
    return _adapter(kind).dump_json(record, exclude_defaults=True)


def load(store: Store, key: str, kind: type[Record]) -> Record:
    """Read a record.

    Raises
    ------
    NotStoredError
        It is not there.
    StorageError
        It is damaged.
    """
    wanted: Any = kind
    try:
        record: Record = _adapter(wanted).validate_json(store.read(key))
    except ValidationError as error:
        raise StorageError(f"it should hold a {kind.__name__}, but is damaged; restore it", subject=key) from error
    return record


class Aside:
    """Sets aside what is damaged, so that nothing else has to wait for it: ``with aside():`` around each of many.

    A store that is away, full or closed is no damage of one thing, and its error goes through.
    """

    def __init__(self) -> None:
        self._first: StorageError | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Do what the block says, up to damage."""
        try:
            yield
        except (StoreUnavailableError, StoreFullError, StoreUnsuitableError):
            raise
        except StorageError as error:
            self._first = self._first or error

    def tell(self) -> None:
        """Raise the first error that was set aside, if there was one."""
        if self._first is not None:
            raise self._first


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
