"""A dead request once more, as a new one: its end stays what it was."""

from __future__ import annotations

import hashlib
from datetime import datetime

from isletnet.errors import ConflictError, GoneError, NotStoredError
from isletnet.storage import audit, records
from isletnet.storage.layout import Request, image_key, new_request_id
from isletnet.storage.store import Store


def resubmit(store: Store, dead_id: str, *, actor: str, now: datetime) -> Request:
    """Submit the images and parameters of a dead request as a new one of the same owner.

    Doing it twice, or again after a crash, gives the same new request for as long as that exists.

    Parameters
    ----------
    dead_id
        The request that died; it is not changed.
    actor
        Who decides it; goes into the audit.

    Raises
    ------
    NotStoredError
        There is no such request.
    ConflictError
        It is not dead.
    GoneError
        It, or an image of it, was deleted.
    """
    dead, outcome = records.load_request(store, dead_id), records.load_outcome(store, dead_id)
    if outcome is None or outcome.state != "dead":
        state = "has not ended" if outcome is None else f"is {outcome.state}"
        raise ConflictError(f"only a dead request is submitted again; this one {state}", subject=dead_id)
    # No client has an empty name, so none can take this key.
    idempotency = records.idempotency_hash("", f"resubmit/{dead_id}")
    request_id = records.reserve(
        store,
        idempotency,
        request_id=new_request_id(),
        body_sha256=hashlib.sha256(dead_id.encode()).hexdigest(),
        now=now,
    )
    records.open_draft(store, request_id, owner=dead.owner, now=now, idempotency=idempotency)
    for image in dead.images:
        try:
            chunks = store.stream(image_key(dead_id, image.number))
            records.add_image(store, request_id, image.number, chunks, name=image.name, now=now, facts=image.facts)
        except NotStoredError as error:
            raise GoneError(f"image {image.number} was deleted; send it again", subject=dead_id) from error
    audit.append(
        store,
        kind="resubmit",
        actor=actor,
        now=now,
        subject=request_id,
        token=f"resubmit/{request_id}",
        details={"dead_id": dead_id},
    )
    return records.submit(store, request_id, now=now, parameters=dead.parameters, mail_to=dead.mail_to)
