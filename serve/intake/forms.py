"""What comes in forms: parameters as JSON, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import ValidationError

from isletnet.analysis.decode import check_signature
from isletnet.errors import DamagedImageError, ParameterError
from isletnet.storage.layout import Draft, ImageRecord
from serve.access.identity import Principal
from serve.access.limits import MEGABYTE
from serve.access.refusals import TooLargeError
from serve.doors.deps import Deps
from serve.doors.problems import BadRequestError, plain
from serve.intake import requests
from serve.intake.multipart import Part, parts_of
from serve.intake.uploads import Body, counted, picture_pieces, read_small
from serve.work.parameters import RequestParameters

MOST_NAME_LETTERS = 2000


def read_parameters(content: bytes) -> RequestParameters:
    """Read parameters; nothing at all is none. Raises ``ParameterError`` that names the first that cannot be."""
    if not content.strip():
        return RequestParameters()
    try:
        return RequestParameters.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "parameters"
        raise ParameterError(plain(first["msg"]), subject=field) from None


def submit_form(deps: Deps, who: Principal, body: Body, client_key: str | None) -> str:
    """Make a request of a form with ``parameters`` and ``images``; returns its id. All of it is taken, or nothing.

    Raises
    ------
    IsletnetError
        Something is wrong with the form, an image or the parameters; the answer names it.
    """
    most_bytes = deps.settings.max_request_mb * MEGABYTE
    if (body.announced_bytes or 0) > most_bytes:
        raise TooLargeError(f"a request has at most {deps.settings.max_request_mb} MB")
    deps.limits.check_space(body.announced_bytes or 0)

    def fill(draft: Draft) -> tuple[RequestParameters, tuple[ImageRecord, ...]]:
        parameters, images = RequestParameters(), list[ImageRecord]()
        for part in parts_of(body.pieces(), body.content_type):
            if part.name == "parameters":
                parameters = read_parameters(read_small(part.pieces))
            elif part.name == "images" and part.file_name is not None:
                number = len(images)
                name = part.file_name[:MOST_NAME_LETTERS] or f"image {number}"
                images.append(requests.add_image(deps, who, draft, number, name, part.pieces, announced_bytes=None))
            else:
                raise _unexpected(part, "'parameters' and files 'images'")
        if not images:
            raise DamagedImageError(
                "send at least one file named 'images' in the form; there is none", subject="images"
            )
        return parameters, tuple(images)

    return requests.submit_form(deps, who, client_key, fill)


def image_form(deps: Deps, body: Body, count: Callable[[int], None]) -> tuple[bytes, str, RequestParameters]:
    """Read a form with one ``image`` and ``parameters``: the image's bytes, its name, the parameters.

    ``count`` gets the size of each piece of the form before it is kept.
    """
    content, name, parameters = b"", "", RequestParameters()
    for part in parts_of(counted(body.pieces(), count), body.content_type):
        if part.name == "parameters":
            parameters = read_parameters(read_small(part.pieces))
        elif part.name == "image" and part.file_name is not None and not name:
            name = part.file_name[:MOST_NAME_LETTERS] or "image"
            pieces: Iterator[bytes] = picture_pieces(part.pieces, name, check_signature)
            content = read_small(pieces, deps.settings.max_upload_mb * MEGABYTE)
        else:
            raise _unexpected(part, "'parameters' and one file 'image'")
    if not name:
        raise DamagedImageError("send a file named 'image' in the form; there is none", subject="image")
    return content, name, parameters


def _unexpected(part: Part, expected: str) -> BadRequestError:
    kind = "field" if part.file_name is None else "file"
    return BadRequestError(f"the form has {expected}; this {kind} is none of them: {part.name[:40]!r}")
