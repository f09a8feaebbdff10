"""Requests from the draft to the commit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from isletnet.errors import AlreadyStoredError, ConflictError, GoneError, NotStoredError, ParameterError
from isletnet.storage.layout import (
    IDEMPOTENCY,
    Draft,
    ImageRecord,
    Outcome,
    Request,
    Reservation,
    dump,
    image_key,
    load,
    open_key,
    owner_key,
    request_key,
)
from isletnet.storage.store import Store, Tally, sha256_of

MOST_IMAGES = 1000
LONGEST_NAME = 255


def idempotency_hash(owner: str, client_key: str) -> str:
    """Hash a client's key, so that owners cannot meet each other's."""
    return hashlib.sha256(b"\0".join(part.encode("utf-8", "replace") for part in (owner, client_key))).hexdigest()


def reserve(store: Store, idempotency: str, *, request_id: str, body_sha256: str, now: datetime) -> str:
    """Let a client's key stand for a request, unless it stands for one already.

    Parameters
    ----------
    idempotency
        From `idempotency_hash`.
    request_id
        The id to use if the key is new.
    body_sha256
        Hash of all that the client sent.

    Returns
    -------
    str
        The id that the key stands for; it may be neither drafted nor submitted yet, then go on with it.

    Raises
    ------
    ConflictError
        The key came with another body before.
    """
    key = f"{IDEMPOTENCY}/{idempotency}.json"
    reservation = Reservation(request_id=request_id, body_sha256=body_sha256, reserved_utc=now)
    try:
        store.create(key, dump(reservation))
    except AlreadyStoredError:
        reservation = load(store, key, Reservation)
    if reservation.body_sha256 != body_sha256:
        raise ConflictError("this idempotency key came with other content before; use a new one")
    return reservation.request_id


def open_draft(
    store: Store,
    request_id: str,
    *,
    owner: str,
    now: datetime,
    idempotency: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Draft:
    """Open a draft; opening it again is no error for its owner, and ``ConflictError`` for others."""
    draft = Draft(
        request_id=request_id, owner=owner, created_utc=now, idempotency=idempotency, parameters=parameters or {}
    )
    try:
        store.create(request_key(request_id, "draft.json"), dump(draft))
    except AlreadyStoredError:
        draft = load_draft(store, request_id)
    if draft.owner != owner:
        raise ConflictError("this id is taken", subject=request_id)
    return draft


def load_draft(store: Store, request_id: str) -> Draft:
    """Read how a request began; raises ``NotStoredError`` for an unknown id."""
    return load(store, request_key(request_id, "draft.json"), Draft)


def add_image(
    store: Store,
    request_id: str,
    number: int,
    chunks: Iterable[bytes],
    *,
    name: str,
    now: datetime,
    facts: Mapping[str, Any] | None = None,
) -> ImageRecord:
    """Add an image to a draft; sending the same one again is no error.

    Parameters
    ----------
    number
        0 to 999.
    chunks
        Its bytes, as they come; what they raise goes through, and nothing is added.
    name
        The sender's file name: data, never part of a key.

    Raises
    ------
    NotStoredError
        There is no such draft.
    ConflictError
        It was submitted already, or another image has that number.
    GoneError
        It expired.
    """
    if not 0 <= number < MOST_IMAGES:
        raise ParameterError(f"an image has a number from 0 to {MOST_IMAGES - 1}", subject=str(number))
    load_draft(store, request_id)
    tally = Tally(chunks)
    if store.exists(request_key(request_id)):
        return _same_image(load_request(store, request_id), number, tally)
    key = image_key(request_id, number)
    try:
        store.create_from(key, tally)
    except AlreadyStoredError:
        if sha256_of(store, key) != tally.sha256:
            raise ConflictError(f"another image has number {number}; take the next one", subject=request_id) from None
    image = ImageRecord(
        number=number,
        name=name.encode("utf-8", "replace").decode()[:LONGEST_NAME],
        sha256=tally.sha256,
        size_bytes=tally.size_bytes,
        received_utc=now,
        facts=facts or {},
    )
    try:
        store.create(image_key(request_id, number, "meta.json"), dump(image))
    except AlreadyStoredError:
        return load(store, image_key(request_id, number, "meta.json"), ImageRecord)
    return image


def images_of(store: Store, request_id: str) -> tuple[ImageRecord, ...]:
    """Read the records of the images that have arrived whole, by number."""
    keys = store.list_keys(request_key(request_id, "images"))
    images = [load(store, key, ImageRecord) for key in keys if key.endswith("/meta.json")]
    return tuple(sorted(images, key=lambda image: image.number))


def submit(
    store: Store,
    request_id: str,
    *,
    now: datetime,
    parameters: Mapping[str, Any] | None = None,
    mail_to: str | None = None,
    known: tuple[Draft, tuple[ImageRecord, ...]] | None = None,
) -> Request:
    """Commit a draft: when this returns, the request is never lost. Submitting again gives what was accepted.

    Parameters
    ----------
    store, request_id, now, parameters, mail_to
        What becomes of the draft, and when.
    known
        The draft and its images, from who has made all of it and nobody else knows of; otherwise they are read.

    Raises
    ------
    NotStoredError
        There is no such draft.
    ConflictError
        It has no image.
    GoneError
        It expired.
    """
    draft, images = known or (load_draft(store, request_id), images_of(store, request_id))
    if not images:
        raise ConflictError("a request needs an image; add one, then submit", subject=request_id)
    request = Request(
        request_id=request_id,
        owner=draft.owner,
        submitted_utc=now,
        images=images,
        parameters=parameters or {},
        mail_to=mail_to,
        idempotency=draft.idempotency,
    )
    # The indexes first: a commit that nobody finds would be lost.
    entries = open_key(request_id, now), owner_key(request)
    for entry in entries:
        with suppress(AlreadyStoredError):
            store.create(entry, b"")
    try:
        store.create(request_key(request_id), dump(request))
    except AlreadyStoredError:
        if _load_commit(store, request_id).submitted_utc != now:
            _delete_all(store, entries)
        return load_request(store, request_id)
    if not store.exists(request_key(request_id, "draft.json")):
        # It expired and was deleted in between, and its images with it; the draft goes before the mark of that.
        _delete_all(store, (request_key(request_id), *entries))
        raise GoneError("the draft expired before it was submitted", subject=request_id)
    return request


def abandon(store: Store, draft: Draft, *, now: datetime) -> bool:
    """Take the place of the commit, so that a draft can never be submitted; whether that came first."""
    mark = Request(request_id=draft.request_id, owner=draft.owner, submitted_utc=now, images=(), abandoned=True)
    try:
        store.create(request_key(draft.request_id), dump(mark))
    except AlreadyStoredError:
        return _load_commit(store, draft.request_id).abandoned
    return True


def load_request(store: Store, request_id: str) -> Request:
    """Read what was accepted; raises ``NotStoredError``, or ``GoneError`` for a draft that expired."""
    request = _load_commit(store, request_id)
    if request.abandoned:
        raise GoneError("the draft expired, or was deleted, before it was submitted", subject=request_id)
    return request


def load_outcome(store: Store, request_id: str) -> Outcome | None:
    """Read how a request ended; None if it has not."""
    try:
        return load(store, request_key(request_id, "outcome.json"), Outcome)
    except NotStoredError:
        return None


def _same_image(request: Request, number: int, tally: Tally) -> ImageRecord:
    """Find the image that a client sends again because it did not hear that it was accepted."""
    for _ in tally:
        pass
    for image in request.images:
        if (image.number, image.sha256) == (number, tally.sha256):
            return image
    raise ConflictError("the request was submitted; open a new one for more images", subject=request.request_id)


def _delete_all(store: Store, keys: Iterable[str]) -> None:
    for key in keys:
        store.delete(key)


def _load_commit(store: Store, request_id: str) -> Request:
    return load(store, request_key(request_id), Request)
