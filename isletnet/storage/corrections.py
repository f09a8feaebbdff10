"""Correcting a result: a person's labels are committed, and somebody computes what follows. See `versions`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from isletnet.errors import AlreadyStoredError, ConflictError, GoneError, NotStoredError
from isletnet.storage.deletion import is_deleted
from isletnet.storage.layout import FileRecord, attempt_key, dump, file_key, image_key, load, request_key
from isletnet.storage.records import load_outcome, load_request
from isletnet.storage.store import Store, Tally, sha256_of
from isletnet.storage.versions import (
    Correction,
    CorrectionResult,
    LabelKind,
    committed,
    correction_key,
    entry_key,
    find_correction,
    labels_key,
    needs_result,
    numbers_of,
    output_key,
)


def add_correction(
    store: Store, request_id: str, image: int, labels: bytes, *, kind: LabelKind, actor: str, note: str, now: datetime
) -> Correction:
    """Commit a person's labels of an image as the next version; sending the same again right away gives the same.

    Parameters
    ----------
    image
        Its number.
    labels
        The file as it came; check that it can be read before.
    kind
        What its numbers mean.

    Raises
    ------
    NotStoredError
        There is no such request or image.
    ConflictError
        The request has not been done, or this image of it failed.
    GoneError
        The request, the image or its result was deleted.
    """
    _check_open_to_correction(store, request_id, image)
    sha256 = hashlib.sha256(labels).hexdigest()
    for last in committed(store, request_id)[-1:]:
        if (last.image, last.kind, last.actor, last.note, last.sha256) == (image, kind, actor, note, sha256):
            return last
    version = max(numbers_of(store, request_id), default=0)
    while True:
        version += 1
        correction = Correction(
            request_id=request_id,
            version=version,
            image=image,
            kind=kind,
            actor=actor,
            utc=now,
            note=note,
            sha256=sha256,
            size_bytes=len(labels),
        )
        try:
            store.create(labels_key(correction), labels)
            # The index before the commit: nobody would finish a correction that is not in it.
            with suppress(AlreadyStoredError):
                store.create(entry_key(request_id, version), b"")
            store.create(correction_key(request_id, version, "correction.json"), dump(correction))
        except AlreadyStoredError:
            continue
        if not store.exists(request_key(request_id)):
            raise GoneError("the request was deleted", subject=request_id)
        return correction


def write_correction_file(store: Store, correction: Correction, path: str, chunks: Iterable[bytes]) -> FileRecord:
    """Store an output of a correction; what somebody wrote before stays, and its record is returned.

    Parameters
    ----------
    path
        Where, as a key: ``images/<k>/<name>`` for what is of one image.
    chunks
        The content in pieces.
    """
    key, tally = output_key(correction, path), Tally(chunks)
    try:
        store.create_from(key, tally)
    except AlreadyStoredError:
        return FileRecord(path=path, sha256=sha256_of(store, key), size_bytes=store.size(key))
    return FileRecord(path=path, sha256=tally.sha256, size_bytes=tally.size_bytes)


def finish_correction(store: Store, correction: Correction, *, files: Iterable[FileRecord]) -> CorrectionResult:
    """Give a correction its result, unless somebody has; from then on it is seen.

    Returns
    -------
    CorrectionResult
        The one that stands.

    Raises
    ------
    ConflictError
        An earlier correction has no result yet; finish that first, and compute this one anew.
    GoneError
        The request was deleted.
    """
    for earlier in committed(store, correction.request_id):
        if earlier.version < correction.version and needs_result(store, earlier):
            raise ConflictError(f"version {earlier.version} has no result yet", subject=correction.request_id)
    return _conclude(store, correction, CorrectionResult(files=tuple(files)))


def give_up_correction(store: Store, correction: Correction, *, code: str, message: str) -> CorrectionResult:
    """Say that nothing comes of a correction, so that it holds up no later one; returns like `finish_correction`."""
    return _conclude(store, correction, CorrectionResult(code=code, message=message))


def settle_correction(store: Store, request_id: str, version: int, *, now: datetime) -> None:
    """Do what a crash left undone about a version; one that is being sent at this moment gets another number."""
    correction = None
    if store.exists(request_key(request_id)):
        correction = find_correction(store, request_id, version) or _mark_as_void(store, request_id, version, now)
    if correction is not None and needs_result(store, correction):
        if all(store.exists(key) for key in (labels_key(correction), image_key(request_id, correction.image))):
            return
        give_up_correction(store, correction, code="gone", message="The picture or the labels were deleted before.")
    store.delete(entry_key(request_id, version))


def _check_open_to_correction(store: Store, request_id: str, image: int) -> None:
    request = load_request(store, request_id)
    if is_deleted(store, request_id):
        raise GoneError("the request was deleted", subject=request_id)
    if all(one.number != image for one in request.images):
        raise NotStoredError(f"there is no image {image}", subject=request_id)
    outcome = load_outcome(store, request_id)
    if outcome is None or outcome.attempt is None:
        raise ConflictError("only a request that is done can be corrected", subject=request_id)
    if all((one.number, one.state) != (image, "done") for one in outcome.images):
        raise ConflictError(f"image {image} failed, so there is nothing to correct", subject=request_id)
    outputs = {file_key(request_id, outcome.attempt, file.path) for file in outcome.files}
    stored = set(store.list_keys(attempt_key(request_id, outcome.attempt, "files")))
    if not store.exists(image_key(request_id, image)) or outputs - stored:
        raise GoneError("the picture, or results that belong to it, were deleted by age", subject=request_id)


def _conclude(store: Store, correction: Correction, result: CorrectionResult) -> CorrectionResult:
    request_id, version = correction.request_id, correction.version
    if not store.exists(request_key(request_id)):
        raise GoneError("the request was deleted", subject=request_id)
    try:
        store.create(correction_key(request_id, version, "result.json"), dump(result))
    except AlreadyStoredError:
        result = load(store, correction_key(request_id, version, "result.json"), CorrectionResult)
    store.delete(entry_key(request_id, version))
    return result


def _mark_as_void(store: Store, request_id: str, version: int, now: datetime) -> Correction:
    """Take the place of a commit that never came; returns what stands."""
    mark = Correction(
        request_id=request_id,
        version=version,
        image=0,
        kind="classes",
        actor="isletnet",
        utc=now,
        note="",
        sha256="",
        size_bytes=0,
        is_void=True,
    )
    try:
        store.create(correction_key(request_id, version, "correction.json"), dump(mark))
    except AlreadyStoredError:
        return load(store, correction_key(request_id, version, "correction.json"), Correction)
    return mark
