"""Whose a request is, and how it comes to be: what the routes do with the records of requests."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from isletnet.analysis.decode import check_signature
from isletnet.errors import IsletnetError, NotStoredError, ParameterError
from isletnet.networks.catalogue import network_names
from isletnet.schemas import IEQ_METHODS
from isletnet.storage import records
from isletnet.storage.layout import Draft, ImageRecord, Request, image_key, load, new_request_id, request_key
from isletnet.storage.mail import check_address
from isletnet.storage.records import idempotency_hash, load_draft
from isletnet.storage.retention import delete_request
from isletnet.storage.store import Store
from serve.access.identity import Principal
from serve.access.refusals import RefusedError
from serve.doors.deps import Deps
from serve.doors.problems import BadRequestError
from serve.intake.uploads import counted, picture_pieces
from serve.work.parameters import RequestParameters

LONGEST_IDEMPOTENCY_KEY = 200
_MOST_REMEMBERED = 20_000
_UNKNOWN = "there is no such request"


def visible(deps: Deps, who: Principal, request_id: str) -> Draft:
    """Find a request that this one may read; others are not there."""
    draft = _find(deps.store, request_id)
    if who.may_see(draft.owner):
        return draft
    if who.name == draft.owner:
        who.require("read")
    raise NotStoredError(_UNKNOWN)


def own(deps: Deps, who: Principal, request_id: str) -> Draft:
    """Find a request that this one may change; others are not there, or may only be read."""
    draft = _find(deps.store, request_id)
    if who.may_change(draft.owner):
        return draft
    if who.name == draft.owner:
        who.require("submit")
    if who.may_see(draft.owner):
        who.require("admin")
    raise NotStoredError(_UNKNOWN)


def check_parameters(parameters: RequestParameters) -> None:
    """Refuse at once what would only fail later, for all images.

    Raises
    ------
    ParameterError
        A network or a way to IEQ that is not known, or no address of one person.
    """
    known = network_names()
    for one in (parameters, *parameters.images.values()):
        if one.network is not None and one.network not in known:
            raise ParameterError(f"the networks here are {', '.join(known)}", subject="network")
        if one.ieq_method is not None and one.ieq_method not in IEQ_METHODS:
            raise ParameterError(f"the ways to IEQ are {', '.join(IEQ_METHODS)}", subject="ieq_method")
    if parameters.mail_to is not None:
        check_address(parameters.mail_to)


def open_draft(deps: Deps, who: Principal, parameters: RequestParameters, client_key: str | None) -> Draft:
    """Open a draft; the same client's key again, with the same parameters, gives the same one."""
    who.require("submit")
    check_parameters(parameters)
    deps.limits.check_space()
    plain = _plain(parameters)
    request_id, idempotency = new_request_id(), _idempotency(who, client_key)
    if idempotency is not None:
        request_id = records.reserve(
            deps.store, idempotency, request_id=request_id, body_sha256=_sha256(["draft", plain]), now=deps.now()
        )
    return records.open_draft(
        deps.store, request_id, owner=who.name, now=deps.now(), idempotency=idempotency, parameters=plain
    )


def add_image(
    deps: Deps,
    who: Principal,
    draft: Draft,
    number: int,
    name: str,
    pieces: Iterator[bytes],
    *,
    announced_bytes: int | None,
) -> ImageRecord:
    """Store an image of a draft; ``announced_bytes`` is its size as its sender says, if the sender does.

    Raises
    ------
    RefusedError
        It is too much, too slow, or too many are on their way.
    InputError
        It begins like no picture that is read.
    StorageError
        The store does not take it.
    """
    others = [size for known, size in _sizes(deps.store, draft.request_id).items() if known != number]
    deps.limits.check_images(len(others) + 1)
    with deps.limits.upload(who, announced_bytes, request_bytes=sum(others)) as upload:
        checked = picture_pieces(pieces, name, check_signature)
        return records.add_image(
            deps.store, draft.request_id, number, counted(checked, upload.count), name=name, now=deps.now()
        )


