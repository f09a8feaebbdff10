"""Checking a whole store: nothing missing, damaged, doubled or left over, and the chain of the audit intact."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Literal

from isletnet.errors import IsletnetError, NotStoredError
from isletnet.storage import audit
from isletnet.storage.consent import consent_of, has_image
from isletnet.storage.deletion import Tombstone, is_gone, tombstone_key
from isletnet.storage.drawn import contents_beside
from isletnet.storage.jobs import state_of
from isletnet.storage.layout import (
    AUDIT,
    CLOCK,
    CORRECTIONS,
    EXPORTS,
    IDEMPOTENCY,
    INTENTS,
    KEYS,
    OPEN,
    OUTBOX,
    OWNERS,
    REQUESTS,
    STATISTICS,
    TOMBSTONES,
    TRAINING,
    Reservation,
    file_key,
    id_of,
    image_key,
    load,
    open_key,
    owner_key,
    request_ids,
    request_key,
)
from isletnet.storage.owners import stale_entries
from isletnet.storage.records import load_outcome, load_request
from isletnet.storage.store import PROBE_FOLDER, Store, sha256_of
from isletnet.storage.sweep import surplus
from isletnet.storage.training import content_key, copies_of
from isletnet.storage.versions import committed, contents_of, entry_key, needs_result, undecided, unfinished

ProblemKind = Literal["orphan", "missing", "damaged", "unfinished", "chain"]

_AREAS = {
    *(REQUESTS, OPEN, OWNERS, CORRECTIONS, IDEMPOTENCY, OUTBOX, TRAINING, EXPORTS),
    *(INTENTS, TOMBSTONES, AUDIT, CLOCK, STATISTICS, KEYS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is not as it was promised.

    ``unfinished`` is what a crash leaves and the next sweep finishes; everything else is for a person to look at.
    """

    kind: ProblemKind
    key: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """What a check found. Note number and hash of the last entry elsewhere: only so is a cut-off end of it seen."""

    requests_by_state: Mapping[str, int]
    objects_n: int
    audit_entries_n: int
    audit_head_sha256: str
    problems: tuple[Problem, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(store: Store) -> StoreReport:
    """Read everything in a store and compare it with what was noted; changes nothing.

    A store that is at work may be checked, too, but what happens meanwhile can look like a problem.

    Returns
    -------
    StoreReport
        With a problem for each thing that is wrong.
    """
    objects = Counter(key.partition("/")[0] for key in store.list_keys())
    strangers = sorted(objects.keys() - _AREAS - {PROBE_FOLDER})
    problems = [Problem(kind="orphan", key=area, message="it does not belong into a store") for area in strangers]
    problems += (Problem(kind="chain", key=key, message=message) for key, message in audit.broken_links(store))
    problems += _guarded(AUDIT, _deletion_problems(store))
    deleted = _deleted_keys(store)
    states: Counter[str] = Counter()
    for folder, check in ((REQUESTS, _request_problems), (TRAINING, _training_problems)):
        ids = set(request_ids(store, folder))
        for name in store.list_folders(folder):
            subject = f"{folder}/{name}"
            if name not in ids:
                problems.append(Problem(kind="orphan", key=subject, message="it is not the id of a request"))
            # A bucket may still name a folder whose objects are gone.
            elif any(True for _ in store.list_keys(subject)):
                problems += _guarded(subject, check(store, name, deleted))
                if folder == REQUESTS:
                    states[_state(store, name)] += 1
    problems += _guarded(OPEN, _index_problems(store))
    number = audit.head(store)
    return StoreReport(
        requests_by_state=dict(sorted(states.items())),
        objects_n=objects.total(),
        audit_entries_n=number,
        audit_head_sha256=sha256_of(store, audit.entry_key(number)) if number else audit.START_SHA256,
        problems=tuple(problems),
    )


def report_text(report: StoreReport) -> str:
    """Write a report for a person: one line a problem, then what was counted."""
    problems = [f"{problem.kind:<10} {problem.key}: {problem.message}" for problem in report.problems]
    states = ", ".join(f"{count} {state}" for state, count in report.requests_by_state.items()) or "none"
    counted = [
        f"requests: {states}",
        f"objects: {report.objects_n}",
        f"audit: {report.audit_entries_n} entries, the last has SHA-256 {report.audit_head_sha256}",
        "The store is clean." if report.is_clean else f"Something is wrong: {len(report.problems)} problems.",
    ]
    return "\n".join(problems + counted)


def report_json(report: StoreReport) -> str:
    """Write a report for a machine."""
    return json.dumps(asdict(report) | {"is_clean": report.is_clean}, indent=1)


def _guarded(subject: str, check: Iterator[Problem]) -> list[Problem]:
    """Collect what a check finds; a record that cannot be read is a finding, too, and ends that check alone."""
    found = []
    try:
        for problem in check:
            found.append(problem)
    except IsletnetError as error:
        kind: ProblemKind = "missing" if isinstance(error, NotStoredError) else "damaged"
        found.append(Problem(kind=kind, key=error.subject or subject, message=error.message))
    return found


def _state(store: Store, request_id: str) -> str:
    try:
        return state_of(store, request_id)
    except IsletnetError:
        return "unreadable"


def _request_problems(store: Store, request_id: str, deleted: frozenset[str]) -> Iterator[Problem]:
    for key in surplus(store, request_id):
        yield Problem(kind="unfinished", key=key, message="it is left over")
    if _state(store, request_id) in {"draft", "deleted"}:
        return
    request, outcome = load_request(store, request_id), load_outcome(store, request_id)
    wanted = {image_key(request_id, image.number): image.sha256 for image in request.images}
    for image in request.images:
        key = image_key(request_id, image.number, "meta.json")
        if not store.exists(key) and key not in deleted:
            yield Problem(kind="missing", key=key, message="it is not there, and nobody deleted it")
    if outcome is None:
        entry = open_key(request_id, request.submitted_utc)
        if not store.exists(entry):
            yield Problem(kind="missing", key=entry, message="nobody will find this request, which has not ended")
    elif outcome.attempt is not None:
        wanted |= {file_key(request_id, outcome.attempt, file.path): file.sha256 for file in outcome.files}
    if not store.exists(owner_key(request)):
        yield Problem(kind="missing", key=owner_key(request), message="its owner's list does not show this request")
    yield from _correction_problems(store, request_id)
    wanted |= contents_of(store, request_id)
    yield from _content_problems(store, wanted | dict(contents_beside(store, wanted)), deleted)


def _correction_problems(store: Store, request_id: str) -> Iterator[Problem]:
    for _, version in undecided(store.list_keys(f"{REQUESTS}/{request_id}")):
        yield Problem(kind="unfinished", key=entry_key(request_id, version), message="nobody committed this version")
    for correction in committed(store, request_id):
        entry = entry_key(request_id, correction.version)
        if needs_result(store, correction) and not store.exists(entry):
            yield Problem(kind="missing", key=entry, message="nobody will find this correction, which has no result")


def _training_problems(store: Store, request_id: str, deleted: frozenset[str]) -> Iterator[Problem]:
    keys = list(store.list_keys(f"{TRAINING}/{request_id}"))
    if is_gone(store, request_id):
        yield from (Problem(kind="unfinished", key=key, message="its request is deleted") for key in keys)
        return
    wanted: dict[str, str] = {}
    for image in sorted({int(key.split("/")[2]) for key in keys}):
        consent = consent_of(store, request_id, image)
        folder = f"{TRAINING}/{request_id}/{image}"
        if consent is None:
            yield Problem(kind="orphan", key=folder, message="nobody consented to it")
        elif consent.granted and not has_image(store, request_id, image):
            yield Problem(kind="unfinished", key=folder, message="there is consent, and no image")
        elif consent.granted:
            for copy in copies_of(store, request_id, image):
                wanted |= {content_key(request_id, image, file): file.sha256 for file in copy.files}
    yield from _content_problems(store, wanted, deleted)


def _content_problems(store: Store, wanted: Mapping[str, str], deleted: frozenset[str]) -> Iterator[Problem]:
    """Compare objects with their hashes; one that is not there must have been deleted with a tombstone."""
    for key, sha256 in wanted.items():
        try:
            if sha256_of(store, key) != sha256:
                yield Problem(kind="damaged", key=key, message="its content is not what was stored; restore it")
        except NotStoredError:
            if key not in deleted:
                yield Problem(kind="missing", key=key, message="it is not there, and nobody deleted it")


def _deleted_keys(store: Store) -> frozenset[str]:
    """Collect what the chain says was deleted; entries that cannot be read are a finding of the chain's own check."""
    found: set[str] = set()
    for key in store.list_keys(AUDIT):
        with suppress(IsletnetError):
            entry = load(store, key, audit.Entry)
            if entry.kind == "deletion":
                found |= entry.details["sha256s"].keys()
    return frozenset(found)


def _deletion_problems(store: Store) -> Iterator[Problem]:
    """Each deletion in the chain has one tombstone, and each tombstone its entry."""
    told: dict[int, str] = {}
    for entry in audit.entries(store):
        if entry.kind == "deletion":
            request_id, _, number = (entry.token or "").rpartition("/")
            told[entry.number] = tombstone_key(request_id, int(number))
    for key in store.list_keys(TOMBSTONES):
        tombstone = load(store, key, Tombstone)
        if told.pop(tombstone.audit_number, None) != key:
            yield Problem(kind="chain", key=key, message="the audit does not tell of this deletion")
    for key in told.values():
        yield Problem(kind="unfinished", key=key, message="the audit tells of a deletion without a tombstone")


def _index_problems(store: Store) -> Iterator[Problem]:
    for key in store.list_keys(INTENTS):
        yield Problem(kind="unfinished", key=key, message="a deletion is under way")
    for key in store.list_keys(OPEN):
        request_id = id_of(key)
        state = _state(store, request_id)
        if state != "draft" and (
            state not in {"queued", "running"}
            or key != open_key(request_id, load_request(store, request_id).submitted_utc)
        ):
            yield Problem(kind="unfinished", key=key, message=f"nobody waits for it: the request is {state}")
    for key in stale_entries(store):
        yield Problem(kind="unfinished", key=key, message="its request is not there, or came at another time")
    waiting = {entry_key(correction.request_id, correction.version) for correction in unfinished(store)}
    for key in sorted(set(store.list_keys(CORRECTIONS)) - waiting):
        yield Problem(kind="unfinished", key=key, message="nobody waits for the result of such a correction")
    for key in store.list_keys(OUTBOX):
        request_id = key.rpartition("/")[2].removesuffix(".json")
        if not store.exists(request_key(request_id)) or store.exists(request_key(request_id, "mailed.json")):
            yield Problem(kind="unfinished", key=key, message="this mail went out, or its request is gone")
    for key in store.list_keys(IDEMPOTENCY):
        request_id = load(store, key, Reservation).request_id
        if not store.exists(request_key(request_id, "draft.json")):
            yield Problem(kind="unfinished", key=key, message="it stands for a request that is not there")
