"""A store in a bucket of any S3 service that honours ``If-None-Match``; the only room that knows obstore.

Only a single PUT decides who was first: completing a multipart upload under a condition, or a copy, lets several
writers win on some services. So a big object is uploaded under a name of its own, and what is created once is an empty
object that names it.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store as Bucket

from isletnet.errors import (
    AlreadyStoredError,
    NotStoredError,
    StoreFullError,
    StoreUnavailableError,
    StoreUnsuitableError,
)
from isletnet.storage.store import CHUNK_BYTES, Create, Store, check_folder, check_key, is_key

if TYPE_CHECKING:
    from obstore import Attributes, ObjectMeta
    from obstore.store import BackoffConfig, ClientConfig

# Hidden from all listings.
LARGE_FOLDER = "large"
# The smallest part that S3 takes is 5 MiB; bigger parts cost memory.
PART_BYTES = 8 << 20

# A mark of the writer on the object tells a repeated PUT, whose first answer was lost, that it has won after all.
_WRITER = "isletnet-writer"
# On an empty object: the name of the large object that holds the content. On a large object: the key it is for.
_LARGE, _KEY = "isletnet-large", "isletnet-key"
_CONNECT_TIMEOUT = timedelta(seconds=2)
_BACKOFF: BackoffConfig = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1), "base": 2}
_CONFLICT_TRIES = 6
_MOST_AT_ONCE = 8
_FIRST_PAUSE_S = 0.05
_LEFTOVER_AGE = timedelta(days=1)


class S3Store(Store):
    """A store in a bucket; see `Store`.

    Parameters
    ----------
    bucket
        An existing bucket. A lifecycle rule should remove its unfinished multipart uploads.
    prefix
        Folder of the bucket that all keys are in.
    endpoint
        Address of the service; ``http://`` is for private networks only. If None, as the rest.
    access_key_id, secret_access_key, region
        If None, the ``AWS_*`` variables or the machine's role decide.
    request_timeout
        Limit on one request, a part of an upload being one.
    retry_timeout
        A service that fails or refuses connections is tried again, with backoff, for this long.
    pause
        Waits the given seconds between tries of a contended create.
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        endpoint: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        region: str | None = None,
        request_timeout: timedelta = timedelta(seconds=30),
        retry_timeout: timedelta = timedelta(seconds=4),
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        given = {
            "endpoint": endpoint,
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
            "region": region,
            # Not every service knows the removal of many at once.
            "disable_bulk_delete": True,
        }
        config: Any = {name: value for name, value in given.items() if value is not None}
        # The endpoint may also come from AWS_ENDPOINT_URL; its scheme says whether the line is encrypted.
        options: ClientConfig = {"connect_timeout": _CONNECT_TIMEOUT, "timeout": request_timeout, "allow_http": True}
        with _plain_errors(bucket):
            self._bucket = Bucket(
                bucket,
                prefix=check_folder(prefix) or None,
                config=config,
                client_options=options,
                retry_config={"max_retries": 6, "backoff": _BACKOFF, "retry_timeout": retry_timeout},
            )
        self._pause = pause

    def create(self, key: str, content: bytes) -> None:
        """Store an object with one conditional PUT; see `Store.create`."""
        self._create_once(check_key(key), content, {})

    def create_from(self, key: str, chunks: Iterable[bytes]) -> None:
        """Store an object from pieces, big ones by parts; see `Store.create_from`."""
        parts = _parts(chunks)
        first = next(parts, b"")
        second = next(parts, None)
        if second is None:
            self.create(key, first)
        else:
            self._create_large(key, itertools.chain((first, second), parts))

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> bytes:
        """Read an object or a part of it; see `Store.read`."""
        if start == 0 and stop is None:
            with _plain_errors(check_key(key)):
                found = obstore.get(self._bucket, key)
                if _LARGE not in found.attributes:
                    return found.bytes().to_bytes()
        path, size = self._locate(key)
        stop = size if stop is None else min(stop, size)
        # S3 refuses an empty range.
        return self._read_range(path, start, stop, subject=key) if start < stop else b""

    def stream(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        """Read an object in pieces; see `Store.stream`.

        Each part is a request of its own, so that a slow reader meets no time limit and a lost connection is retried.
        """
        with _plain_errors(check_key(key)):
            found = obstore.get(self._bucket, key)
            # One request for what most objects are; the content of others is left where it is.
            is_one_part = _LARGE not in found.attributes and found.meta["size"] <= PART_BYTES
            content = found.bytes().to_bytes() if is_one_part else b""
        if is_one_part:
            yield from _chunks(content[start:] if start else content)
            return
        path, size = self._locate(key)
        for position in range(start, size, PART_BYTES):
            yield from _chunks(self._read_range(path, position, min(position + PART_BYTES, size), subject=key))

    def size(self, key: str) -> int:
        """Tell the size of an object; see `Store.size`."""
        return self._locate(key)[1]

    def exists(self, key: str) -> bool:
        """Whether there is such an object; see `Store.exists`."""
        try:
            self._head(key)
        except NotStoredError:
            return False
        return True

    def exist(self, keys: Sequence[str]) -> list[bool]:
        """Whether there are such objects; see `Store.exist`. Each question has a way to go, so that all go at once."""
        with ThreadPoolExecutor(max(1, min(len(keys), _MOST_AT_ONCE))) as pool:
            return list(pool.map(self.exists, keys))

    def list_keys(self, folder: str = "") -> Iterator[str]:
        """List the keys below a folder; see `Store.list_keys`."""
        keys = (entry["path"] for entry in self._entries(folder))
        # Not every service lists in the order of bytes.
        yield from sorted(key for key in keys if is_key(key) and not key.startswith(f"{LARGE_FOLDER}/"))

    def list_folders(self, folder: str) -> Iterator[str]:
        """List the folders directly below a folder; see `Store.list_folders`."""
        with _plain_errors(check_folder(folder)):
            found = obstore.list_with_delimiter(self._bucket, folder or None)["common_prefixes"]
        names = (path.rstrip("/").rpartition("/")[2] for path in found)
        yield from sorted(name for name in names if is_key(name) and (folder or name != LARGE_FOLDER))

    def delete(self, key: str) -> None:
        """Remove an object; see `Store.delete`."""
        try:
            _, attributes = self._look(key)
        except NotStoredError:
            return
        # The content first: after a crash between the two, the key still tells what is to be removed.
        if _LARGE in attributes:
            self._remove(_large_path(attributes))
        self._remove(key)

    def discard_leftovers(self) -> int:
        """Remove large objects, a day old by the service's own clock, that no key names."""
        uploads = list(self._entries(LARGE_FOLDER))
        if not uploads:
            return 0
        stamp = f"{LARGE_FOLDER}/{secrets.token_hex(16)}"
        self.create(stamp, b"now")
        now = self._head(stamp)["last_modified"]
        self._remove(stamp)
        discarded = 0
        for entry in uploads:
            if now - entry["last_modified"] > _LEFTOVER_AGE and not self._is_named(entry["path"]):
                self._remove(entry["path"])
                discarded += 1
        return discarded

    def _ways_to_create(self) -> tuple[Create, ...]:
        return (self.create, lambda key, content: self._create_large(key, (content,)))

    def _create_large(self, key: str, parts: Iterable[bytes]) -> None:
        named: Attributes = {_LARGE: secrets.token_hex(16)}
        names: Attributes = {_KEY: check_key(key)}
        path = _large_path(named)
        with _plain_errors(key):
            # Two parts at once bound the memory.
            obstore.put(self._bucket, path, parts, attributes=names, chunk_size=PART_BYTES, max_concurrency=2)
        try:
            self._create_once(key, b"", named)
        except AlreadyStoredError:
            self._remove(path)
            raise

    def _create_once(self, key: str, content: bytes, attributes: Attributes) -> None:
        """PUT under a condition; a conflict that leaves no object (409, a race with a removal) is tried again."""
        writer = secrets.token_hex(16)
        marked: Attributes = {**attributes, _WRITER: writer}
        for number in range(_CONFLICT_TRIES):
            with _plain_errors(key):
                try:
                    obstore.put(self._bucket, key, content, mode="create", attributes=marked, use_multipart=False)
                    return
                except AlreadyExistsError:
                    with suppress(FileNotFoundError):
                        if obstore.get(self._bucket, key, options={"head": True}).attributes.get(_WRITER) == writer:
                            return
                        raise AlreadyStoredError("it is stored already, and never overwritten", subject=key) from None
            self._pause(_FIRST_PAUSE_S * 2**number)
        raise StoreUnavailableError("the store reported conflicts over and over; try again later", subject=key)

    def _look(self, key: str) -> tuple[ObjectMeta, Attributes]:
        with _plain_errors(check_key(key)):
            found = obstore.get(self._bucket, key, options={"head": True})
            return found.meta, found.attributes

    def _locate(self, key: str) -> tuple[str, int]:
        """Where the content of an object is, and its size in bytes."""
        meta, attributes = self._look(key)
        if _LARGE not in attributes:
            return key, meta["size"]
        path = _large_path(attributes)
        return path, self._head(path)["size"]

    def _is_named(self, path: str) -> bool:
        key = self._look(path)[1].get(_KEY)
        try:
            return key is not None and _large_path(self._look(key)[1]) == path
        except NotStoredError:
            return False

    def _read_range(self, path: str, start: int, stop: int, *, subject: str) -> bytes:
        with _plain_errors(subject):
            return obstore.get_range(self._bucket, path, start=start, end=stop).to_bytes()

    def _remove(self, path: str) -> None:
        with _plain_errors(path), suppress(FileNotFoundError):
            obstore.delete(self._bucket, path)

    def _head(self, key: str) -> ObjectMeta:
        with _plain_errors(check_key(key)):
            return obstore.head(self._bucket, key)

    def _entries(self, folder: str) -> Iterator[ObjectMeta]:
        with _plain_errors(check_folder(folder)):
            for page in obstore.list(self._bucket, folder or None):
                yield from page


def _chunks(content: bytes) -> Iterator[bytes]:
    for offset in range(0, len(content), CHUNK_BYTES):
        yield content[offset : offset + CHUNK_BYTES]


def _large_path(attributes: Attributes) -> str:
    return f"{LARGE_FOLDER}/{attributes.get(_LARGE, '')}"


@contextmanager
def _plain_errors(subject: str) -> Iterator[None]:
    """Turn what obstore raises into the errors of a store."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotStoredError("there is no such object, or no such bucket", subject=subject) from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise StoreUnsuitableError(
            "the store refuses access; check the credentials and their rights", subject=subject
        ) from error
    except BaseError as error:
        if "status code: 507" in str(error):
            raise StoreFullError("no space is left in the store", subject=subject) from error
        raise StoreUnavailableError("the store does not answer well; try again later", subject=subject) from error


def _parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Join pieces into parts of `PART_BYTES` or a little more; the last is smaller."""
    part = bytearray()
    for chunk in chunks:
        part += chunk
        if len(part) >= PART_BYTES:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)
