"""What the client hands back: frozen records, and tables where they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

State = Literal["draft", "queued", "running", "done", "dead", "cancelled", "deleted"]
ENDED = frozenset({"done", "dead", "cancelled", "deleted"})

_SHOWN_IMAGES_N = 20
_TONES = {"done": "#1b6e3c", "dead": "#b00020", "failed": "#b00020", "cancelled": "#8a5a00", "deleted": "#8a5a00"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStatus:
    """How far one image is; ``code`` and ``message`` say why it failed."""

    number: int
    name: str
    sha256: str
    size_bytes: int
    state: Literal["waiting", "running", "done", "failed"]
    progress_fraction: float = 0.0
    stage: str | None = None
    code: str | None = None
    message: str | None = None
    training: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far a request is, when that was asked last; ``code`` and ``message`` say why it is dead."""

    request_id: str
    state: State
    owner: str = ""
    created_utc: datetime | None = None
    submitted_utc: datetime | None = None
    ended_utc: datetime | None = None
    progress_fraction: float = 0.0
    stage: str | None = None
    attempt: int = 0
    version: int = 0
    code: str | None = None
    message: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    images: tuple[ImageStatus, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in ENDED

    @property
    def failed(self) -> tuple[ImageStatus, ...]:
        """The images that could not be analysed."""
        return tuple(image for image in self.images if image.state == "failed")

    def _repr_html_(self) -> str:
        return html(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far something is: given to ``on_progress`` again and again.

    ``done`` and ``total`` are bytes while sending and fetching, images while waiting. ``name`` is the file that is
    under way. ``status`` comes while waiting.
    """

    stage: Literal["send", "wait", "fetch"]
    fraction: float
    done: int
    total: int | None
    name: str = ""
    status: Status | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Requests, newest first, without their images; ``next`` is the ``before`` of the next page, None at the end."""

    requests: tuple[Status, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A correction by a person: version 0 is what the network found."""

    version: int
    image: int | None
    actor: str
    utc: datetime | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The numbers of a request.

    ``samples`` and ``images`` are as in the service's ``results.json``; each has a ``summary`` with every estimate,
    its unit, method and interval. ``failed`` says what could not be analysed, and why.
    """

    request_id: str
    version: int
    samples: tuple[Mapping[str, Any], ...]
    images: tuple[Mapping[str, Any], ...]
    failed: tuple[Mapping[str, Any], ...]
    versions: tuple[Version, ...] = ()

    def table(self) -> pd.DataFrame:
        """One row per sample: name, images, islets, and the headline estimates with the ends of their intervals.

        ``not_pooled`` says why a sample has no numbers of its own; its images have.
        """
        import pandas as pd

        return pd.DataFrame([_headline(sample) for sample in self.samples])


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """What a correction became: its version, and the image's summary with it."""

    version: int
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """The answer about one image: its ``record`` (numbers, calibration, provenance) and its islets.

    ``summary`` has the same numbers for the whole preparation, where that was told.
    """

    record: Mapping[str, Any]
    summary: Mapping[str, Any]
    islets: tuple[Mapping[str, Any], ...]

    def table(self) -> pd.DataFrame:
        """One row per islet, with the columns of ``islets.csv``."""
        import pandas as pd

        return pd.DataFrame(self.islets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key to the service, without itself; ``id`` is what it is revoked by."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_utc: datetime | None = None
    created_by: str = ""
    revoked_utc: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey(Key):
    """A key that was just made; ``key`` is never told again, and does not show when this is printed."""

    key: str = field(repr=False)


def image_status(data: Mapping[str, Any]) -> ImageStatus:
    """Read an image of a status; what this client does not know is passed over."""
    return ImageStatus(**{name: data[name] for name in ImageStatus.__slots__ if name in data})


def status(data: Mapping[str, Any]) -> Status:
    """Read a status; what this client does not know is passed over."""
    known = {name: data[name] for name in Status.__slots__ if data.get(name) is not None}
    known["images"] = tuple(image_status(image) for image in data.get("images") or ())
    for name in ("created_utc", "submitted_utc", "ended_utc"):
        known[name] = _moment(data.get(name))
    return Status(**known)


def page(data: Mapping[str, Any]) -> Page:
    """Read a page of the list of requests."""
    return Page(requests=tuple(status(one) for one in data["requests"]), next=data.get("next"))


def results(data: Mapping[str, Any]) -> Results:
    """Read the results of a request."""
    return Results(
        request_id=data["request_id"],
        version=data.get("version", 0),
        samples=tuple(data["samples"]),
        images=tuple(data["images"]),
        failed=tuple(data.get("failed", ())),
        versions=tuple(_version(one) for one in data.get("versions", ())),
    )


def analysed(data: Mapping[str, Any]) -> Analysed:
    """Read the answer about one image."""
    return Analysed(record=data["record"], summary=data["summary"], islets=tuple(data["islets"]))


def corrected(data: Mapping[str, Any]) -> Corrected:
    """Read the answer about a correction."""
    return Corrected(version=int(data["version"]), summary=data["summary"])


def key(data: Mapping[str, Any]) -> Key:
    """Read a key as a list tells it."""
    return Key(**_of_key(data))


def new_key(data: Mapping[str, Any]) -> NewKey:
    """Read a key that was just made."""
    return NewKey(**_of_key(data), key=str(data["key"]))


def html(status: Status) -> str:
    """Show a request: state, bar, and the images that are under way or failed; every text is escaped."""
    width = 100 * max(0.0, min(1.0, status.progress_fraction))
    tone = _TONES.get(status.state, "#2f5d8a")
    told = sorted(status.images, key=lambda image: (image.state != "failed", image.number))[:_SHOWN_IMAGES_N]
    more_n = len(status.images) - len(told)
    return (
        '<div class="isletnet" style="font-family:sans-serif;font-size:13px;line-height:1.4;max-width:700px">'
        f'<div><b style="color:{tone}">{escape(status.state)}</b> · request '
        f"<code>{escape(status.request_id)}</code></div>"
        '<div style="background:#8883;border-radius:3px;height:8px;margin:6px 0">'
        f'<div style="background:{tone};border-radius:3px;height:8px;width:{width:.0f}%"></div></div>'
        + (f'<div style="color:{tone}">{escape(status.message)}</div>' if status.message else "")
        + '<table style="border-collapse:collapse;font-size:13px">'
        + "".join(map(_row, told))
        + "</table>"
        + (f"<div>and {more_n} more images</div>" if more_n > 0 else "")
        + "</div>"
    )


def _row(image: ImageStatus) -> str:
    cell = partial('<td style="text-align:left;padding:2px 12px 2px 0;color:{1}">{0}</td>'.format)
    tone = _TONES.get(image.state, "inherit")
    said = f"{image.progress_fraction:.0%}" if image.state == "running" else image.message or ""
    return f"<tr>{cell(escape(image.name), 'inherit')}{cell(escape(image.state), tone)}{cell(escape(said), tone)}</tr>"


def _headline(sample: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": sample["name"], "images_n": len(sample["images"]), "not_pooled": sample["message"]}
    summary = sample["summary"]
    if summary is None:
        return row
    row |= {"islets_n": summary["islets_n"]}
    for column, key in (("ieq", "ieq"), ("count", "count"), ("purity_fraction", "purity_area")):
        estimate = summary[key]
        interval = estimate.get("interval") or {}
        row |= {column: estimate["value"], f"{column}_low": interval.get("low"), f"{column}_high": interval.get("high")}
    return row | {"ieq_method": summary["ieq_method"], "warnings_n": len(summary["warnings"])}


def _version(data: Mapping[str, Any]) -> Version:
    known = {name: data[name] for name in Version.__slots__ if data.get(name) is not None}
    return Version(**{"image": None, "actor": "", **known, "utc": _moment(data.get("utc"))})


def _of_key(data: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: data[name] for name in Key.__slots__ if data.get(name) is not None}
    moments = {name: _moment(data.get(name)) for name in ("created_utc", "revoked_utc")}
    return {**known, **moments, "scopes": tuple(data["scopes"])}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
