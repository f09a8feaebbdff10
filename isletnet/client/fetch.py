"""Files from the service: under their name only when they are whole."""

from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

from isletnet.client import records
from isletnet.client.calls import Answer, Call, Flow, Patience, Persistence, Read, Work, once
from isletnet.client.errors import ServiceError, TransferError
from isletnet.client.send import OnProgress
from isletnet.errors import ParameterError

# The report of a thousand images is drawn when it is asked for, which takes minutes.
SILENCE_S = 300.0


def fetch(
    patience: Patience, path: str, target: Path, *, query: Mapping[str, str | int], on_progress: OnProgress
) -> Flow[Path]:
    """Fetch a file; ``target`` is there whole, or as it was before."""
    call = Call(method="GET", path=path, query=query, stream=True, silence_s=SILENCE_S)
    part = _beside(target)
    persistence = Persistence(patience)
    yield Work(lambda: target.parent.mkdir(parents=True, exist_ok=True))
    try:
        while True:
            try:
                answer = yield from once(call, patience)
                with part.open("wb") as file:
                    yield from receive(answer, file, target.name, on_progress)
                part.replace(target)
                return target
            except ServiceError as error:
                pause = persistence.pause(error)
            yield pause
    finally:
        part.unlink(missing_ok=True)


def fetch_all(
    patience: Patience, request_id: str, folder: Path, *, query: Mapping[str, str | int], on_progress: OnProgress
) -> Flow[Path]:
    """Fetch the archive of a request and unpack it; each file is there whole, or as it was before."""
    archive = _beside(folder / "archive.zip")
    try:
        path = file_path(request_id, "archive.zip")
        yield from fetch(patience, path, archive, query=query, on_progress=on_progress)
        yield Work(lambda: _unpack(archive, folder))
    finally:
        archive.unlink(missing_ok=True)
    return folder


def receive(answer: Answer, file: BinaryIO, name: str, on_progress: OnProgress, *, before_bytes: int = 0) -> Flow[None]:
    """Write a stream to a file, down to the disk; ``before_bytes`` were there already."""
    length = answer.headers.get("content-length", "")
    total = before_bytes + int(length) if length.isdecimal() else None
    done = before_bytes
    while (chunk := (yield Read())) is not None:
        yield Work(lambda chunk=chunk: file.write(chunk))  # type: ignore[misc]
        done += len(chunk)
        fraction = done / total if total else 0.0
        on_progress(records.Progress(stage="fetch", fraction=fraction, done=done, total=total, name=name))
    yield Work(lambda: _settle(file))
    if total is None:
        on_progress(records.Progress(stage="fetch", fraction=1.0, done=done, total=done, name=name))


def file_path(request_id: str, name: str) -> str:
    """Say where the service has a file of a request; raises ``ParameterError`` for a name that leads elsewhere."""
    if not _is_inside(name):
        raise ParameterError("expected the name of a file, such as report.pdf or images/0/overlay.png", subject=name)
    return f"/api/requests/{request_id}/{quote(name, errors='replace')}"


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _is_inside(name: str) -> bool:
    return bool(name) and "\\" not in name and ":" not in name and not {"", ".", ".."} & set(name.split("/"))


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [member for member in packed.infolist() if not member.is_dir()]
            for member in members:
                if not _is_inside(member.filename):
                    raise TransferError("the archive has a name that leads out of its folder", subject=member.filename)
            for member in members:
                target = folder / PurePosixPath(member.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                part = _beside(target)
                try:
                    part.write_bytes(packed.read(member))
                    part.replace(target)
                finally:
                    part.unlink(missing_ok=True)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError) as error:
        raise TransferError(f"the archive did not arrive as it was sent ({error}); ask again") from error
