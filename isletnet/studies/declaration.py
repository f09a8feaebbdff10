"""What a study is and which parameters it takes: ``<name>.yaml`` beside ``<name>.ipynb``.

::

    title: Agreement with a second method
    about: What it does, in a sentence or two.
    parameters: {results: {kind: results, about: Analysed images.},
                 level: {kind: number, default: 0.95, at_least: 0.5, at_most: 0.999, about: Confidence level.}}

A parameter without a default must be given. Papermill writes the names of parameters into a cell as code, so nothing
but the declared names ever reaches it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model

from isletnet.errors import ParameterError

# ``files`` is a file or a folder of files, ``results`` a folder of analysed images, ``source`` that or a table,
# ``statistics`` a file of the service.
PathKind = Literal["file", "files", "folder", "results", "source", "statistics", "secret_file"]
Kind = Literal["text", "texts", "integer", "number", "flag"] | PathKind
PATH_KINDS = frozenset(get_args(PathKind))
# These may be the address of a service instead of a path.
ADDRESS_KINDS = frozenset({"results", "source", "statistics"})
_FOLDER_KINDS, _FILE_KINDS = frozenset({"files", "folder", "results", "source"}), PATH_KINDS - {"folder", "results"}
ADDRESS = re.compile(r"https?://[^\s\"'\\]+")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Where a run is kept; every notebook has it, no declaration may.
OUT = "out"

_CHECKOUT = Path(__file__).resolve().parents[2] / "studies"
_SHIPPED = Path(__file__).resolve().parent / "notebooks"
_PLAIN = StringConstraints(max_length=2000, pattern=r"^[^\x00-\x1f\x7f]*$")


class Strict(BaseModel):
    """Takes nothing that is not declared, and no value of another type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Parameter(Strict):
    """One parameter. ``texts`` is a list of texts; an empty path means "none" where there is a default."""

    kind: Kind
    about: str
    default: str | bool | int | float | list[str] | None = None
    choices: list[str] = []
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""

    @property
    def is_needed(self) -> bool:
        """Whether a caller must give it."""
        return self.default is None


class Declaration(Strict):
    """A study: its texts, its parameters by name, and where its notebook is."""

    name: str
    title: str
    about: str
    notebook: Path
    parameters: dict[str, Parameter]


def studies_folder() -> Path:
    """Give the folder of the studies: that of the wheel, or that of the checkout."""
    return _SHIPPED if _SHIPPED.is_dir() else _CHECKOUT


def study_names(folder: Path | None = None) -> tuple[str, ...]:
    """List the studies of a folder by name."""
    home = folder or studies_folder()
    return tuple(sorted(path.stem for path in home.glob("*.ipynb") if path.with_suffix(".yaml").is_file()))


def find_study(name: str, folder: Path | None = None) -> Declaration:
    """Read the declaration of a study.

    Parameters
    ----------
    name
        One of `study_names`.
    folder
        Where the studies are; None takes `studies_folder`.

    Raises
    ------
    ParameterError
        There is no such study, or its declaration is none.
    """
    home = folder or studies_folder()
    known = study_names(home)
    if name not in known:
        raise ParameterError(f"one of the studies {', '.join(known)} was expected{_nearest(name, known)}", subject=name)
    path = home / f"{name}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = Declaration.model_validate({**content, "name": name, "notebook": path.with_suffix(".ipynb")})
    except (OSError, TypeError, yaml.YAMLError, ValidationError) as error:
        raise ParameterError(f"a declaration of a study was expected: {error}", subject=str(path)) from error
    for key in found.parameters:
        if not NAME.fullmatch(key) or key == OUT:
            raise ParameterError(f"{key!r} cannot be the name of a parameter; use a-z, 0-9 and _", subject=str(path))
    return found


def checked(
    study: Declaration, values: Mapping[str, object], *, from_text: bool = False, later: Collection[str] = ()
) -> dict[str, Any]:
    """Check values against the declaration and fill in the defaults.

    Parameters
    ----------
    study
        From `find_study`.
    values
        Some of the declared parameters, by name.
    from_text
        The values are text from a command line: ``"0.9"`` for a number, ``"ieq,count"`` for texts. Otherwise they
        must have their type: ``"0.9"`` is then no number.
    later
        Parameters whose paths need not be there yet.

    Returns
    -------
    dict
        Every declared parameter, in the order of the declaration; paths are absolute.

    Raises
    ------
    ParameterError
        A name that is not declared, a value of another type or outside its range, a needed one that is absent, or a
        path that leads nowhere.
    """
    for key in values:
        if key not in study.parameters:
            message = f"there is no such parameter{_nearest(key, tuple(study.parameters))}"
            raise ParameterError(f"{message}; {study.name} takes {', '.join(study.parameters)}", subject=str(key))
    model = _model(study)
    try:
        if from_text:
            parted = {key: _parted(study.parameters[key], value) for key, value in values.items()}
            found = model.model_validate(parted)
        else:
            found = model.model_validate(dict(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        told = "is needed" if first["type"] == "missing" else f"{first['msg'].lower()}, but {first['input']!r} came"
        raise ParameterError(f"{told}. It is: {study.parameters[key].about}", subject=key) from error
    return {
        key: _settled(key, one, getattr(found, key), must_exist=key not in later)
        for key, one in study.parameters.items()
    }


def is_address(value: object) -> bool:
    """Whether a value is the address of a service and not a path."""
    return isinstance(value, str) and ADDRESS.fullmatch(value) is not None


def _model(study: Declaration) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for name, one in study.parameters.items():
        fields[name] = (_type(one), ... if one.is_needed else one.default)
    return create_model("Parameters", __config__=ConfigDict(extra="forbid", validate_default=True), **fields)


def _type(one: Parameter) -> Any:
    limits = Field(ge=one.at_least, le=one.at_most, allow_inf_nan=False)
    word: Any = Literal[tuple(one.choices)] if one.choices else Annotated[str, _PLAIN]
    if one.kind == "texts":
        return Annotated[list[word], Field(min_length=int(one.at_least or 0))]
    if one.kind == "number":
        return Annotated[float, limits]
    if one.kind == "integer":
        return Annotated[int, Field(ge=_whole(one.at_least), le=_whole(one.at_most))]
    return bool if one.kind == "flag" else word


def _whole(limit: float | None) -> int | None:
    return None if limit is None else math.ceil(limit)


def _parted(one: Parameter, value: object) -> object:
    if one.kind != "texts":
        return value
    return [part.strip() for part in str(value).split(",") if part.strip()]


def _settled(name: str, one: Parameter, value: Any, *, must_exist: bool) -> Any:
    """Make a path absolute, and see that it is there."""
    if one.kind not in PATH_KINDS or (one.kind in ADDRESS_KINDS and is_address(value)):
        return value
    if not value:
        if one.is_needed:
            raise ParameterError(f"is needed. It is: {one.about}", subject=name)
        return value
    path = Path(value).expanduser().absolute()
    is_there = (one.kind in _FOLDER_KINDS and path.is_dir()) or (one.kind in _FILE_KINDS and path.is_file())
    if must_exist and not is_there:
        wanted = " or ".join(
            word for word, kinds in (("folder", _FOLDER_KINDS), ("file", _FILE_KINDS)) if one.kind in kinds
        )
        raise ParameterError(f"a {wanted} was expected, but there is none at {path}", subject=name)
    return str(path)


def _nearest(name: object, known: tuple[str, ...]) -> str:
    close = get_close_matches(str(name), known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
