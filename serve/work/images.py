"""One image: from the bytes in the store to its files in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from isletnet.errors import AlreadyStoredError, InputError, NetworkError
from isletnet.storage.layout import FileRecord, ImageOutcome, ImageRecord, Request, file_key, image_key
from isletnet.storage.leases import Lease, write_file
from isletnet.storage.store import CHUNK_BYTES, Store, sha256_of
from serve.work.parameters import RequestParameters, analysis_parameters
from serve.work.tasks import ImageDone, ImageTask, Tell

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from isletnet.analysis.pipeline import Analysis
    from isletnet.networks.model import Network

Load = Callable[[str], "Network"]

# Shares of an image's work that are done when a stage begins.
DECODING, SEGMENTING, MEASURING, WRITING = 0.0, 0.1, 0.5, 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What this installation decides for all images."""

    default_network: str
    max_pixels: int


def do_image(store: Store, task: ImageTask, *, rules: Rules, load: Load, tell: Tell) -> ImageDone:
    """Analyse one image and store its files; what is wrong with the image itself becomes its outcome.

    Raises
    ------
    StorageError
        The store does not do its part.
    DroppedError
        From ``tell``.
    """
    lease, number = task.lease, task.number
    parameters = RequestParameters.model_validate(lease.request.parameters)
    image = image_of(lease.request, number)
    tell("reading", DECODING)
    content = store.read(image_key(lease.request.request_id, number))
    try:
        result = analyse_bytes(content, image.name, parameters, number, rules=rules, load=load, tell=tell)
    except (InputError, NetworkError) as error:
        return ImageDone(outcome=ImageOutcome(number=number, state="failed", code=error.code, message=error.message))
    except MemoryError:
        message = "The picture needs more memory than a worker may take; send a smaller one."
        return ImageDone(outcome=ImageOutcome(number=number, state="failed", code="image_too_large", message=message))
    tell("writing", WRITING)
    files = _write(store, lease, number, result)
    return ImageDone(outcome=ImageOutcome(number=number, state="done"), files=files)


def analyse_bytes(
    content: bytes,
    name: str,
    parameters: RequestParameters,
    number: int,
    *,
    rules: Rules,
    load: Load,
    tell: Tell,
) -> Analysis:
    """Analyse the bytes of an image as its sender asked; raises like `isletnet.analyse`."""
    from isletnet.analysis.pipeline import analyse

    tell("decoding", DECODING)
    return analyse(
        content,
        name=name,
        parameters=analysis_parameters(parameters, number, default_network=rules.default_network),
        load=_watched(load, tell),
        max_pixels=rules.max_pixels,
    )


def image_of(request: Request, number: int) -> ImageRecord:
    """Find the record of an image of a request."""
    return next(image for image in request.images if image.number == number)


def put_file(store: Store, lease: Lease, path: str, chunks: Iterable[bytes]) -> FileRecord:
    """Store a file of an attempt; what an earlier try of the same attempt has stored stays, whole as it is."""
    with suppress(AlreadyStoredError):
        return write_file(store, lease, path, chunks)
    key = file_key(lease.request.request_id, lease.attempt, path)
    return FileRecord(path=path, sha256=sha256_of(store, key), size_bytes=store.size(key))


def _write(store: Store, lease: Lease, number: int, result: Analysis) -> tuple[FileRecord, ...]:
    from isletnet.exports.results import kept_image_files

    files = kept_image_files(result)

    def put(file: tuple[str, bytes]) -> FileRecord:
        return put_file(store, lease, f"images/{number}/{file[0]}", [file[1]])

    # Beside each other: on a store that is far away, each takes its time. Nothing is promised before the request ends.
    with ThreadPoolExecutor(len(files)) as pool:
        return tuple(pool.map(put, files.items()))


def chunks_of(path: Path) -> Iterator[bytes]:
    """Read a file in pieces."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _watched(load: Load, tell: Tell) -> Load:
    """Tell of each tile on its way to the first network; the second looks while the first result is measured."""
    seen: list[str] = []

    def watched(name: str) -> Network:
        network = load(name)
        is_first, tiles = not seen, iter(range(1, 1_000_000))
        seen.append(name)

        def run(rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
            tile = next(tiles)
            if is_first:
                tell(f"segmenting, tile {tile}", SEGMENTING + (MEASURING - SEGMENTING) * tile / (tile + 1))
            else:
                tell("measuring", MEASURING)
            return network.run(rgb, log_background)

        return replace(network, run=run)

    return watched
