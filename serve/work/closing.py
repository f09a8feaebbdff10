"""The end of a request: the numbers of all its images, and copies of those that are given for training."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from isletnet.errors import ConflictError, NotStoredError
from isletnet.exports.folder import read_image
from isletnet.exports.results import DoneImage, FailedImage, results_json
from isletnet.storage.consent import consent_of, record_consent
from isletnet.storage.drawn import OF_ALL, OF_IMAGE
from isletnet.storage.layout import ImageOutcome, Request, file_key
from isletnet.storage.leases import Lease
from isletnet.storage.store import Store
from serve.work.images import Rules, image_of, put_file
from serve.work.parameters import RequestParameters, analysis_parameters, of_image, sample_parameters
from serve.work.tasks import ClosingDone, ClosingTask, Tell
from serve.work.training import copy_for_training

_LOG = logging.getLogger("isletnet.serve.worker")

# What images are pooled from.
MEASURED_FILES = (OF_IMAGE, "islets.csv", "labels.tif")


def do_closing(store: Store, task: ClosingTask, *, rules: Rules, now: datetime, tell: Tell) -> ClosingDone:
    """Store the numbers of all images of a request, from the files that its workers have stored.

    Raises
    ------
    StorageError, ExportError
        They could not be read or written.
    DroppedError
        From ``tell``.
    """
    lease = task.lease
    parameters = RequestParameters.model_validate(lease.request.parameters)
    done = [outcome.number for outcome in task.images if outcome.state == "done"]
    failed = failed_images(lease.request, task.images)
    with tempfile.TemporaryDirectory(prefix="isletnet-request-") as scratch:
        images: list[DoneImage] = []
        for number in done:
            tell("collecting", len(images) / len(done))
            keys = {
                name: file_key(lease.request.request_id, lease.attempt, f"images/{number}/{name}")
                for name in MEASURED_FILES
            }
            images.append(fetch_image(store, keys, number, Path(scratch, str(number)), parameters, rules))
        tell("writing", 1.0)
        numbers = put_file(store, lease, OF_ALL, [results_json(images, failed)])
    for number in done:
        if of_image(parameters, number).get("consent"):
            tell("copying for training", 1.0)
            try:
                _give(store, lease, number, parameters.consent_text, now=now)
            except (ConflictError, NotStoredError) as error:
                # The result is not at stake; a copy that is due is made later.
                _LOG.warning("image %d of %s was not copied: %s", number, lease.request.request_id, error.code)
    return ClosingDone(files=(numbers,))


def fetch_image(
    store: Store, keys: Mapping[str, str], number: int, folder: Path, parameters: RequestParameters, rules: Rules
) -> DoneImage:
    """Bring an image's files into a folder.

    Parameters
    ----------
    keys
        Where its files are, by name: `MEASURED_FILES`, and others that are wanted.
    folder
        Is made.

    Raises
    ------
    StorageError, ExportError
        A file is absent or damaged.
    """
    folder.mkdir(parents=True)
    with ThreadPoolExecutor(len(keys)) as pool:
        list(pool.map(lambda name: fetch_file(store, keys[name], folder / name), keys))
    return DoneImage(
        number=number,
        stored=read_image(folder),
        parameters=analysis_parameters(parameters, number, default_network=rules.default_network),
        sample=sample_parameters(parameters, number),
        aliquot=of_image(parameters, number).get("aliquot", ""),
    )


def fetch_file(store: Store, key: str, path: Path) -> None:
    """Bring a file out of the store; raises ``NotStoredError`` if it is not there."""
    with path.open("wb") as file:
        file.writelines(store.stream(key))


def failed_images(request: Request, outcomes: Iterable[ImageOutcome]) -> list[FailedImage]:
    """List the images that failed, with their names."""
    return [
        FailedImage(
            number=outcome.number,
            name=image_of(request, outcome.number).name,
            code=outcome.code or "unexpected",
            message=outcome.message or "",
        )
        for outcome in outcomes
        if outcome.state == "failed"
    ]


def _give(store: Store, lease: Lease, number: int, text: str, *, now: datetime) -> None:
    """Record the consent that came with the request, once: what was decided since then stands."""
    request_id = lease.request.request_id
    if consent_of(store, request_id, number) is None:
        record_consent(store, request_id, number, granted=True, actor=lease.request.owner, text=text, now=now)
    labels_key, summary_key = (
        file_key(request_id, lease.attempt, f"images/{number}/{name}") for name in ("labels.tif", OF_IMAGE)
    )
    copy_for_training(store, request_id, number, labels_key=labels_key, summary_key=summary_key, version=0, now=now)
