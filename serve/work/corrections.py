"""A result anew, by the labels of a person: the image's files, and the numbers of all images."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from isletnet.analysis.decode import decode
from isletnet.analysis.formats.label_files import read_labels
from isletnet.analysis.remeasure import remeasure
from isletnet.errors import InputError
from isletnet.exports.folder import StoredImage, read_image, read_labelled, read_table, write_atomically
from isletnet.exports.results import DoneImage, kept_image_files, results_json
from isletnet.schemas import ImageResult
from isletnet.storage.corrections import finish_correction, give_up_correction, write_correction_file
from isletnet.storage.drawn import OF_ALL
from isletnet.storage.layout import image_key
from isletnet.storage.records import load_outcome, load_request
from isletnet.storage.store import Store
from isletnet.storage.versions import (
    Correction,
    CorrectionResult,
    files_before,
    labels_key,
    load_correction,
    load_result,
    unfinished,
)
from serve.work.closing import MEASURED_FILES, failed_images, fetch_image
from serve.work.images import Rules
from serve.work.parameters import RequestParameters
from serve.work.tasks import CopyTask, CorrectionDone, CorrectionTask, Tell
from serve.work.training import do_copy


def do_correction(store: Store, task: CorrectionTask, *, rules: Rules, now: datetime, tell: Tell) -> CorrectionDone:
    """Give a correction its result, and first those before it of the same request; doing it again changes nothing.

    Raises
    ------
    StorageError, ExportError
        Something could not be read or written; the correction can be done again.
    DroppedError
        From ``tell``.
    """
    for earlier in unfinished(store):
        if earlier.request_id == task.request_id and earlier.version < task.version:
            _finish(store, earlier, rules=rules, tell=tell)
    correction = load_correction(store, task.request_id, task.version)
    result = _finish(store, correction, rules=rules, tell=tell)
    if result.code is None:
        do_copy(store, CopyTask(request_id=task.request_id, number=correction.image, version=task.version), now=now)
    return CorrectionDone(result=result)


def _finish(store: Store, correction: Correction, *, rules: Rules, tell: Tell) -> CorrectionResult:
    result = load_result(store, correction.request_id, correction.version)
    if result is not None:
        return result
    with tempfile.TemporaryDirectory(prefix="isletnet-correction-") as scratch:
        try:
            contents = _contents(store, correction, Path(scratch), rules=rules, tell=tell)
        except InputError as error:
            return give_up_correction(store, correction, code=error.code, message=error.message)
        tell("writing", 0.9)
        files = [write_correction_file(store, correction, path, [content]) for path, content in contents.items()]
    return finish_correction(store, correction, files=files)


def _contents(store: Store, correction: Correction, scratch: Path, *, rules: Rules, tell: Tell) -> dict[str, bytes]:
    """Make the corrected image's files and the numbers of all images; give each by its path."""
    request, outcome = load_request(store, correction.request_id), load_outcome(store, correction.request_id)
    outcomes = outcome.images if outcome else ()
    parameters = RequestParameters.model_validate(request.parameters)
    before, images = files_before(store, correction), list[DoneImage]()
    for one in outcomes:
        if one.state == "done":
            names = (*MEASURED_FILES, "islets.tif") if one.number == correction.image else MEASURED_FILES
            keys = {name: before[f"images/{one.number}/{name}"][0] for name in names}
            images.append(fetch_image(store, keys, one.number, scratch / str(one.number), parameters, rules))
    tell("measuring", 0.3)
    corrected = next(image for image in images if image.number == correction.image)
    files = kept_image_files(_remeasured(store, correction, corrected.stored))
    folder = corrected.stored.folder
    for name, content in files.items():
        write_atomically(folder / name, content)
    anew = [
        replace(image, stored=read_image(folder)) if image.number == correction.image else image for image in images
    ]
    tell("collecting", 0.6)
    numbers = results_json(anew, failed_images(request, outcomes))
    return {**{f"images/{correction.image}/{name}": content for name, content in files.items()}, OF_ALL: numbers}


def _remeasured(store: Store, correction: Correction, stored: StoredImage) -> ImageResult:
    labels = store.read(labels_key(correction))
    content = store.read(image_key(correction.request_id, correction.image))
    record = stored.record
    micrograph = decode(content, name=record.image.name, max_pixels=record.image.width_px * record.image.height_px)
    before = ImageResult(
        micrograph=replace(micrograph, calibration=record.calibration),
        calibration=record.calibration,
        labelled=read_labelled(stored.folder),
        table=read_table(stored.folder),
        summary=record.summary,
        disagreement=record.disagreement,
        provenance=record.provenance,
    )
    return remeasure(
        before,
        read_labels(labels, shape_px=micrograph.shape_px),
        kind=correction.kind,
        corrected_by=correction.actor,
        version=correction.version,
    )
