"""Consent to train on an image: a row of versions, the last of which counts.

While it is given, no age deletes the image, neither the original and its results nor its training copy.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from isletnet.errors import AlreadyStoredError, ConflictError, NotStoredError
from isletnet.storage.layout import INTENTS, TRAINING, check_request_id, dump, image_key, image_number, load
from isletnet.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What somebody decided about an image; ``text`` names the wording that was agreed to."""

    version: int
    granted: bool
    actor: str
    utc: datetime
    text: str


def training_key(request_id: str, image: int, path: str) -> str:
    """Name an object about an image that is, or was, given for training."""
    return f"{TRAINING}/{check_request_id(request_id)}/{image}/{path}"


def consent_of(store: Store, request_id: str, image: int) -> Consent | None:
    """Read the last decision about an image; None if there was none."""
    keys = list(store.list_keys(training_key(request_id, image, "consent")))
    return load(store, keys[-1], Consent) if keys else None


def is_held(store: Store, request_id: str, image: int) -> bool:
    """Whether an image is given for training, so that nothing but an erasure may delete it."""
    consent = consent_of(store, request_id, image)
    return consent is not None and consent.granted


def record_consent(
    store: Store, request_id: str, image: int, *, granted: bool, actor: str, text: str, now: datetime
) -> Consent:
    """Give consent, or withdraw it. When giving returns, the image is safe.

    Raises
    ------
    NotStoredError
        The image is not there, or not any more.
    ConflictError
        It is being deleted at this moment; ask again.
    """
    if granted and not has_image(store, request_id, image):
        raise NotStoredError(f"there is no image {image} any more", subject=request_id)
    while True:
        last = consent_of(store, request_id, image)
        if last is None and not granted:
            raise NotStoredError(f"image {image} was not given for training", subject=request_id)
        if last is not None and (last.granted, last.text) == (granted, text):
            consent = last
            break
        version = last.version + 1 if last else 1
        consent = Consent(version=version, granted=granted, actor=actor, utc=now, text=text)
        try:
            store.create(_version_key(request_id, image, version), dump(consent))
        except AlreadyStoredError:
            continue
        break
    # Who deletes announces it first and looks for consent then; so one of the two sees the other.
    if granted and not has_image(store, request_id, image):
        withdraw_for_want_of_image(store, request_id, image, now=now)
        raise NotStoredError(f"there is no image {image} any more", subject=request_id)
    if granted and next(store.list_keys(f"{INTENTS}/{request_id}"), None) is not None:
        raise ConflictError("something of this request is being deleted; ask again", subject=request_id)
    return consent


def withdraw_for_want_of_image(store: Store, request_id: str, image: int, *, now: datetime) -> bool:
    """Withdraw a consent that has nothing to protect any more; whether it was so."""
    last = consent_of(store, request_id, image)
    if last is None or not last.granted or has_image(store, request_id, image):
        return False
    consent = Consent(version=last.version + 1, granted=False, actor="isletnet", utc=now, text=last.text)
    with suppress(AlreadyStoredError):
        store.create(_version_key(request_id, image, consent.version), dump(consent))
    return True


def is_key_held(store: Store, request_id: str, key: str, *, images: frozenset[int]) -> bool:
    """Whether an object of a request must stay: its image is given for training or, if it is about them all, any is."""
    number = image_number(key)
    return any(is_held(store, request_id, image) for image in (images if number is None else {number}))


def has_image(store: Store, request_id: str, image: int) -> bool:
    """Whether the image itself, or a copy to train on, is still there."""
    keys = (image_key(request_id, image, "meta.json"), image_key(request_id, image))
    copies = store.list_keys(training_key(request_id, image, "copies"))
    return all(store.exists(key) for key in keys) or next(copies, None) is not None


def _version_key(request_id: str, image: int, version: int) -> str:
    return training_key(request_id, image, f"consent/{version:06d}.json")
