"""A store in a folder: nothing is promised before the disk has it.

An object is written into a file without a place among the keys, forced to the disk, and then linked to its key, which
the file system lets one writer do. Folders are forced to the disk, too, or a power cut could forget the name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isletnet.errors import (
    AlreadyStoredError,
    NotStoredError,
    ParameterError,
    StorageError,
    StoreFullError,
    StoreUnsuitableError,
)
from isletnet.storage.store import CHUNK_BYTES, Store, check_folder, check_key, is_key

# No key starts with a dot, so no listing meets it.
UNFINISHED_FOLDER = ".unfinished"

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
# A deleter may remove a folder that it finds empty while a creator is about to use it.
_FOLDER_TRIES = 16
_VANISHED = "the store's folder is gone; mount or restore it"


class LocalStore(Store):
    """A store in a folder of a local file system that knows hard links; see `Store`.

    Parameters
    ----------
    root
        The folder, for the owner alone (0700). It is made where it is absent.

    Raises
    ------
    StorageError
        The folder cannot be made or used.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._unfinished = self._root / UNFINISHED_FOLDER
        with _plain_errors(str(root)):
            _make_folders(self._root)
            if not self._root.is_dir():
                raise StorageError("a store needs a folder, and there is a file", subject=str(root))
            if self._root.stat().st_mode & 0o077:
                self._root.chmod(_FOLDER_MODE)

    def create(self, key: str, content: bytes) -> None:
        """Store an object; see `Store.create`."""
        self.create_from(key, (content,))

    def create_from(self, key: str, chunks: Iterable[bytes]) -> None:
        """Store an object from pieces; see `Store.create_from`."""
        target = self._root / check_key(key)
        unfinished = self._unfinished / secrets.token_hex(16)
        with _plain_errors(key):
            handle = self._open_unfinished(unfinished)
        try:
            for chunk in chunks:
                with _plain_errors(key):
                    _write(handle, chunk)
            with _plain_errors(key):
                os.fsync(handle)
                self._link(unfinished, target)
        finally:
            with suppress(OSError):
                unfinished.unlink()
            os.close(handle)

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> bytes:
        """Read an object or a part of it; see `Store.read`."""
        with _plain_errors(key), (self._root / check_key(key)).open("rb") as file:
            file.seek(start)
            return file.read() if stop is None else file.read(max(stop - start, 0))

    def stream(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        """Read an object in pieces; see `Store.stream`."""
        with _plain_errors(key), (self._root / check_key(key)).open("rb") as file:
            file.seek(start)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def size(self, key: str) -> int:
        """Tell the size of an object; see `Store.size`."""
        path = self._root / check_key(key)
        with _plain_errors(key):
            if path.is_dir():
                raise FileNotFoundError(errno.ENOENT, "a folder")
            return path.stat().st_size

    def exists(self, key: str) -> bool:
        """Whether there is such an object; see `Store.exists`."""
        return (self._root / check_key(key)).is_file()

    def list_keys(self, folder: str = "") -> Iterator[str]:
        """List the keys below a folder; see `Store.list_keys`."""
        keys = self._walk(check_folder(folder))
        # A folder "a" comes before "a-b" in the walk, but its keys "a/..." come after.
        yield from sorted(keys)

    def list_folders(self, folder: str) -> Iterator[str]:
        """List the folders directly below a folder; see `Store.list_folders`."""
        yield from sorted(entry.name for entry in self._entries(check_folder(folder)) if entry.is_dir())

    def delete(self, key: str) -> None:
        """Remove an object, and the folders that it leaves empty; see `Store.delete`."""
        path = self._root / check_key(key)
        with _plain_errors(key):
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()
            kept = path.parent
            # Also when the object was gone before: who removed it may have died before the disk knew.
            while (kept != self._root and _is_gone(kept)) or not _force_to_disk(kept):
                kept = kept.parent
        if not self._root.is_dir():
            raise StorageError(_VANISHED, subject=key)

    def discard_leftovers(self) -> int:
        """Remove unfinished files whose writer has died; see `Store.discard_leftovers`."""
        discarded = 0
        for path in self._unfinished.glob("*"):
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                discarded += 1
        return discarded

    def _open_unfinished(self, path: Path) -> int:
        with suppress(FileExistsError):
            self._unfinished.mkdir(_FOLDER_MODE)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        # Tells `discard_leftovers` that the writer lives.
        fcntl.flock(handle, fcntl.LOCK_EX)
        return handle

    def _link(self, source: Path, target: Path) -> None:
        key = target.relative_to(self._root).as_posix()
        for _ in range(_FOLDER_TRIES):
            try:
                _make_folders(target.parent)
                os.link(source, target)
            except FileNotFoundError:
                continue
            except (FileExistsError, NotADirectoryError) as error:
                if target.is_dir() or isinstance(error, NotADirectoryError):
                    raise ParameterError("an object cannot be a folder of objects, too", subject=key) from None
                _force_to_disk(target.parent)
                raise AlreadyStoredError("it is stored already, and never overwritten", subject=key) from None
            _force_to_disk(target.parent)
            return
        raise StorageError(_VANISHED, subject=key)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with _plain_errors(folder), os.scandir(self._root / folder) as entries:
                return [entry for entry in entries if is_key(entry.name)]
        except NotStoredError:
            return []

    def _walk(self, folder: str) -> Iterator[str]:
        prefix = f"{folder}/" if folder else ""
        for entry in self._entries(folder):
            if entry.is_dir():
                yield from self._walk(prefix + entry.name)
            else:
                yield prefix + entry.name


@contextmanager
def _plain_errors(subject: str) -> Iterator[None]:
    """Turn what the operating system reports into the errors of a store."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}:
            raise NotStoredError("there is no such object", subject=subject) from error
        if error.errno in _FULL:
            raise StoreFullError(f"no space is left ({reason}); free some", subject=subject) from error
        if error.errno in _REFUSED:
            raise StoreUnsuitableError(
                f"the folder must be writable and know hard links ({reason})", subject=subject
            ) from error
        raise StorageError(f"the disk failed ({reason})", subject=subject) from error


def _write(handle: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(handle, view) :]


def _make_folders(folder: Path) -> None:
    """Make a folder and the missing ones above it, each name forced to the disk."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(_FOLDER_MODE)
    # Also when somebody else made it: that one may not have forced it to the disk yet.
    _force_to_disk(folder.parent)


def _is_gone(folder: Path) -> bool:
    """Remove a folder if it is empty; whether it is no more."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _force_to_disk(folder: Path) -> bool:
    """Make the disk know the names in a folder; whether the folder is still there."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return True
