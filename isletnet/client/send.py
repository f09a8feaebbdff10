"""From files to a request: a draft, its images one by one, the commit; and one image answered at once."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

from isletnet.client import records
from isletnet.client.calls import Body, Call, Flow, Patience, Persistence, Work, ask_json, json_body, once, parse
from isletnet.client.errors import AccessError, RefusedError, ServiceError, TransferError
from isletnet.errors import InputError

CHUNK_BYTES = 256 * 1024

Image: TypeAlias = str | Path | bytes | tuple[str, bytes]
OnProgress: TypeAlias = Callable[[records.Progress], None]


def unheard(_: records.Progress) -> None:
    """Take progress that nobody wants to hear of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An image to send: its name, and where its bytes are."""

    name: str
    path: Path | None = None
    content: bytes = b""

    def size_bytes(self) -> int:
        """Say how big it is at this moment."""
        return self.path.stat().st_size if self.path else len(self.content)

    def chunks(self) -> Iterator[bytes]:
        """Read it from its beginning."""
        with self.path.open("rb") if self.path else BytesIO(self.content) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def sha256(self) -> str:
        """Hash it."""
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()


def source(image: Image, number: int = 0) -> Source:
    """Find out what kind of image was given; raises ``InputError`` if it is a path without a file."""
    if isinstance(image, bytes):
        return Source(name=f"image-{number}", content=image)
    if isinstance(image, tuple):
        return Source(name=_sendable(image[0]), content=image[1])
    path = Path(image)
    if not path.is_file():
        raise InputError("expected a file, but there is none of that name; check the path", subject=str(path))
    return Source(name=_sendable(path.name), path=path)


def submit(
    patience: Patience,
    images: Sequence[Image],
    parameters: Mapping[str, Any],
    per_image: Mapping[int, Mapping[str, Any]],
    idempotency_key: str | None,
    on_progress: OnProgress,
) -> Flow[records.Status]:
    """Open a draft, send what it does not have yet, commit it."""
    if not images:
        raise InputError("a request needs an image, none was given")
    sources = [source(image, number) for number, image in enumerate(images)]
    own = {"images": {str(number): dict(values) for number, values in per_image.items()}} if per_image else {}
    key = idempotency_key or secrets.token_hex(16)
    headers = {"Idempotency-Key": key}
    call = Call(method="POST", path="/api/requests", body=json_body({**parameters, **own}), headers=headers)
    request_id = yield from ask_json(call, patience, lambda data: str(data["request_id"]))
    status = yield from _known(patience, request_id)
    if status.state == "draft":
        yield from _send_all(patience, status, sources, on_progress)
    else:
        yield from _compare(status, sources)
    commit = Call(method="POST", path=f"/api/requests/{request_id}/submit", headers=headers)
    return (yield from ask_json(commit, patience, records.status))


def look(patience: Patience, request_id: str, *, wait_s: int = 0) -> Flow[records.Status]:
    """Ask how far a request is, at once or as soon as it has ended."""
    query = {"wait": wait_s} if wait_s else {}
    return (
        yield from ask_json(
            Call(method="GET", path=f"/api/requests/{request_id}", query=query), patience, records.status
        )
    )


def analyse(
    patience: Patience, image: Image, parameters: Mapping[str, Any], name: str | None
) -> Flow[records.Analysed]:
    """Have one image answered at once; nothing of it is kept."""
    found = source(image)
    form = _form(found, name or found.name, parameters)
    call = Call(method="POST", path="/api/analyse", body=form, silence_s=300.0)
    return (yield from ask_json(call, patience, records.analysed))


def _send_all(
    patience: Patience, status: records.Status, sources: Sequence[Source], on_progress: OnProgress
) -> Flow[None]:
    sizes = [one.size_bytes() for one in sources]
    total, before = sum(sizes), 0
    for number, (one, size) in enumerate(zip(sources, sizes, strict=True)):

        def tell(sent: int, name: str = one.name, before: int = before) -> None:
            done = min(before + sent, total)
            on_progress(
                records.Progress(
                    stage="send", fraction=done / total if total else 1.0, done=done, total=total, name=name
                )
            )

        if not (yield from _is_there(status, number, one)):
            yield from _send(patience, status.request_id, number, one, tell)
        tell(size)
        before += size


def _send(patience: Patience, request_id: str, number: int, image: Source, tell: Callable[[int], None]) -> Flow[None]:
    """Send one image; after a broken line only if it has not arrived all the same."""
    persistence = Persistence(patience)
    while True:
        body, digest = _told(image, tell)
        path = f"/api/requests/{request_id}/images/{number}"
        call = Call(method="PUT", path=path, query={"name": image.name}, body=body)
        try:
            answer = yield from once(call, patience)
        except ServiceError as error:
            error.subject = image.name
            pause = persistence.pause(error)
        else:
            if parse(answer.content, lambda data: str(data["sha256"])) == digest.hexdigest():
                return
            raise TransferError("the service received other bytes than were sent; send it again", subject=image.name)
        yield pause
        status = yield from _known(patience, request_id)
        if (yield from _is_there(status, number, image)):
            return


def _known(patience: Patience, request_id: str) -> Flow[records.Status]:
    """Ask what has arrived; who may only send sends everything, which the service takes for the same."""
    try:
        return (yield from look(patience, request_id))
    except AccessError:
        return records.Status(request_id=request_id, state="draft")


def _is_there(status: records.Status, number: int, image: Source) -> Flow[bool]:
    """Whether the service has the same bytes under that number."""
    there = [known.sha256 for known in status.images if known.number == number]
    return bool(there) and there[0] == (yield Work(image.sha256))


def _compare(status: records.Status, sources: Sequence[Source]) -> Flow[None]:
    """See that a request that was submitted before is about the same images."""
    same = len(status.images) == len(sources)
    for number, one in enumerate(sources):
        same = same and (yield from _is_there(status, number, one))
    if not same:
        raise RefusedError(
            "this idempotency key stands for a request with other images; use a new one", subject=status.request_id
        )


def _told(image: Source, tell: Callable[[int], None]) -> tuple[Body, Any]:
    """Make a body that counts and hashes what goes out."""
    digest, sent = hashlib.sha256(), 0

    def hashed() -> Iterator[bytes]:
        for chunk in image.chunks():
            digest.update(chunk)
            yield chunk

    def count(size_bytes: int) -> None:
        nonlocal sent
        sent += size_bytes
        tell(sent)

    body = Body(chunks=hashed, size_bytes=image.size_bytes(), content_type="application/octet-stream", sent=count)
    return body, digest


def _form(image: Source, name: str, parameters: Mapping[str, Any]) -> Body:
    """Write a form with the parameters and the image, which is read as it is sent (RFC 7578)."""
    boundary = secrets.token_hex(16)
    values = json.dumps(dict(parameters), ensure_ascii=False, allow_nan=False)
    # As browsers write it.
    quoted = _sendable(name).replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="parameters"\r\n'
        f"Content-Type: application/json\r\n\r\n{values}\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{quoted}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode("utf-8", "replace")
    tail = f"\r\n--{boundary}--\r\n".encode()

    def chunks() -> Iterator[bytes]:
        yield head
        yield from image.chunks()
        yield tail

    return Body(
        chunks=chunks,
        size_bytes=len(head) + image.size_bytes() + len(tail),
        content_type=f"multipart/form-data; boundary={boundary}",
    )


def _sendable(name: str) -> str:
    """Replace what a file name may hold but UTF-8 does not."""
    return name.encode("utf-8", "replace").decode()