def submit(
    deps: Deps,
    who: Principal,
    draft: Draft,
    parameters: RequestParameters | None,
    images: tuple[ImageRecord, ...] | None = None,
) -> Request:
    """Commit a draft, with its own parameters if none are given now, and tell who works on requests.

    ``images`` are those of a draft that nobody else knows of; of others they are read.
    """
    chosen = parameters or RequestParameters.model_validate(draft.parameters)
    if images is not None or not deps.store.exists(request_key(draft.request_id)):
        check_parameters(chosen)
        deps.limits.check_queue(deps.store, who)
    plain = _plain(chosen)
    mail_to = plain.pop("mail_to", None)
    known = None if images is None else (draft, images)
    request = records.submit(
        deps.store, draft.request_id, now=deps.now(), parameters=plain, mail_to=mail_to, known=known
    )
    deps.nudge()
    return request


def submit_form(
    deps: Deps,
    who: Principal,
    client_key: str | None,
    fill: Callable[[Draft], tuple[RequestParameters, tuple[ImageRecord, ...]]],
) -> str:
    """Make a request of one form; if anything is wrong with it, nothing stays.

    Parameters
    ----------
    fill
        Adds the images of the form to a draft, and gives its parameters and them.

    Returns
    -------
    str
        The request's id; the one of before if the client's key came with the same form already.
    """
    who.require("submit")
    idempotency = _idempotency(who, client_key)
    deps.limits.check_queue(deps.store, who)
    draft = records.open_draft(deps.store, new_request_id(), owner=who.name, now=deps.now(), idempotency=idempotency)
    try:
        parameters, images = fill(draft)
        check_parameters(parameters)
        request_id = draft.request_id
        if idempotency is not None:
            told = [[image.number, image.name, image.sha256] for image in images]
            body = _sha256(["form", _plain(parameters), told])
            request_id = records.reserve(
                deps.store, idempotency, request_id=request_id, body_sha256=body, now=deps.now()
            )
    except BaseException:
        _drop(deps, draft)
        raise
    try:
        if request_id == draft.request_id:
            submit(deps, who, draft, parameters, images)
        else:
            _drop(deps, draft)
            # What a key stands for is whole, and who made it may have died since: it is submitted for that one, too.
            submit(deps, who, load_draft(deps.store, request_id), parameters)
    except RefusedError:
        # The queue has filled up meanwhile. With a key, the same form comes again and finds its images.
        if idempotency is None:
            _drop(deps, draft)
        raise
    return request_id


def _find(store: Store, request_id: str) -> Draft:
    try:
        return load_draft(store, request_id)
    except (ParameterError, NotStoredError):
        raise NotStoredError(_UNKNOWN) from None


def _drop(deps: Deps, draft: Draft) -> None:
    """Delete a draft that nobody will go on with; what cannot be deleted now expires."""
    with suppress(IsletnetError):
        if not deps.store.exists(request_key(draft.request_id)):
            delete_request(deps.store, draft.request_id, actor=draft.owner, now=deps.now())


def _plain(parameters: RequestParameters) -> dict[str, Any]:
    return parameters.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def _idempotency(who: Principal, client_key: str | None) -> str | None:
    if client_key is None:
        return None
    if not (0 < len(client_key) <= LONGEST_IDEMPOTENCY_KEY):
        raise BadRequestError(f"an Idempotency-Key has 1 to {LONGEST_IDEMPOTENCY_KEY} characters")
    return idempotency_hash(who.name, client_key)


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


_seen_sizes: dict[tuple[str, int], int] = {}
_seen_lock = threading.Lock()


def _sizes(store: Store, request_id: str) -> dict[int, int]:
    """Tell the sizes of the images of a draft; each is read once by this process."""
    keys = store.list_keys(request_key(request_id, "images"))
    numbers = [int(key.split("/")[3]) for key in keys if key.endswith("/meta.json")]
    sizes = {}
    for number in numbers:
        size = _seen_sizes.get((request_id, number))
        if size is None:
            size = load(store, image_key(request_id, number, "meta.json"), ImageRecord).size_bytes
            with _seen_lock:
                if len(_seen_sizes) >= _MOST_REMEMBERED:
                    _seen_sizes.clear()
                _seen_sizes[request_id, number] = size
        sizes[number] = size
    return sizes
