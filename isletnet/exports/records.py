"""Frozen records to JSON and back, so that what is kept on disk is enough for every later report."""

from __future__ import annotations

import dataclasses
import json
import math
import types
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from isletnet.errors import ExportError

Record = TypeVar("Record")


def to_plain(value: Any) -> Any:
    """Turn records, tuples and NumPy numbers into what JSON holds; NaN and infinity become None.

    Raises
    ------
    ExportError
        A value of a kind that JSON cannot hold.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(entry) for entry in value]
    raise ExportError(f"JSON holds numbers, text, lists and records; a {type(value).__name__} came.")


def to_json(value: Any) -> bytes:
    """Write a record as UTF-8 JSON, the same bytes for the same record."""
    return (json.dumps(to_plain(value), ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def from_plain(kind: type[Record], data: Any) -> Record:
    """Build a record from what `to_plain` made of it.

    Fields that the record does not know are passed over, so that a file of a later version still loads.

    Raises
    ------
    ExportError
        A field is absent or of another kind than the record says.
    """
    try:
        built: Record = _build(kind, data)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ExportError(f"A {kind.__name__} was expected, but the stored data do not fit it: {error}.") from error
    return built


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _build(kind: Any, data: Any) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        known = [field.name for field in dataclasses.fields(kind) if field.name in data]
        return kind(**{name: _build(hints[name], data[name]) for name in known})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if data is None:
            return None
        (inner,) = (entry for entry in arguments if entry is not type(None))
        return _build(inner, data)
    if origin is tuple:
        return tuple(_build(arguments[0], entry) for entry in data)
    if origin is dict:
        return {key: _build(arguments[1], entry) for key, entry in data.items()}
    if kind is float:
        # JSON has no NaN: a number that was not finite comes back as one.
        return math.nan if data is None else float(data)
    if kind in (int, str, bool) and not isinstance(data, kind):
        raise TypeError(f"{kind.__name__} expected, {type(data).__name__} came")
    return data
