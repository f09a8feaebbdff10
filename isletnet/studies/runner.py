"""Strict runs: parameters checked first, the notebook in a process of its own, every run kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from isletnet.errors import ParameterError
from isletnet.studies import keep
from isletnet.studies.declaration import OUT, PATH_KINDS, Declaration, is_address
from isletnet.studies.failure import Failure
from isletnet.studies.process import FAILURE_FILE, START_S

LONGEST_S = 3600
# All that a study may know of the environment: no key of a store, no setting of the service.
ENVIRONMENT = frozenset(
    "HOME LANG LC_ALL LC_CTYPE LD_LIBRARY_PATH OMP_NUM_THREADS PATH PYTHONPATH SYSTEMROOT TMPDIR VIRTUAL_ENV".split()
)
LOG_FILE = "log.txt"
_LAST_WORDS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a run ended. ``skipped`` means that the folder holds the same run already."""

    study: str
    folder: Path
    state: Literal["done", "failed", "skipped"]
    key: str
    seconds: float
    failure: Failure | None = None


def run_study(
    study: Declaration,
    values: Mapping[str, Any],
    folder: Path,
    *,
    timeout_s: int = LONGEST_S,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Run:
    """Run a study into a folder of its own.

    Parameters
    ----------
    study
        From `declaration.find_study`.
    values
        From `declaration.checked`.
    folder
        Is made; must not exist or be empty. What becomes of the run stays there, also of a failed one.
    timeout_s
        For each cell; the whole run may take twice as long, and the start of its kernel comes on top.
    now
        Clock.

    Returns
    -------
    Run

    Raises
    ------
    ParameterError
        The folder is in use.
    ExportError
        An input cannot be read, or the folder cannot be written.
    """
    home = folder.absolute()
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise ParameterError("a new or empty folder was expected, but something is there", subject=str(home))
    inputs = input_hashes(study, values)
    key = run_key(study, values, inputs)
    keep.write_json(home / keep.PARAMETERS_FILE, {"study": study.name, "parameters": dict(values)})
    keep.write_json(home / keep.INPUTS_FILE, {"given": inputs})
    keep.write_json(home / keep.VERSIONS_FILE, keep.versions(study.notebook))
    started, clock = now(), time.monotonic()
    order = {
        "notebook": str(study.notebook),
        "folder": str(home),
        "values": {**values, OUT: str(home)},
        "timeout_s": timeout_s,
    }
    failure = spawn(order, home, longest_s=START_S + 2 * timeout_s)
    seconds = round(time.monotonic() - clock, 2)
    state: Literal["done", "failed"] = "done" if failure is None else "failed"
    keep.write_json(
        home / keep.RUN_FILE,
        {
            "study": study.name,
            "title": study.title,
            "state": state,
            "key": key,
            "started_utc": started.isoformat(timespec="seconds"),
            "seconds": seconds,
            "failure": None if failure is None else failure.plain(),
            "products": keep.products(home),
        },
    )
    return Run(study=study.name, folder=home, state=state, key=key, seconds=seconds, failure=failure)


def input_hashes(study: Declaration, values: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Hash the files that the parameters name, by parameter; answers of a service are noted when they are read."""
    found = {}
    for name, one in study.parameters.items():
        value = values[name]
        if one.kind in PATH_KINDS and one.kind != "secret_file" and value and not is_address(value):
            found[name] = keep.hashes(Path(value), only_results=one.kind in ("results", "source"))
    return found


def run_key(study: Declaration, values: Mapping[str, Any], inputs: Mapping[str, Mapping[str, str]]) -> str:
    """Give the identity of a run: study, parameters, the content (not the place) of inputs, notebook and code."""
    asked = {name: None if name in inputs else value for name, value in values.items()}
    made_by = {"notebook": keep.sha256_of(study.notebook), "code": keep.code_sha256()}
    return keep.digest({"study": study.name, "parameters": asked, "inputs": inputs, **made_by})


def read_run(folder: Path) -> dict[str, Any]:
    """Read how the run in a folder ended; empty where none has."""
    found = keep.read_json(folder / keep.RUN_FILE)
    return found if isinstance(found, dict) else {}


def next_folder(parent: Path, name: str) -> Path:
    """Make the next free folder ``<name>-1``, ``<name>-2``, ... : every run is kept.

    Raises
    ------
    ParameterError
        The folder cannot be made.
    """
    number = 1
    while True:
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise ParameterError(f"the folder cannot be made ({error.strerror})", subject=str(parent)) from error
        else:
            return folder


def spawn(order: Mapping[str, Any], folder: Path, *, longest_s: int) -> Failure | None:
    """Have an order done in a process of its own, with a bare environment; its words go into ``log.txt``.

    Parameters
    ----------
    order
        See `isletnet.studies.process`.
    folder
        Working folder; exists.
    longest_s
        The process is killed when it takes longer.
    """
    log = folder / LOG_FILE
    with log.open("wb") as stream, tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "isletnet.studies.process"],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=_environment(profile),
            cwd=folder,
        )
        with process:
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps(order).encode() + b"\n")
                process.stdin.flush()
                code = process.wait(timeout=longest_s)
            except subprocess.TimeoutExpired:
                process.kill()
                return Failure(code="run_timeout", message=f"the run took longer than {longest_s} s")
            except BaseException:
                process.kill()
                raise
    told = keep.read_json(folder / FAILURE_FILE)
    (folder / FAILURE_FILE).unlink(missing_ok=True)
    if told is not None:
        return Failure(**told)
    if code == 0:
        return None
    last = log.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:].strip()
    return Failure(code="process_failed", message=f"the process ended with code {code}: {last}")


def _environment(profile: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ENVIRONMENT}
    # Nobody's start-up files, no screen for figures, and hashes of texts that are the same in every run.
    bare = {"IPYTHONDIR": profile, "JUPYTER_CONFIG_DIR": profile, "MPLBACKEND": "agg", "PYTHONHASHSEED": "0"}
    return {**kept, **bare}
