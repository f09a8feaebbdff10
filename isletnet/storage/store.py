"""What a store promises: objects are created once, whole or not at all, and never overwritten.

Everything that isletnet keeps of a request is an object under a key. A state is an object that exists; whoever
creates it first has decided. So a store needs no transactions, only a create that one of many wins.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from isletnet.errors import AlreadyStoredError, NotStoredError, ParameterError, StoreUnsuitableError

LONGEST_KEY_BYTES = 512
CHUNK_BYTES = 1 << 20
PROBE_FOLDER = "probe"
PROBE_RACERS = 4

_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)

Create = Callable[[str, bytes], object]


class Store(ABC):
    """A folder of objects that are created once; `LocalStore` and `S3Store` keep it.

    All methods raise ``ParameterError`` for a key outside the rules of `check_key`, ``StoreUnavailableError`` where
    the store does not answer, and ``StoreUnsuitableError`` where it refuses access. After an error of ``create`` other
    than ``AlreadyStoredError`` the object may exist or not, but it is never there in part.
    """

    @abstractmethod
    def create(self, key: str, content: bytes) -> None:
        """Store an object that must not exist yet; when this returns, it survives a power cut.

        Raises
        ------
        AlreadyStoredError
            Somebody else created it first; what is stored is unchanged.
        StoreFullError
            No space is left.
        """

    @abstractmethod
    def create_from(self, key: str, chunks: Iterable[bytes]) -> None:
        """Store an object like `create`, from pieces that need not fit into memory.

        All pieces are read, also where the object exists. What ``chunks`` raises goes through, and nothing is stored.
        """

    @abstractmethod
    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> bytes:
        """Read an object, or its bytes from ``start`` up to ``stop``, as many of them as there are.

        Raises
        ------
        NotStoredError
            There is no such object.
        """

    @abstractmethod
    def stream(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        """Read an object from ``start`` on, in pieces that fit into memory; raises like `read`."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Tell the size of an object in bytes; raises like `read`."""

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Whether there is such an object."""

    def exist(self, keys: Sequence[str]) -> list[bool]:
        """Whether there are such objects, for each of them; may look at all of them at once."""
        return [self.exists(key) for key in keys]

    @abstractmethod
    def list_keys(self, folder: str = "") -> Iterator[str]:
        """List the keys of all objects below a folder (or of all), in the order of their bytes.

        What a stranger put there under a name that no key may have is passed over, such as ``lost+found``.
        """

    @abstractmethod
    def list_folders(self, folder: str) -> Iterator[str]:
        """List the names directly below a folder that hold objects, in order; some may be empty by now."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error. When this returns, it stays removed."""

    @abstractmethod
    def discard_leftovers(self) -> int:
        """Remove what writers that died have left unfinished, out of sight of all keys; returns how many pieces."""

    def probe(self) -> None:
        """Prove that objects are created once, one winner in every race, and leave nothing behind.

        Raises
        ------
        StoreUnsuitableError
            An object was overwritten, or a race had not exactly one winner.
        """
        for create in self._ways_to_create():
            _probe(self, create)

    def _ways_to_create(self) -> tuple[Create, ...]:
        return (self.create,)


def is_key(text: str) -> bool:
    """Whether a text may name an object; see `check_key`."""
    return len(text) <= LONGEST_KEY_BYTES and all(_SEGMENT.fullmatch(segment) for segment in text.split("/"))


def check_key(key: str) -> str:
    """Return the key if it may name an object.

    Parameters
    ----------
    key
        Segments of ASCII letters, digits, ``.``, ``_`` and ``-``, joined by ``/``, at most 512 bytes. No segment is
        empty or starts with a dot.

    Raises
    ------
    ParameterError
        Anything else: other characters, ``..``, a leading or trailing slash, NUL, too long.
    """
    if not is_key(key):
        shown = key if len(key) <= 80 else f"{key[:80]}..."
        raise ParameterError(
            f"a key is segments of letters, digits, '.', '_' and '-' joined by '/', at most {LONGEST_KEY_BYTES} bytes; "
            f"got {shown!r}"
        )
    return key


def check_folder(folder: str) -> str:
    """Return the folder if it may be listed: the empty string for all, or a key without a slash at its end."""
    return check_key(folder) if folder else folder


def sha256_of(store: Store, key: str) -> str:
    """Compute the SHA-256 of an object as 64 hexadecimal digits, in pieces; raises like ``read``."""
    digest = hashlib.sha256()
    for chunk in store.stream(key):
        digest.update(chunk)
    return digest.hexdigest()


class Tally:
    """Pieces on their way into a store, counted and hashed; ``sha256`` and ``size_bytes`` are of what has passed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._digest.update(chunk)
            self.size_bytes += len(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        """The hash as 64 hexadecimal digits."""
        return self._digest.hexdigest()


def _probe(store: Store, create: Create) -> None:
    key = f"{PROBE_FOLDER}/{secrets.token_hex(16)}"
    contents = [b"%d of %s" % (number, key.encode()) for number in range(PROBE_RACERS)]
    try:
        with ThreadPoolExecutor(PROBE_RACERS) as pool:
            won = list(pool.map(partial(_wins, create, key), contents))
        late = _wins(create, key, b"late")
        kept = store.read(key)
    finally:
        store.delete(key)
    if sum(won) != 1 or late or kept != contents[won.index(True)]:
        raise StoreUnsuitableError(
            f"the store must let exactly one of {PROBE_RACERS} writers create an object and keep it unchanged; "
            f"{sum(won)} did, and one that came late {'did, too' if late else 'did not'}. On S3 this needs "
            "If-None-Match on PUT; use a service that honours it"
        )


def _wins(create: Create, key: str, content: bytes) -> bool:
    try:
        create(key, content)
    except AlreadyStoredError:
        return False
    return True


def open_store(location: str, *, must_exist: bool = False) -> Store:
    """Open the store at a location.

    Parameters
    ----------
    location
        A folder, or ``s3://bucket`` or ``s3://bucket/prefix``. For S3, endpoint and credentials come from the
        ``AWS_*`` variables as for other S3 tools; `S3Store` takes them as arguments.
    must_exist
        Refuse a folder that is not there, which would be made otherwise.

    Raises
    ------
    StorageError
        The folder is not there or cannot be used, or S3 is not installed.
    ParameterError
        The location is neither.
    """
    if location.startswith("s3://"):
        try:
            from isletnet.storage.backends.s3 import S3Store
        except ImportError as error:
            raise StoreUnsuitableError("S3 needs the package obstore: install isletnet[serve]") from error
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        return S3Store(bucket, prefix=prefix.strip("/"))
    if "://" in location:
        raise ParameterError("a store is a folder or s3://bucket/prefix", subject=location)
    from isletnet.storage.backends.local import LocalStore

    if must_exist and not Path(location).is_dir():
        raise NotStoredError("there is no such folder", subject=location)
    return LocalStore(Path(location))
