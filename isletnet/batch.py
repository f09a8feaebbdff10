"""A whole batch: files in, one folder of results each, and a summary, a workbook and a report for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Literal

import isletnet
from isletnet import resume
from isletnet.errors import ExportError, ParameterError
from isletnet.schemas import CRITERION_QUANTITIES, AnalysisParameters, Criterion, SampleParameters, Summary

if TYPE_CHECKING:
    from isletnet.analysis.pipeline import Analysis
    from isletnet.exports.folder import StoredImage
    from isletnet.networks.model import EngineChoice, PrecisionChoice

Follow = Callable[[Iterable[resume.Outcome]], Iterator[resume.Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Everything that decides what a batch gives.

    ``aliquots`` says which images are fields of one aliquot: all of them, those of a folder, or each by itself.
    """

    out: Path
    parameters: AnalysisParameters
    engine: EngineChoice
    precision: PrecisionChoice
    threads: int
    max_pixels: int
    sample: SampleParameters
    aliquots: Literal["all", "folder", "file"]
    overwrite: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What came of an order.

    ``images`` belongs to the outcomes that have not failed, in their order. ``pooled`` is None where all failed.
    """

    outcomes: tuple[resume.Outcome, ...]
    images: tuple[StoredImage, ...]
    pooled: Summary | None
    files: tuple[Path, ...]


def read_criteria(path: Path) -> tuple[Criterion, ...]:
    """Read release criteria from a JSON list of objects with the fields of `Criterion`.

    Raises
    ------
    ParameterError
        The file is no such list.
    """
    from isletnet.exports.records import from_plain

    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"expected a JSON list of criteria: {error}", subject=str(path)) from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ParameterError("expected a JSON list of objects, one for each criterion", subject=str(path))
    try:
        criteria = tuple(from_plain(Criterion, entry) for entry in entries)
    except ExportError as error:
        names = ", ".join(field.name for field in fields(Criterion))
        raise ParameterError(f"expected criteria with {names}: {error.message}", subject=str(path)) from error
    for criterion in criteria:
        if criterion.quantity not in CRITERION_QUANTITIES:
            names = ", ".join(CRITERION_QUANTITIES)
            raise ParameterError(
                f"{criterion.name} is set on {criterion.quantity!r}; expected one of {names}", subject=str(path)
            )
    return criteria


def analyse_files(jobs: Sequence[resume.Job], order: Order, follow: Follow = iter) -> Batch:
    """Analyse files into folders, then write what concerns them all.

    Parameters
    ----------
    jobs
        Files and their folders, from `resume.plan`.
    order
        How.
    follow
        Hands the outcomes through as they come, to show progress.

    Returns
    -------
    Batch

    Raises
    ------
    ParameterError
        The sample cannot be as told, or its images cannot be pooled. Results of single images stand.
    NetworkError
        The network is unknown or cannot run here.
    ExportError
        The folder or a file for all of them cannot be written.
    """
    from isletnet.analysis.summary.preparation import check_sample
    from isletnet.exports.folder import read_image, write_image

    check_sample(order.sample)
    analyse = _analyser(order)
    _check_writable(order.out)
    outcomes = tuple(
        follow(
            resume.run(
                jobs,
                analyse=analyse,
                write=lambda result, job: write_image(result, job.folder),
                settings=_settings(order),
                overwrite=order.overwrite,
            )
        )
    )
    done = [outcome.job for outcome in outcomes if outcome.status != "failed"]
    images = tuple(read_image(job.folder) for job in done)
    if not images:
        return Batch(outcomes=outcomes, images=(), pooled=None, files=())
    pooled = _pool(done, images, order)
    return Batch(outcomes=outcomes, images=images, pooled=pooled, files=_write(pooled, images, order))


def document(batch: Batch) -> dict[str, Any]:
    """Put a batch into what JSON holds, for other programs.

    Parameters
    ----------
    batch
        From `analyse_files`.

    Returns
    -------
    dict
        ``isletnet`` (version), ``sample`` (pooled summary or None), ``images`` (one for each file, with its status)
        and ``files`` (those that concern all images).
    """
    from isletnet.exports.records import to_plain

    stored = iter(batch.images)
    images = []
    for outcome in batch.outcomes:
        entry = {"file": str(outcome.job.path), "status": outcome.status}
        if outcome.status == "failed":
            images.append({**entry, "code": outcome.code, "message": outcome.message})
        else:
            record = next(stored).record
            images.append({**entry, "folder": str(outcome.job.folder), "summary": to_plain(record.summary)})
    return {
        "isletnet": isletnet.__version__,
        "sample": to_plain(batch.pooled),
        "images": images,
        "files": [str(path) for path in batch.files],
    }


def _check_writable(folder: Path) -> None:
    """Find out now, and not after minutes of work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ExportError(
            f"a folder for the results cannot be written here: {error.strerror}; give another", subject=str(folder)
        ) from error


def _pool(jobs: Sequence[resume.Job], images: Sequence[StoredImage], order: Order) -> Summary:
    from isletnet.analysis.summarise import pool
    from isletnet.exports.folder import read_numbers
    from isletnet.exports.results import copies

    aliquots = {
        "all": ["" for _ in jobs],
        "folder": [str(job.path.parent) for job in jobs],
        "file": [str(job.path) for job in jobs],
    }[order.aliquots]
    numbers = [read_numbers(image, aliquot=aliquot) for image, aliquot in zip(images, aliquots, strict=True)]
    name = order.sample.sample_name or (images[0].record.summary.name if len(images) == 1 else order.out.name)
    pooled = pool(numbers, name=name, parameters=order.parameters, sample=order.sample)
    return replace(pooled, warnings=pooled.warnings + copies(images))


def _write(pooled: Summary, images: Sequence[StoredImage], order: Order) -> tuple[Path, ...]:
    from isletnet.exports.batch import write_batch
    from isletnet.exports.samples import Sample

    return tuple(write_batch([Sample(summary=pooled, images=tuple(images), parameters=order.sample)], order.out))


def _analyser(order: Order) -> Callable[[bytes, resume.Job], Analysis]:
    """Load the network now, so that one that cannot run here is told once and not for each file."""
    from isletnet.analysis.pipeline import analyse
    from isletnet.networks.model import load_network

    load = cache(partial(load_network, engine=order.engine, precision=order.precision, threads=order.threads))
    load(order.parameters.network)
    return lambda content, job: analyse(
        content, name=job.path.name, parameters=order.parameters, load=load, max_pixels=order.max_pixels
    )


def _settings(order: Order) -> dict[str, Any]:
    """Everything but the file that decides the result of one image."""
    from isletnet.networks.catalogue import find_network

    card = find_network(order.parameters.network)
    second = card.content.get("second_opinion") if order.parameters.uncertainty == "networks" else None
    cards = [card] if second is None else [card, find_network(second)]
    return {
        "isletnet": isletnet.__version__,
        "parameters": asdict(order.parameters),
        "networks": {one.name: one.weights_sha256 for one in cards},
        "engine": order.engine,
        "precision": order.precision,
    }
