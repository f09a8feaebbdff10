"""Where a running platform keeps what it can lose: its lock, the token of Ray, logs, and Ray's own files."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from isletnet.errors import ConflictError, StorageError

# Every process of a platform inherits it, so that those whose parents died are found, too. Some of Ray's overwrite it
# by a title; those still stand in the folder that they were started in.
MARK = "ISLETNET_RUN_FOLDER"
_LOG_BYTES = 10_000_000
_DEATH_S = 5.0


def store_location(location: str) -> str:
    """Return a location that means the same from every folder: absolute and without links, or an address as it is."""
    return location if "://" in location else str(Path(location).resolve())


def find_run_folder(location: str) -> Path:
    """Tell the folder of the platform of a store on this machine; short, for Ray puts sockets into it.

    Parameters
    ----------
    location
        From `store_location`.
    """
    digest = hashlib.sha256(f"{os.getuid()}\0{location}".encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"isletnet-{digest}"


def make_run_folder(folder: Path) -> None:
    """Make the folder for its owner alone.

    Raises
    ------
    StorageError
        Somebody else made it, or it is no folder.
    """
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StorageError("it should be a folder of this user and is not; remove it", subject=str(folder))
    folder.chmod(0o700)
    (folder / "logs").mkdir(exist_ok=True)
    work_folder(folder).mkdir(exist_ok=True)


def work_folder(folder: Path) -> Path:
    """Name the folder that the processes of a platform are started in."""
    return folder / "w"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder; it falls with the process that holds it, however that ends.

    Raises
    ------
    ConflictError
        Another process holds it.
    """
    with (folder / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise ConflictError(
                f"the platform of this store runs already (process {holder}); stop it, or name another ISLETNET_STORE"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def renew_token(folder: Path) -> Path:
    """Write a new secret that the processes of Ray know each other by; returns its file."""
    path = folder / "token"
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32))
    return path


def ray_folder(folder: Path) -> Path:
    """Empty the folder of Ray's own files, of which old sessions are no use, and return it."""
    path = folder / "r"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(0o700, exist_ok=True)
    return path


def open_log(folder: Path, name: str) -> int:
    """Open the log of a process for appending; one that has grown too long is put aside, for once."""
    path = folder / "logs" / f"{name}.log"
    with suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def members(folder: Path) -> list[psutil.Process]:
    """Find the processes of a platform, but this one and what it came from."""
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid not in spared and _is_member(process, folder):
                found.append(process)
    return found


def _is_member(process: psutil.Process, folder: Path) -> bool:
    return bool(process.environ().get(MARK) == str(folder) or process.cwd() == str(work_folder(folder)))


def kill_members(folder: Path) -> int:
    """Kill what is left of a platform, also what starts meanwhile; returns how many processes that were."""
    killed: set[int] = set()
    while found := members(folder):
        for process in found:
            with suppress(psutil.Error):
                process.kill()
                killed.add(process.pid)
        _, alive = psutil.wait_procs(found, timeout=_DEATH_S)
        if alive:
            break
    return len(killed)
