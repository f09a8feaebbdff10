"""Images given for training: the copies to train on, and handing each of them out once.

::

    training/<id>/<k>/files/<sha256>      contents, each once
    training/<id>/<k>/copies/<v>.json     which of them make up the copy with the labels of version v

An image has a copy for each version of its labels, and the last one is handed out. A copy that was handed out never
changes. An export lists copies that no other export has, so an image that was corrected afterwards goes out again. It
is open until whoever claimed it confirms the SHA-256 of what arrived; until then the download can be resumed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from tarfile import BLOCKSIZE, GNU_FORMAT, TarInfo

from isletnet.errors import AlreadyStoredError, ConflictError, GoneError, NotStoredError
from isletnet.storage import audit
from isletnet.storage.consent import is_held, training_key
from isletnet.storage.layout import EXPORTS, TRAINING, Aside, FileRecord, dump, load, request_ids
from isletnet.storage.records import load_outcome
from isletnet.storage.store import Store, Tally
from isletnet.storage.versions import versions_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCopy:
    """What there is to train on, of one image; written after its files. ``version`` is that of the labels."""

    files: tuple[FileRecord, ...]
    copied_utc: datetime
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportItem:
    """One image in an export, with the labels of a version."""

    request_id: str
    image: int
    files: tuple[FileRecord, ...]
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Images that are handed out together, to ``actor`` alone."""

    number: int
    actor: str
    claimed_utc: datetime
    items: tuple[ExportItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportEnd:
    """How an export ended: confirmed with the hash of what arrived, or given up."""

    utc: datetime
    actor: str
    sha256: str | None = None


def add_copy(
    store: Store, request_id: str, image: int, files: Mapping[str, bytes], *, now: datetime, version: int = 0
) -> TrainingCopy:
    """Store what shall be trained on: pixels and labels, without what else a camera writes into a file.

    Parameters
    ----------
    files
        Name to content.
    version
        Which version of the result the labels are of; 0 is the network's own. See `copies_due`.

    Raises
    ------
    ConflictError
        There is no consent, or other content has this version already.
    """
    if not is_held(store, request_id, image):
        raise ConflictError(f"image {image} is not given for training", subject=request_id)
    records = []
    for name, content in sorted(files.items()):
        record = FileRecord(path=name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
        with suppress(AlreadyStoredError):
            store.create(content_key(request_id, image, record), content)
        records.append(record)
    copy = TrainingCopy(files=tuple(records), copied_utc=now, version=version)
    key = training_key(request_id, image, f"copies/{version:06d}.json")
    try:
        store.create(key, dump(copy))
    except AlreadyStoredError:
        there = load(store, key, TrainingCopy)
        if there.files != copy.files:
            raise ConflictError("there is another training copy of this version", subject=key) from None
        return there
    return copy


def copies_of(store: Store, request_id: str, image: int) -> tuple[TrainingCopy, ...]:
    """Read the copies of an image, by version."""
    keys = store.list_keys(training_key(request_id, image, "copies"))
    return tuple(load(store, key, TrainingCopy) for key in keys)


def copies_due(store: Store) -> tuple[tuple[str, int, int], ...]:
    """List the copies that are missing: request, image, and the version of the labels that are to be in it.

    An image that is given needs a copy with the labels of the last correction, or else those of the network, once
    its request is done. Requests with damaged records are passed over.
    """
    due: list[tuple[str, int, int]] = []
    aside = Aside()
    for request_id in request_ids(store, TRAINING):
        with aside():
            outcome = load_outcome(store, request_id)
            done = {image.number for image in (outcome.images if outcome else ()) if image.state == "done"}
            held = {image for image in _images_in(store, request_id) & done if is_held(store, request_id, image)}
            for image in sorted(held):
                corrected = [one.version for one in versions_of(store, request_id) if one.image == image]
                version = max(corrected, default=0)
                if all(copy.version != version for copy in copies_of(store, request_id, image)):
                    due.append((request_id, image, version))
    return tuple(due)


def content_key(request_id: str, image: int, file: FileRecord) -> str:
    """Name the content of a file of a training copy."""
    return training_key(request_id, image, f"files/{file.sha256}")


def claim_export(store: Store, *, actor: str, now: datetime) -> Export:
    """Claim all images that have not been handed out, or go on with the export that one has claimed.

    Raises
    ------
    ConflictError
        Somebody else is downloading.
    GoneError
        Everything was handed out.
    NotStoredError
        Nothing was ever given.
    """
    while True:
        exports = [load(store, key, Export) for key in store.list_keys(EXPORTS) if key.endswith("/claim.json")]
        taken: set[tuple[str, int, int]] = set()
        for export in exports:
            end = _end_of(store, export)
            if end is None and all(is_held(store, item.request_id, item.image) for item in export.items):
                if export.actor == actor:
                    return export
                raise ConflictError(f"somebody else is downloading the training images, as export {export.number}")
            if end is None:
                # Consent was withdrawn since: what is left of it can be claimed again.
                end = _close(store, export, ExportEnd(utc=now, actor=actor))
            if end.sha256 is not None:
                taken |= {_identity(item) for item in export.items}
        items = tuple(item for item in _given(store) if _identity(item) not in taken)
        if not items:
            if taken:
                raise GoneError("every training image was handed out already")
            raise NotStoredError("no image is given for training yet")
        export = Export(number=len(exports) + 1, actor=actor, claimed_utc=now, items=items)
        try:
            store.create(_export_key(export.number, "claim.json"), dump(export))
        except AlreadyStoredError:
            continue
        return export


def stream_export(store: Store, export: Export, *, start: int = 0) -> Iterator[bytes]:
    """Read an export as a tar file, from byte ``start`` on; the same bytes each time.

    Raises
    ------
    ConflictError
        Consent to one of the images was withdrawn since; claim again.
    GoneError
        It was confirmed, or given up, already.
    """
    if _end_of(store, export) is not None:
        raise GoneError("this export was handed out already, or given up", subject=str(export.number))
    position = 0
    for item in export.items:
        if not is_held(store, item.request_id, item.image):
            raise ConflictError("consent to an image was withdrawn; claim again", subject=str(export.number))
        for file in item.files:
            size_bytes = _member_size(file)
            skipped = max(start - position, 0)
            if skipped < size_bytes:
                yield from _member(store, item, file, skipped)
            position += size_bytes
    yield bytes(2 * BLOCKSIZE)[max(start - position, 0) :]


def load_export(store: Store, number: int) -> Export:
    """Read an export that was claimed; raises ``NotStoredError`` for a number that none has."""
    return load(store, _export_key(number, "claim.json"), Export)


def size_of(export: Export) -> int:
    """Tell the size of the tar file in bytes."""
    return 2 * BLOCKSIZE + sum(_member_size(file) for item in export.items for file in item.files)


def confirm_export(store: Store, export: Export, *, sha256: str, actor: str, now: datetime) -> None:
    """Say that an export arrived whole, so that it is never handed out again; saying it twice is no error.

    Raises
    ------
    ConflictError
        The hash is not that of the tar file: download the rest, or again.
    GoneError
        It was given up.
    """
    end = _end_of(store, export)
    if end is None or end.sha256 != sha256:
        tally = Tally(stream_export(store, export))
        for _ in tally:
            pass
        if tally.sha256 != sha256:
            raise ConflictError("the hash is not that of the export; download it again", subject=str(export.number))
    audit.append(
        store,
        kind="training-export",
        actor=actor,
        now=now,
        subject=str(export.number),
        token=f"export/{export.number}",
        details={"images_n": len(export.items), "sha256": sha256},
    )
    end = _close(store, export, ExportEnd(utc=now, actor=actor, sha256=sha256))
    if end.sha256 is None:
        raise GoneError("this export was given up at this moment; claim again", subject=str(export.number))


def give_up_export(store: Store, export: Export, *, actor: str, now: datetime) -> None:
    """Let the images of an export be claimed again; raises ``ConflictError`` for one that was confirmed."""
    if _close(store, export, ExportEnd(utc=now, actor=actor)).sha256 is not None:
        raise ConflictError("this export was confirmed; it cannot be given up any more", subject=str(export.number))


def _close(store: Store, export: Export, end: ExportEnd) -> ExportEnd:
    """End an export, unless it has ended; returns the end that stands."""
    key = _export_key(export.number, "end.json")
    try:
        store.create(key, dump(end))
    except AlreadyStoredError:
        return load(store, key, ExportEnd)
    return end


def _end_of(store: Store, export: Export) -> ExportEnd | None:
    try:
        return load(store, _export_key(export.number, "end.json"), ExportEnd)
    except NotStoredError:
        return None


def _given(store: Store) -> Iterator[ExportItem]:
    """List the images that are given, each with its last copy to train on."""
    for request_id in request_ids(store, TRAINING):
        for image in sorted(_images_in(store, request_id)):
            for copy in copies_of(store, request_id, image)[-1:] if is_held(store, request_id, image) else ():
                yield ExportItem(request_id=request_id, image=image, files=copy.files, version=copy.version)


def _images_in(store: Store, request_id: str) -> set[int]:
    return {int(key.split("/")[2]) for key in store.list_keys(f"{TRAINING}/{request_id}")}


def _identity(item: ExportItem) -> tuple[str, int, int]:
    return item.request_id, item.image, item.version


def _member_size(file: FileRecord) -> int:
    return BLOCKSIZE + file.size_bytes + -file.size_bytes % BLOCKSIZE


def _member(store: Store, item: ExportItem, file: FileRecord, skipped: int) -> Iterator[bytes]:
    """Read one file of the tar without its first bytes: header, content, padding to whole blocks."""
    info = TarInfo(f"{item.request_id}-{item.image}/{file.path}")
    info.size = file.size_bytes
    yield info.tobuf(GNU_FORMAT)[skipped:]
    key, start = content_key(item.request_id, item.image, file), max(skipped - BLOCKSIZE, 0)
    if start < file.size_bytes:
        yield from store.stream(key, start=start)
    yield bytes(-file.size_bytes % BLOCKSIZE)[max(start - file.size_bytes, 0) :]


def _export_key(number: int, path: str) -> str:
    return f"{EXPORTS}/{number:08d}/{path}"
