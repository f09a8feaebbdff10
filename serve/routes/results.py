"""What came of a request: its numbers, and its files."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from isletnet.errors import GoneError, NotStoredError
from isletnet.storage.layout import image_key
from isletnet.storage.records import images_of
from isletnet.storage.versions import versions_of
from serve.access.identity import Principal
from serve.doors import drawing, files
from serve.doors.deps import Deps, TheDeps, Who
from serve.doors.types import ResultsAnswer, Version
from serve.intake import requests

router = APIRouter(prefix="/api/requests", tags=["results"])

WholeFile = Literal["report.pdf", "results.xlsx", "summary.csv"]
ImageFile = Literal[
    "overlay.png",
    "labels.tif",
    "islets.tif",
    "islets.csv",
    "summary.json",
    "rois.zip",
    "contours.geojson",
    "picture.jpg",
]
AtVersion = Annotated[
    int | None, Query(ge=0, le=1_000_000, description="0 is the network's own, 1 and up are corrections.")
]
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"application/octet-stream": {"schema": {"type": "string"}}}}
}


@router.get("/{request_id}/results")
def results(request_id: str, who: Who, deps: TheDeps, version: AtVersion = None) -> ResultsAnswer:
    """Give all numbers: of each sample, of each image, and what failed."""
    found = _results(deps, who, request_id, version)
    content = files.read_json(deps.store, found, "results.json")
    versions = tuple(
        Version(version=one.version, image=one.image, actor=one.actor, utc=one.utc, note=one.note)
        for one in versions_of(deps.store, request_id)
    )
    return ResultsAnswer(request_id=request_id, version=found.version, versions=versions, **content)


@router.get("/{request_id}/archive.zip", response_class=StreamingResponse, responses=_FILE)
async def archive(request_id: str, who: Who, deps: TheDeps, version: AtVersion = None) -> StreamingResponse:
    """Give all files at once."""
    found = await to_thread.run_sync(_results, deps, who, request_id, version)
    found = await drawing.with_all(deps, who, found)
    pieces = await to_thread.run_sync(lambda: files.first_piece_read(files.archive(deps.store, found)))
    return files.file_answer(pieces, "archive.zip", stem=_stem(request_id), size_bytes=None)


@router.get("/{request_id}/islets.csv", response_class=StreamingResponse, responses=_FILE)
def islets(request_id: str, who: Who, deps: TheDeps, version: AtVersion = None) -> StreamingResponse:
    """Give one table of the islets of all images."""
    found = _results(deps, who, request_id, version)
    pieces = files.first_piece_read(files.islets_csv(deps.store, found))
    return files.file_answer(pieces, "islets.csv", stem=_stem(request_id), size_bytes=None)


@router.get("/{request_id}/images/{number}/original", response_class=StreamingResponse, responses=_FILE)
def original(request_id: str, number: int, who: Who, deps: TheDeps) -> StreamingResponse:
    """Give an image as it came, to its owner or an admin: a camera may have written more into it than pixels."""
    owner = requests.visible(deps, who, request_id).owner
    if who.name != owner:
        who.require("admin")
    image = next((one for one in images_of(deps.store, request_id) if one.number == number), None)
    if image is None:
        raise NotStoredError(f"there is no image {number}, or not any more")
    try:
        pieces = files.first_piece_read(deps.store.stream(image_key(request_id, number)))
    except NotStoredError:
        raise GoneError("the image was deleted by age") from None
    return files.file_answer(
        pieces, image.name, stem="", size_bytes=image.size_bytes, media_type="application/octet-stream"
    )


@router.get("/{request_id}/images/{number}/{file}", response_class=StreamingResponse, responses=_FILE)
async def image_file(
    request_id: str, number: int, file: ImageFile, who: Who, deps: TheDeps, version: AtVersion = None
) -> StreamingResponse:
    """Give a file of one image."""
    found = await to_thread.run_sync(_results, deps, who, request_id, version)
    stem = found.name_of(number).rpartition(".")[0] or found.name_of(number)
    return await _file(deps, who, found, f"images/{number}/{file}", stem=stem)


@router.get("/{request_id}/{file}", response_class=StreamingResponse, responses=_FILE)
async def whole_file(
    request_id: str,
    file: Annotated[WholeFile, Path()],
    who: Who,
    deps: TheDeps,
    version: AtVersion = None,
) -> StreamingResponse:
    """Give a file about all images."""
    found = await to_thread.run_sync(_results, deps, who, request_id, version)
    return await _file(deps, who, found, file, stem=_stem(request_id))


async def _file(deps: Deps, who: Principal, found: files.Results, path: str, *, stem: str) -> StreamingResponse:
    drawn = await drawing.with_file(deps, who, found, path)
    return await to_thread.run_sync(partial(files.stored_file, deps.store, drawn, path, stem=stem))


def _results(deps: Deps, who: Principal, request_id: str, version: int | None) -> files.Results:
    requests.visible(deps, who, request_id)
    return files.results_of(deps.store, request_id, version)


def _stem(request_id: str) -> str:
    return f"isletnet {request_id[:8]}"
