"""The folder of one run: what went in, what made it, what came out.

::

    parameters.json   every parameter, defaults too
    inputs.json       the files that were read, with their sha256
    versions.json     isletnet, Python, packages, the notebook's and the code's sha256
    executed.ipynb    the notebook with its outputs, also of a failed run
    figures/          each figure as .svg, .pdf and .png (300 dpi)
    tables/           each table as .csv, .xlsx and .tex
    captions.json     what each product shows
    run.json          written last: how the run ended
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import isletnet
from isletnet.errors import ExportError
from isletnet.exports.folder import write_atomically

PARAMETERS_FILE, INPUTS_FILE, VERSIONS_FILE = "parameters.json", "inputs.json", "versions.json"
NOTEBOOK_FILE, CAPTIONS_FILE, RUN_FILE = "executed.ipynb", "captions.json", "run.json"
FIGURES, TABLES, FILES = "figures", "tables", "files"
PACKAGES = (
    *("ipykernel", "matplotlib", "numpy", "openvino", "pandas", "papermill"),
    *("pyarrow", "pyvista", "scikit-image", "scipy", "xlsxwriter"),
)
# What a study's numbers may come from; the service and the pages are not among it.
CODE_WINGS = ("analysis", "evaluation", "exports", "networks", "studies", "synthetic", "views", "volumes")
# What studies read of an analysed image. Overlays and reports are for people, and reports carry a date.
RESULT_FILES = frozenset({"summary.json", "islets.csv", "labels.tif", "islets.tif"})


def json_bytes(content: object) -> bytes:
    """Write JSON, the same bytes for the same content."""
    return (json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """Read JSON, or give None where there is none that can be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def write_json(path: Path, content: object) -> Path:
    """Write JSON as a whole.

    Raises
    ------
    ExportError
        The file cannot be written.
    """
    return write_atomically(path, json_bytes(content))


def sha256_of(path: Path) -> str:
    """Hash a file without reading it into memory at once.

    Raises
    ------
    ExportError
        The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ExportError(f"the file cannot be read ({error.strerror}); check its rights", subject=str(path)) from error


def hashes(path: Path, *, only_results: bool = False) -> dict[str, str]:
    """Hash a file, or all files below a folder.

    Parameters
    ----------
    path
        A file or a folder.
    only_results
        Of a folder, only what studies read of analysed images, see `RESULT_FILES`.

    Returns
    -------
    dict
        Path relative to ``path`` (a file's is its name) to sha256, by name. Hidden files are passed over.
    """
    if path.is_file():
        return {path.name: sha256_of(path)}
    inside = {one.relative_to(path): one for one in sorted(path.rglob("*")) if one.is_file()}
    return {
        key.as_posix(): sha256_of(one)
        for key, one in inside.items()
        if not any(part.startswith(".") for part in key.parts) and (not only_results or one.name in RESULT_FILES)
    }


def digest(content: object) -> str:
    """Hash what JSON can hold."""
    return hashlib.sha256(json_bytes(content)).hexdigest()


@cache
def code_sha256() -> str:
    """Hash the code of the library, as far as numbers may come from it, see `CODE_WINGS`."""
    home = Path(isletnet.__file__).parent
    files = [path for wing in CODE_WINGS for path in sorted((home / wing).rglob("*.py"))] + [home / "schemas.py"]
    return digest({path.relative_to(home).as_posix(): sha256_of(path) for path in files})


def versions(notebook: Path) -> dict[str, Any]:
    """Say what makes a run: versions of programs, hashes of code."""
    return {
        "isletnet": isletnet.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: _version(name) for name in PACKAGES},
        "notebook_sha256": sha256_of(notebook),
        "code_sha256": code_sha256(),
    }


def note_caption(folder: Path, product: str, caption: str) -> None:
    """Add a product's caption to ``captions.json``; products stay in the order they were made."""
    known = read_json(folder / CAPTIONS_FILE) or []
    others = [entry for entry in known if entry["product"] != product]
    write_json(folder / CAPTIONS_FILE, [*others, {"product": product, "caption": caption}])


def note_inputs(folder: Path, found: Mapping[str, str]) -> None:
    """Add what a study read by itself, such as answers of a service, to ``inputs.json``."""
    known = read_json(folder / INPUTS_FILE) or {}
    write_json(folder / INPUTS_FILE, {**known, "read": {**known.get("read", {}), **found}})


def products(folder: Path) -> dict[str, str]:
    """Hash the products of a run, by path in its folder."""
    rooms: Iterable[Path] = (folder / name for name in (FIGURES, TABLES, FILES))
    return {f"{room.name}/{name}": sha256 for room in rooms if room.is_dir() for name, sha256 in hashes(room).items()}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
