"""Stored files on their way out: single ones, all of a request in an archive, and the tables of all its images."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from itertools import chain
from typing import Any
from urllib.parse import quote

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from isletnet.errors import ConflictError, GoneError, NotStoredError
from isletnet.exports.text import formula_safe, printable
from isletnet.storage.deletion import is_deleted
from isletnet.storage.layout import FileRecord, Request
from isletnet.storage.records import load_outcome, load_request
from isletnet.storage.store import Store
from isletnet.storage.versions import files_of, versions_of

MEDIA_TYPES: Mapping[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "geojson": "application/geo+json",
    "jpg": "image/jpeg",
    "json": "application/json",
    "pdf": "application/pdf",
    "png": "image/png",
    "tif": "image/tiff",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "zip": "application/zip",
}
# What a browser shows without running anything.
_SHOWN = {"png", "jpg"}
_LONGEST_STEM = 120
# What some file system, or a shell, takes for more than a letter.
_NOT_IN_NAMES = str.maketrans(dict.fromkeys('/\\:*?"<>|\x7f', "_"))

Files = Mapping[str, tuple[str, FileRecord]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The files of one version of a request that is done: path to key and record."""

    request: Request
    ended_utc: datetime
    version: int
    files: Files

    def name_of(self, number: int) -> str:
        """Tell the name that an image came with; raises ``NotStoredError`` for no image of the request."""
        for image in self.request.images:
            if image.number == number:
                return image.name
        raise NotStoredError(f"there is no image {number}")


def results_of(store: Store, request_id: str, version: int | None) -> Results:
    """Find the results of a request, the newest if no version is asked for.

    Raises
    ------
    NotStoredError
        There is no such request or version.
    ConflictError
        It is not done, now or ever.
    GoneError
        It was deleted.
    """
    request = load_request(store, request_id)
    if is_deleted(store, request_id):
        raise GoneError("the request was deleted")
    outcome = load_outcome(store, request_id)
    if outcome is None:
        raise ConflictError("the request is not done yet; wait for its end")
    if outcome.state != "done":
        raise ConflictError(f"the request has no results: {outcome.message or 'it was cancelled'}")
    if version is None:
        version = max((one.version for one in versions_of(store, request_id)), default=0)
    files = files_of(store, request_id, version)
    return Results(request=request, ended_utc=outcome.ended_utc, version=version, files=files)


def read_json(store: Store, results: Results, path: str) -> dict[str, Any]:
    """Read a small file of JSON; raises like `stored_file`."""
    content: dict[str, Any] = json.loads(b"".join(opened(store, results.files, path)[1]))
    return content


def stored_file(store: Store, results: Results, path: str, *, stem: str) -> StreamingResponse:
    """Answer with a file of the results.

    Parameters
    ----------
    stem
        What to call it when it is saved, before the name that it has itself; any text.

    Raises
    ------
    NotStoredError
        The results have no such file.
    GoneError
        It was deleted by age.
    """
    record, pieces = opened(store, results.files, path)
    return file_answer(pieces, path.rpartition("/")[2], stem=stem, size_bytes=record.size_bytes)


def file_answer(
    pieces: Iterator[bytes], name: str, *, stem: str, size_bytes: int | None, media_type: str | None = None
) -> StreamingResponse:
    """Answer with a file; what it is follows from the end of its name, if that is not said."""
    suffix = name.rpartition(".")[2]
    # Only what this service made itself is shown: what came from outside may be more than one kind of file.
    is_shown = media_type is None and suffix in _SHOWN
    headers = {"Content-Disposition": disposition(f"{stem} {name}" if stem else name, is_shown=is_shown)}
    if size_bytes is not None:
        headers["Content-Length"] = str(size_bytes)
    kind = media_type or MEDIA_TYPES.get(suffix, "application/octet-stream")
    return _Answer(pieces, media_type=kind, headers=headers)


