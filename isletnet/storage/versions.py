"""Corrections by people: versions of a result, none of which replaces another.

::

    requests/<id>/corrections/<v>/images/<k>/labels   what the person sent
    requests/<id>/corrections/<v>/correction.json     the commit; or the mark that nobody will commit this version
    requests/<id>/corrections/<v>/files/...           outputs: of the corrected image, and those about all images
    requests/<id>/corrections/<v>/result.json         names the outputs, or says why there are none
    corrections/<id>/<v>                              index of those without a result

Version 0 is the result of the attempt that won. Results are computed in the order of the versions, each from the one
before, so that whoever computes them finds the same. Anybody may finish what somebody else began.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from isletnet.errors import NotStoredError
from isletnet.storage.drawn import keys_beside, without_outdated
from isletnet.storage.layout import CORRECTIONS, INTENTS, Aside, FileRecord, file_key, load, request_key
from isletnet.storage.records import load_outcome
from isletnet.storage.store import Store

LabelKind = Literal["classes", "islets", "regions"]

_OF_VERSION = re.compile(r"requests/([0-9a-f]{32})/corrections/(\d+)/(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Labels that a person gave for an image; ``is_void`` marks a number that nobody committed, and nobody will."""

    request_id: str
    version: int
    image: int
    kind: LabelKind
    actor: str
    utc: datetime
    note: str
    sha256: str
    size_bytes: int
    is_void: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionResult:
    """What came of a correction: ``files``, or ``code`` and ``message`` that say why nothing did."""

    files: tuple[FileRecord, ...] = ()
    code: str | None = None
    message: str | None = None


def load_correction(store: Store, request_id: str, version: int) -> Correction:
    """Read a correction, finished or not; raises ``NotStoredError`` if there is none of that version."""
    correction = find_correction(store, request_id, version)
    if correction is None or correction.is_void:
        raise NotStoredError(f"there is no version {version}", subject=request_id)
    return correction


def load_result(store: Store, request_id: str, version: int) -> CorrectionResult | None:
    """Read what came of a correction; None if it is not finished."""
    try:
        return load(store, correction_key(request_id, version, "result.json"), CorrectionResult)
    except NotStoredError:
        return None


def versions_of(store: Store, request_id: str) -> tuple[Correction, ...]:
    """List the corrections that have a result, in order; version 0 is not among them."""
    return tuple(correction for correction, _ in _finished(store, request_id))


def files_of(store: Store, request_id: str, version: int) -> Mapping[str, tuple[str, FileRecord]]:
    """Find the files of a version: its own, else those of the newest earlier one that has them.

    Returns
    -------
    mapping
        Path of each file to its key in the store and its record. The objects may have been deleted by age.

    Raises
    ------
    NotStoredError
        The request has no result, or none of this version.
    """
    if version != 0 and all(correction.version != version for correction in versions_of(store, request_id)):
        raise NotStoredError(f"there is no result of version {version}", subject=request_id)
    return _files_up_to(store, request_id, version)


def files_before(store: Store, correction: Correction) -> Mapping[str, tuple[str, FileRecord]]:
    """Find the files that a correction starts from; all versions before it must be finished."""
    return _files_up_to(store, correction.request_id, correction.version - 1)


def unfinished(store: Store) -> tuple[Correction, ...]:
    """List the corrections without a result, those of a request in order: somebody is at them, or died.

    Those of a request of which something is being deleted wait for the end of that; damaged ones are passed over.
    """
    found, aside = [], Aside()
    for entry in store.list_keys(CORRECTIONS):
        request_id, version = read_entry(entry)
        with aside():
            correction = find_correction(store, request_id, version)
            is_untouched = next(store.list_keys(f"{INTENTS}/{request_id}"), None) is None
            if correction is not None and is_untouched and needs_result(store, correction):
                found.append(correction)
    return tuple(found)


