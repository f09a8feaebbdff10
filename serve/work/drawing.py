"""Files that somebody asks for and that nobody has drawn yet, from what is stored of a result."""

from __future__ import annotations

import tempfile
from pathlib import Path

from isletnet.exports.results import PICTURE_FILE, drawn_image_files, write_drawn
from isletnet.storage.drawn import OF_ALL, OF_IMAGE, Files, find_drawn, keep_drawn
from isletnet.storage.records import load_request
from isletnet.storage.store import Store
from isletnet.storage.versions import files_of
from serve.work.closing import MEASURED_FILES, fetch_file, fetch_image
from serve.work.images import Rules, chunks_of
from serve.work.parameters import RequestParameters
from serve.work.tasks import DrawDone, DrawTask, Tell

_OF_IMAGE = (*MEASURED_FILES, "islets.tif", PICTURE_FILE)
_OF_ALL = (OF_IMAGE, "islets.csv", "overlay.png")


def do_draw(store: Store, task: DrawTask, *, rules: Rules, tell: Tell) -> DrawDone:
    """Draw what is missing: for an image its own files, for a whole request those of all its images, too.

    Raises
    ------
    StorageError, ExportError
        Something could not be read or written.
    DroppedError
        From ``tell``.
    """
    files = files_of(store, task.request_id, task.version)
    sources = [task.source]
    if task.source == OF_ALL:
        sources = [*sorted(path for path in files if path.endswith(f"/{OF_IMAGE}")), OF_ALL]
    for place, source in enumerate(sources):
        tell("drawing", place / len(sources))
        if find_drawn(store, files, source) is None:
            with tempfile.TemporaryDirectory(prefix="isletnet-drawing-") as scratch:
                _draw(store, task.request_id, files, source, Path(scratch), rules=rules)
    return DrawDone()


def _draw(store: Store, request_id: str, files: Files, source: str, scratch: Path, *, rules: Rules) -> None:
    if source != OF_ALL:
        folder = source.removesuffix(OF_IMAGE)
        for name in _OF_IMAGE:
            fetch_file(store, files[f"{folder}{name}"][0], scratch / name)
        keep_drawn(store, files, source, {name: [file] for name, file in drawn_image_files(scratch).items()})
        return
    parameters = RequestParameters.model_validate(load_request(store, request_id).parameters)
    images = []
    for path in (path for path in files if path.endswith(f"/{OF_IMAGE}")):
        known = {**files, **(find_drawn(store, files, path) or {})}
        keys = {name: known[path.removesuffix(OF_IMAGE) + name][0] for name in _OF_ALL}
        number = int(path.split("/")[1])
        images.append(fetch_image(store, keys, number, scratch / str(number), parameters, rules))
    paths = write_drawn(images, store.read(files[source][0]), scratch / "out")
    keep_drawn(store, files, source, {path.name: chunks_of(path) for path in paths})