class _Answer(StreamingResponse):
    """Lets go of what it reads when it ends, also where the caller has gone before: Starlette leaves that to chance."""

    def __init__(self, pieces: Iterator[bytes], *, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            _let_go(self._pieces)


def disposition(name: str, *, is_shown: bool = False) -> str:
    """Write the header Content-Disposition (RFC 6266) for a name of any letters; no sign of it can end the header."""
    clean = printable(name).translate(_NOT_IN_NAMES).strip(" .") or "file"
    stem, dot, suffix = clean.rpartition(".")
    clean = f"{stem[:_LONGEST_STEM]}{dot}{suffix[:20]}"
    plain = "".join(sign if sign.isascii() and sign not in "%;" else "_" for sign in clean)
    kind = "inline" if is_shown else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe='')}"


def opened(store: Store, files: Files, path: str) -> tuple[FileRecord, Pieces]:
    """Open a file of the results: what is known of it, and its pieces; raises like `stored_file`."""
    if path not in files:
        raise NotStoredError(f"the results have no file {path}")
    key, record = files[path]
    try:
        return record, first_piece_read(store.stream(key))
    except NotStoredError:
        raise GoneError("this file was deleted by age") from None


def first_piece_read(pieces: Iterator[bytes]) -> Pieces:
    """Read the first piece now, so that what is wrong comes before the answer begins."""
    return Pieces(next(pieces, b""), pieces)


class Pieces(Iterator[bytes]):
    """Pieces of which the first has been read; `close` lets go of what they come from."""

    def __init__(self, first: bytes, pieces: Iterator[bytes]) -> None:
        self._all = chain([first], pieces)
        self._pieces = pieces

    def __next__(self) -> bytes:
        """Give the next piece."""
        return next(self._all)

    def close(self) -> None:
        """Read no more."""
        _let_go(self._pieces)


def _let_go(pieces: Iterator[bytes]) -> None:
    """Have a generator end now, so that the file that it reads is closed; other pieces hold nothing."""
    if isinstance(pieces, Generator | Pieces):
        pieces.close()


def archive(store: Store, results: Results) -> Iterator[bytes]:
    """Write all files of the results as a ZIP archive, as it is read; nothing is whole in memory."""
    sink = _Sink()
    moment = results.ended_utc.timetuple()[:6]
    with zipfile.ZipFile(sink, "w") as packed:
        for path in sorted(results.files):
            record, pieces = opened(store, results.files, path)
            info = zipfile.ZipInfo(path, date_time=(max(moment[0], 1980), *moment[1:]))
            info.external_attr = 0o644 << 16
            info.file_size = record.size_bytes
            # Pictures and workbooks are packed already.
            is_text = path.endswith((".csv", ".json", ".geojson"))
            info.compress_type = zipfile.ZIP_DEFLATED if is_text else zipfile.ZIP_STORED
            with closing(pieces), packed.open(info, "w") as member:
                for piece in pieces:
                    member.write(piece)
                    yield sink.taken()
    yield sink.taken()


def islets_csv(store: Store, results: Results) -> Iterator[bytes]:
    """Join the tables of all images: one header, and number and name of the image before each row."""
    columns: list[str] | None = None
    for image in results.request.images:
        path = f"images/{image.number}/islets.csv"
        if path not in results.files:
            continue
        header, *rows = csv.reader(StringIO(b"".join(opened(store, results.files, path)[1]).decode()))
        text = StringIO()
        out = csv.writer(text, lineterminator="\n")
        if columns is None:
            columns = header
            out.writerow(["image_number", "image_name", *header])
        name = formula_safe(image.name)
        places = [header.index(column) if column in header else -1 for column in columns]
        out.writerows([image.number, name, *(row[at] if at >= 0 else "" for at in places)] for row in rows)
        yield text.getvalue().encode()


class _Sink:
    """Takes what is written, to be taken away piece by piece; it cannot go back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
