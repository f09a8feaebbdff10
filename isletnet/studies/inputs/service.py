"""The service's door: results of ended requests, by its API alone."""

from __future__ import annotations

import re
import tempfile
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isletnet.errors import ParameterError
from isletnet.exports.folder import ImageRecord, read_labelled, read_table
from isletnet.exports.records import from_plain
from isletnet.studies.keep import digest, sha256_of

if TYPE_CHECKING:
    from isletnet.client import Client, Request
    from isletnet.schemas import LabelledIslets
    from isletnet.studies.inputs.sources import StudyImage

_SOME = re.compile(r"(?P<service>https?://.+?)/requests/(?P<ids>[A-Za-z0-9_,-]+)/?")
_PAGE_N = 200


def open_client(address: str, *, key_file: Path | None) -> Client:
    """Open the service at an address, with the key that stands in a file.

    Raises
    ------
    ParameterError
        The file cannot be read.
    """
    from isletnet.client import Client

    try:
        key = None if key_file is None else key_file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise ParameterError("a file with the key to the service was expected", subject=str(key_file)) from error
    return Client(address, key)


def service_images(source: str, *, key_file: Path | None) -> Iterator[tuple[StudyImage, dict[str, str]]]:
    """Read the images of ended requests.

    Parameters
    ----------
    source
        ``http://host:8000`` for all of one's own requests, ``http://host:8000/requests/<id>,<id>`` for some.
    key_file
        File with the key.

    Yields
    ------
    StudyImage, dict
        The image, and what was read of it to its sha256. By the time of requests, then by number.
    """
    match = _SOME.fullmatch(source)
    client = open_client(match["service"] if match else source, key_file=key_file)
    requests = (
        [client.request(one) for one in match["ids"].split(",") if one] if match else list(_ended_requests(client))
    )
    cache = tempfile.TemporaryDirectory(prefix="isletnet-study-")
    for request in sorted(requests, key=lambda one: (str(one.status.ended_utc), one.id)):
        yield from _images(request, cache)


def _ended_requests(client: Client) -> Iterator[Request]:
    before = None
    while True:
        page = client.requests(limit=_PAGE_N, before=before, state="done")
        for status in page.requests:
            yield client.request(status.request_id)
        before = page.next
        if before is None:
            return


def _images(request: Request, cache: tempfile.TemporaryDirectory[str]) -> Iterator[tuple[StudyImage, dict[str, str]]]:
    from isletnet.studies.inputs.sources import StudyImage

    results = request.results()
    ended = request.status.ended_utc
    for entry in results.images:
        number = int(entry["number"])
        home = Path(cache.name) / request.id / str(number)
        table = request.download(f"images/{number}/islets.csv", home, version=results.version)
        image = StudyImage(
            name=str(entry["name"]),
            sample=str(entry["sample"]),
            utc=None if ended is None else ended.isoformat(),
            record=from_plain(ImageRecord, entry["record"]),
            table=partial(read_table, table.parent),
            labelled=partial(_labelled, request, number, results.version, home),
            original=partial(_original, request, number, home),
        )
        # The downloads stay as long as any of their images.
        weakref.finalize(image, lambda kept: None, cache)
        place = f"{request.id}/{number}"
        yield image, {f"{place}/record": digest(entry["record"]), f"{place}/islets.csv": sha256_of(table)}


def _labelled(request: Request, number: int, version: int, home: Path) -> LabelledIslets:
    paths = [
        request.download(f"images/{number}/{name}", home, version=version) for name in ("labels.tif", "islets.tif")
    ]
    return read_labelled(paths[0].parent)


def _original(request: Request, number: int, home: Path) -> bytes:
    content: Any = request.download(f"images/{number}/original", home).read_bytes()
    return bytes(content)
