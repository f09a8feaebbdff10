"""Files that are drawn from a result when somebody first asks for one: pictures, outlines, tables, the report.

Each lies beside the file that holds what was measured, so it goes when that goes. A record of them is written last: who
finds none draws them again, and what an earlier try has stored stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from isletnet.errors import AlreadyStoredError, GoneError, NotStoredError
from isletnet.storage.layout import FileRecord, dump, load
from isletnet.storage.store import Store, Tally, sha256_of

# The files that hold what was measured, of one image and of all, and what is drawn from them.
OF_IMAGE, OF_ALL = "summary.json", "results.json"
DRAWN_FROM: Mapping[str, tuple[str, ...]] = {
    OF_IMAGE: ("overlay.png", "rois.zip", "contours.geojson"),
    OF_ALL: ("summary.csv", "results.xlsx", "report.pdf"),
}
RECORD = "drawn.json"

Files = Mapping[str, tuple[str, FileRecord]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The files that were drawn from one file; their paths are those of the results."""

    files: tuple[FileRecord, ...]


def source_of(path: str) -> str | None:
    """Tell the path of the file that another is drawn from; None for one that is not drawn."""
    folder, slash, name = path.rpartition("/")
    source = OF_IMAGE if slash else OF_ALL
    return f"{folder}{slash}{source}" if name in DRAWN_FROM[source] else None


def find_drawn(store: Store, files: Files, source: str) -> Files | None:
    """Find what was drawn from a file of a result; None if nothing was yet.

    Parameters
    ----------
    files
        Those of the version, as `isletnet.storage.versions.files_of` finds them.
    source
        Path of the file among them.
    """
    key = files[source][0]
    with suppress(NotStoredError):
        drawn = load(store, _beside(key, RECORD), Drawn)
        return {file.path: (_beside(key, _name(file.path)), file) for file in drawn.files}
    return None


def keep_drawn(store: Store, files: Files, source: str, contents: Mapping[str, Iterable[bytes]]) -> None:
    """Store what was drawn from a file of a result; whoever else did the same was as good.

    Parameters
    ----------
    files, source
        As for `find_drawn`.
    contents
        For the name of each file, its content in pieces.

    Raises
    ------
    GoneError
        The result was deleted meanwhile; nothing stays.
    """
    key, folder = files[source][0], source[: -len(_name(source))]
    records = [_kept(store, _beside(key, name), folder + name, pieces) for name, pieces in contents.items()]
    with suppress(AlreadyStoredError):
        store.create(_beside(key, RECORD), dump(Drawn(files=tuple(records))))
    if not store.exists(key):
        for name in (RECORD, *contents):
            store.delete(_beside(key, name))
        raise GoneError("the result was deleted", subject=source)


def without_outdated(files: Files, newer: Iterable[FileRecord]) -> Files:
    """Leave out what was drawn, in the days when all was drawn at once, from files that are newer now."""
    outdated = {
        path[: -len(_name(path))] + name
        for path in (file.path for file in newer)
        for name in DRAWN_FROM.get(_name(path), ())
    }
    return {path: found for path, found in files.items() if path not in outdated}


def keys_beside(keys: Iterable[str]) -> set[str]:
    """List the keys that drawn files and their records have, or could have, beside those of a result."""
    return {
        _beside(key, name) for key in keys if _name(key) in DRAWN_FROM for name in (RECORD, *DRAWN_FROM[_name(key)])
    }


def contents_beside(store: Store, keys: Iterable[str]) -> Mapping[str, str]:
    """Map the keys of drawn files beside those of results to their hashes."""
    found: dict[str, str] = {}
    for key in keys:
        if _name(key) in DRAWN_FROM:
            with suppress(NotStoredError):
                drawn = load(store, _beside(key, RECORD), Drawn)
                found |= {_beside(key, _name(file.path)): file.sha256 for file in drawn.files}
    return found


def _kept(store: Store, key: str, path: str, pieces: Iterable[bytes]) -> FileRecord:
    tally = Tally(pieces)
    try:
        store.create_from(key, tally)
    except AlreadyStoredError:
        return FileRecord(path=path, sha256=sha256_of(store, key), size_bytes=store.size(key))
    return FileRecord(path=path, sha256=tally.sha256, size_bytes=tally.size_bytes)


def _beside(key: str, name: str) -> str:
    return key[: -len(_name(key))] + name


def _name(path: str) -> str:
    return path.rpartition("/")[2]
