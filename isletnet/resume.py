"""Work through many files into a folder of results: what is done is skipped, what is bad is told, the rest goes on.

Each image has its own folder below the output folder. The file ``run.json`` in it is written last and names what
the result was made from: it is the mark of a whole result, so a run that was killed redoes only the image it was at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from isletnet.errors import IsletnetError

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
MARK = "run.json"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One image file and the folder that its results go to."""

    path: Path
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended; ``code`` and ``message`` say why it failed."""

    job: Job
    status: Literal["done", "skipped", "failed"]
    code: str | None = None
    message: str | None = None


def find_images(inputs: Iterable[Path]) -> tuple[Path, ...]:
    """List the files to analyse: files as given, folders by the images directly in them.

    Parameters
    ----------
    inputs
        Existing files and folders. In a folder, hidden files and other formats are passed over.

    Returns
    -------
    tuple of Path
        Absolute paths, each once, in the order given; the images of a folder by name.
    """
    found: dict[Path, None] = {}
    for given in inputs:
        inside = [path for path in sorted(given.iterdir()) if _looks_like_image(path)] if given.is_dir() else [given]
        found.update(dict.fromkeys(path.absolute() for path in inside))
    return tuple(found)


def plan(paths: Sequence[Path], out: Path) -> tuple[Job, ...]:
    """Give each file a folder below ``out``: its stem, or ``stem-2``, ``stem-3`` where stems are equal.

    A folder that holds the result of another file is left alone: the newcomer takes the next free name. A file
    finds its own folder again by its path or, if it was moved, by its content.

    Parameters
    ----------
    paths
        The files, as `find_images` lists them.
    out
        The output folder, which need not exist.

    Returns
    -------
    tuple of Job
        In the order of ``paths``, with distinct folders.
    """
    taken: set[str] = set()
    jobs = []
    for path in paths:
        number = 1
        while True:
            name = path.stem if number == 1 else f"{path.stem}-{number}"
            # Two names that differ only in case are one folder on many file systems.
            if name.casefold() not in taken and _may_use(out / name, path):
                break
            number += 1
        taken.add(name.casefold())
        jobs.append(Job(path=path, folder=out / name))
    return tuple(jobs)


def run(
    jobs: Iterable[Job],
    *,
    analyse: Callable[[bytes, Job], Result],
    write: Callable[[Result, Job], object],
    settings: Mapping[str, Any],
    overwrite: bool = False,
) -> Iterator[Outcome]:
    """Do the jobs one by one, and tell how each ended as soon as it has.

    Parameters
    ----------
    jobs
        What to do, from `plan`.
    analyse
        Makes the result from the bytes of a file.
    write
        Writes the result into the job's folder, which exists by then.
    settings
        Everything but the file that decides the result, as JSON can hold it. A result made with other settings, or
        from other bytes, is made again.
    overwrite
        Make every result again.

    Yields
    ------
    Outcome
        One for each job, in order. An error fails its job alone; ``KeyboardInterrupt`` goes through.
    """
    for job in jobs:
        try:
            content = job.path.read_bytes()
            mark = {"source": str(job.path), "sha256": _sha256(content), "settings": dict(settings)}
            if not overwrite and _is_made_so(job.folder, mark):
                yield Outcome(job=job, status="skipped")
                continue
            result = analyse(content, job)
            job.folder.mkdir(parents=True, exist_ok=True)
            (job.folder / MARK).unlink(missing_ok=True)
            write(result, job)
            _write_mark(job.folder, mark)
        except IsletnetError as error:
            yield Outcome(job=job, status="failed", code=error.code, message=error.message)
        except OSError as error:
            yield Outcome(job=job, status="failed", code="file_unusable", message=_trouble(error, job.path))
        except Exception as error:  # a fault of ours in one image must not cost the other results
            yield Outcome(job=job, status="failed", code="unexpected", message=f"{type(error).__name__}: {error}")
        else:
            yield Outcome(job=job, status="done")


def result_folders(folder: Path) -> tuple[Path, ...]:
    """List the whole results in a folder: itself, or those directly in it, by name."""
    candidates = [folder, *sorted(folder.iterdir())] if folder.is_dir() else []
    return tuple(path for path in candidates if (path / MARK).is_file())


def _trouble(error: OSError, path: Path) -> str:
    """What went wrong, and with which file if it is not the picture itself."""
    told = error.strerror or str(error)
    return told if error.filename in (None, str(path)) else f"{told}: {error.filename}"


def _looks_like_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _may_use(folder: Path, path: Path) -> bool:
    mark = _read_mark(folder)
    if not mark or mark.get("source") == str(path):
        return True
    try:
        return mark.get("sha256") == _sha256(path.read_bytes())
    except OSError:
        return False


def _is_made_so(folder: Path, mark: Mapping[str, Any]) -> bool:
    found = _read_mark(folder)
    # Through JSON and back, so that a tuple here equals a list there.
    asked = json.loads(json.dumps(mark))
    return all(found.get(key) == asked[key] for key in ("sha256", "settings"))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_mark(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_mark(folder: Path, mark: Mapping[str, Any]) -> None:
    partial = folder / f".{MARK}.partial"
    partial.write_text(json.dumps(mark, indent=1, sort_keys=True), encoding="utf-8")
    partial.replace(folder / MARK)