def undecided(keys: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """List the versions, by request, that somebody began and that nobody has committed, among keys of requests."""
    paths: dict[tuple[str, int], set[str]] = {}
    for found in filter(None, map(_OF_VERSION.fullmatch, keys)):
        paths.setdefault((found[1], int(found[2])), set()).add(found[3])
    return tuple(sorted(version for version, names in paths.items() if "correction.json" not in names))


def superfluous(store: Store, request_id: str, keys: Iterable[str]) -> Iterator[str]:
    """List those of a request's keys that are of corrections and that nobody needs, or needs any more."""
    folder = request_key(request_id, "corrections")
    of_corrections = [key for key in keys if key.startswith(f"{folder}/")]
    for version in sorted({_number(key) for key in of_corrections}):
        correction = find_correction(store, request_id, version)
        if correction is None:
            # It may be sent at this moment, and `settle_correction` decides.
            continue
        needed = {correction_key(request_id, version, "correction.json")}
        result = load_result(store, request_id, version)
        if not correction.is_void:
            needed |= {labels_key(correction), correction_key(request_id, version, "result.json")}
            needed |= {output_key(correction, file.path) for file in (result.files if result else ())}
        needed |= keys_beside(needed.intersection(of_corrections))
        for key in of_corrections:
            is_at_work = not correction.is_void and result is None and key.startswith(output_key(correction, ""))
            if _number(key) == version and key not in needed and not is_at_work:
                yield key


def contents_of(store: Store, request_id: str) -> Mapping[str, str]:
    """Map the labels and outputs of all corrections of a request to their hashes."""
    sha256s = {}
    for correction in committed(store, request_id):
        sha256s[labels_key(correction)] = correction.sha256
        result = load_result(store, request_id, correction.version)
        sha256s |= {output_key(correction, file.path): file.sha256 for file in (result.files if result else ())}
    return sha256s


def numbers_of(store: Store, request_id: str) -> tuple[int, ...]:
    """List all versions that have left anything, committed or not."""
    return tuple(sorted({_number(key) for key in store.list_keys(request_key(request_id, "corrections"))}))


def find_correction(store: Store, request_id: str, version: int) -> Correction | None:
    """Read what was decided of a version, also that it is void; None if nothing was."""
    try:
        return load(store, correction_key(request_id, version, "correction.json"), Correction)
    except NotStoredError:
        return None


def labels_key(correction: Correction) -> str:
    """Name the labels that a person sent."""
    return correction_key(correction.request_id, correction.version, f"images/{correction.image}/labels")


def entry_key(request_id: str, version: int) -> str:
    """Name the entry of a correction in the index of those without a result."""
    return f"{CORRECTIONS}/{request_id}/{version:06d}"


def read_entry(entry: str) -> tuple[str, int]:
    """Tell request and version of an entry of the index."""
    _, request_id, version = entry.split("/")
    return request_id, int(version)


def needs_result(store: Store, correction: Correction) -> bool:
    """Whether a correction was committed and nothing has come of it yet."""
    return not correction.is_void and load_result(store, correction.request_id, correction.version) is None


def committed(store: Store, request_id: str) -> tuple[Correction, ...]:
    """Read the corrections that were committed, finished or not, in order."""
    found = (find_correction(store, request_id, version) for version in numbers_of(store, request_id))
    return tuple(correction for correction in found if correction is not None and not correction.is_void)


def correction_key(request_id: str, version: int, path: str) -> str:
    """Name an object of a version."""
    return request_key(request_id, f"corrections/{version}/{path}")


def output_key(correction: Correction, path: str) -> str:
    """Name an output of a correction."""
    return correction_key(correction.request_id, correction.version, f"files/{path}")


def _finished(store: Store, request_id: str) -> Iterator[tuple[Correction, CorrectionResult]]:
    for correction in committed(store, request_id):
        result = load_result(store, request_id, correction.version)
        if result is not None and result.code is None:
            yield correction, result


def _files_up_to(store: Store, request_id: str, version: int) -> Mapping[str, tuple[str, FileRecord]]:
    outcome = load_outcome(store, request_id)
    if outcome is None or outcome.attempt is None:
        raise NotStoredError("the request has no result", subject=request_id)
    files: Mapping[str, tuple[str, FileRecord]] = {
        file.path: (file_key(request_id, outcome.attempt, file.path), file) for file in outcome.files
    }
    for correction, result in _finished(store, request_id):
        if correction.version <= version:
            own = {file.path: (output_key(correction, file.path), file) for file in result.files}
            files = {**without_outdated(files, result.files), **own}
    return files


def _number(key: str) -> int:
    """Tell the version of an object of a request that is of a correction."""
    return int(key.split("/")[3])
