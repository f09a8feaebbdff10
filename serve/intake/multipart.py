"""Forms with files, read as they come: each part is handed on before the next one is read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from serve.access.refusals import TooLargeError
from serve.doors.problems import BadRequestError

# A form has few parts that are no files.
MOST_FIELDS = 20
_MOST_HEADERS, _LONGEST_HEADER_BYTES, _LONGEST_BOUNDARY = 8, 4096, 200


@dataclass(slots=True)
class Part:
    """One part of a form. Read its ``pieces`` before the next part is asked for."""

    name: str
    file_name: str | None
    pieces: Iterator[bytes] = field(repr=False)


def parts_of(pieces: Iterator[bytes], content_type: str) -> Iterator[Part]:
    """Read a form.

    Parameters
    ----------
    pieces
        Its bytes, as they come.
    content_type
        The header with the boundary.

    Yields
    ------
    Part
        In the order of the form; what its reader leaves unread is skipped.

    Raises
    ------
    BadRequestError
        It is no form, or is cut short.
    TooLargeError
        More parts that are no files, or longer headers, than any form needs.
    """
    events = _Events(pieces, _boundary(content_type))
    fields_n = 0
    while (event := next(events, None)) is not None:
        if not isinstance(event, _Head):
            continue
        name, file_name = _names(event)
        fields_n += file_name is None
        if fields_n > MOST_FIELDS:
            raise TooLargeError(f"a form has at most {MOST_FIELDS} fields beside its files")
        yield Part(name, file_name, events.content())


@dataclass(frozen=True, slots=True)
class _Head:
    headers: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class _End:
    pass


class _Events:
    """Heads, pieces of content and ends, as the parser meets them; it is fed only when the next one is asked for."""

    def __init__(self, pieces: Iterator[bytes], boundary: bytes) -> None:
        self._pieces = pieces
        self._found: deque[_Head | _End | bytes] = deque()
        self._name, self._value = bytearray(), bytearray()
        self._headers: list[tuple[bytes, bytes]] = []
        self._is_whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": lambda: self._found.append(_Head(tuple(self._headers))),
                "on_part_data": lambda data, start, end: self._found.append(data[start:end]),
                "on_part_end": lambda: self._found.append(_End()),
                "on_end": self._end_form,
            },
            max_header_count=_MOST_HEADERS,
            max_header_size=_LONGEST_HEADER_BYTES,
        )

    def __iter__(self) -> Iterator[_Head | _End | bytes]:
        return self

    def __next__(self) -> _Head | _End | bytes:
        while not self._found:
            # What comes behind the end of the form is nobody's.
            if self._is_whole:
                raise StopIteration
            piece = next(self._pieces, b"")
            if not piece:
                raise BadRequestError("the form is cut short; send it again")
            self._feed(piece)
        return self._found.popleft()

    def content(self) -> Iterator[bytes]:
        """Read the content of the part whose head was met last."""
        for event in self:
            if isinstance(event, bytes):
                yield event
            else:
                return

    def _feed(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError:
            raise BadRequestError("the form is malformed, or the head of a part is longer than any needs") from None

    def _end_header(self) -> None:
        self._headers.append((bytes(self._name).lower(), bytes(self._value)))
        self._name.clear()
        self._value.clear()

    def _end_form(self) -> None:
        self._is_whole = True


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise BadRequestError("send a form as multipart/form-data with a boundary")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii():
        raise BadRequestError("the boundary of the form cannot be")
    return boundary.encode()


def _names(head: _Head) -> tuple[str, str | None]:
    """Tell the name of a part, and that of its file if it is one."""
    disposition = next((value for name, value in head.headers if name == b"content-disposition"), b"")
    kind, *given = _split(disposition.decode("utf-8", "replace"))
    values = {name.strip().lower(): value for name, _, value in (one.partition("=") for one in given)}
    if kind.strip().lower() != "form-data" or "name" not in values:
        raise BadRequestError("each part of a form has a Content-Disposition with its name")
    file_name = values.get("filename")
    return _unquoted(values["name"]), None if file_name is None else _unquoted(file_name)


def _split(text: str) -> list[str]:
    """Split at semicolons outside of quotes."""
    parts, is_quoted = [""], False
    for before, sign in zip(" " + text, text, strict=False):
        if sign == '"' and before != "\\":
            is_quoted = not is_quoted
        if sign == ";" and not is_quoted:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _unquoted(text: str) -> str:
    """Undo what browsers (percent signs) and other programs (backslashes) do to a name; RFC 7578, section 4.2."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
