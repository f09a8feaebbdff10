"""A sample across requests: the images of the same name of sample, pooled again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from isletnet.errors import ConflictError, GoneError, NotStoredError
from isletnet.exports.records import to_plain
from isletnet.storage.layout import Request
from isletnet.storage.owners import requests_of
from isletnet.storage.store import Store
from serve.doors.files import Results, opened, results_of
from serve.doors.types import SampleAnswer
from serve.work.parameters import RequestParameters, analysis_parameters, of_image, sample_parameters

if TYPE_CHECKING:
    from isletnet.exports.results import DoneImage

MOST_IMAGES = 400
_NEEDED_FILES = ("summary.json", "islets.csv", "labels.tif")


def pooled_sample(store: Store, owner: str, sample: str, *, default_network: str) -> SampleAnswer:
    """Pool the images of a sample from all requests of an owner that are done.

    Parameters
    ----------
    sample
        The name that they were sent with.
    default_network
        What analysed those that name none.

    Raises
    ------
    NotStoredError
        There is no image of that sample.
    ConflictError
        There are too many, or their values contradict each other, so that they are no sample.
    GoneError
        The results of one of them were deleted by age.
    """
    # Tables and statistics, which nothing else here needs and which would make each start longer.
    from isletnet.exports.results import pool_samples

    found = [(results, number) for results in _done(store, owner, sample) for number in _numbers(results, sample)]
    if not found:
        raise NotStoredError("there is no image of this sample that is done")
    if len(found) > MOST_IMAGES:
        raise ConflictError(f"this sample has {len(found)} images; at most {MOST_IMAGES} are pooled")
    with tempfile.TemporaryDirectory(prefix="isletnet-sample-") as scratch:
        images = [
            _image(store, results, number, place, Path(scratch, str(place)), default_network)
            for place, (results, number) in enumerate(found)
        ]
        (pooled,) = pool_samples(images)
    if pooled.summary is None:
        raise ConflictError(pooled.message or "the images of this sample cannot be pooled")
    ids = tuple(dict.fromkeys(results.request.request_id for results, _ in found))
    return SampleAnswer(sample=sample, requests=ids, summary=to_plain(pooled.summary))


def samples_of(request: Request) -> set[str]:
    """Tell the names of samples that a request was sent with, its own and those of single images."""
    own = (request.parameters.get("images") or {}).values()
    return {str(one["sample_name"]) for one in (request.parameters, *own) if one.get("sample_name")}


def _done(store: Store, owner: str, sample: str) -> Iterator[Results]:
    cursor = None
    while True:
        page = requests_of(store, owner, before=cursor)
        # By its parameters alone, before anything else is read of it.
        for request in (one for one in page.requests if sample in samples_of(one)):
            with suppress(ConflictError, GoneError, NotStoredError):
                yield results_of(store, request.request_id, None)
        cursor = page.next
        if cursor is None:
            return


def _numbers(results: Results, sample: str) -> Iterator[int]:
    parameters = _parameters(results.request)
    for image in results.request.images:
        is_done = f"images/{image.number}/summary.json" in results.files
        if is_done and of_image(parameters, image.number).get("sample_name") == sample:
            yield image.number


def _image(store: Store, results: Results, number: int, place: int, folder: Path, default_network: str) -> DoneImage:
    from isletnet.exports.folder import read_image
    from isletnet.exports.results import DoneImage

    folder.mkdir()
    for name in _NEEDED_FILES:
        _, pieces = opened(store, results.files, f"images/{number}/{name}")
        with (folder / name).open("wb") as file:
            file.writelines(pieces)
    parameters = _parameters(results.request)
    return DoneImage(
        number=place,
        stored=read_image(folder),
        parameters=analysis_parameters(parameters, number, default_network=default_network),
        sample=sample_parameters(parameters, number),
        aliquot=of_image(parameters, number).get("aliquot", ""),
    )


def _parameters(request: Request) -> RequestParameters:
    return RequestParameters.model_validate(request.parameters)
