"""The answers of the API, as OpenAPI tells them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serve.access.keys import Scope

State = Literal["draft", "queued", "running", "done", "dead", "cancelled", "deleted"]
ENDED: frozenset[State] = frozenset({"done", "dead", "cancelled", "deleted"})


class Answer(BaseModel):
    """What all answers share."""

    model_config = ConfigDict(frozen=True)


class Problem(Answer):
    """What went wrong: a stable code, a plain sentence, the parameter or file, and the id to ask about."""

    code: str
    message: str
    field: str | None = None
    request_id: str


class ProblemAnswer(Answer):
    """The one shape of all refusals and errors."""

    error: Problem


class UploadAnswer(Answer):
    """An image that has arrived whole."""

    number: int
    name: str
    sha256: str
    size_bytes: int


class ImageStatus(UploadAnswer):
    """How far an image is; ``stage`` is a word for people."""

    state: Literal["waiting", "running", "done", "failed"]
    progress_fraction: float
    stage: str | None = None
    code: str | None = None
    message: str | None = None
    training: bool = Field(description="Whether it is given for training.")


class RequestStatus(Answer):
    """How far a request is."""

    request_id: str
    state: State
    owner: str
    created_utc: datetime
    submitted_utc: datetime | None = None
    ended_utc: datetime | None = None
    progress_fraction: float
    stage: str | None = None
    attempt: int | None = Field(default=None, description="Which try this is, or was.")
    version: int = Field(default=0, description="The newest version of the results; 0 is the network's own.")
    code: str | None = None
    message: str | None = None
    parameters: dict[str, Any]


class FullStatus(RequestStatus):
    """How far a request is, with its images and where to go from there."""

    images: tuple[ImageStatus, ...]
    links: dict[str, str]


class RequestList(Answer):
    """Requests, newest first; give ``next`` as ``before`` to go on."""

    requests: tuple[RequestStatus, ...]
    next: str | None


class DraftAnswer(Answer):
    """A request that waits for its images."""

    request_id: str
    state: State
    links: dict[str, str]


class DeletedAnswer(Answer):
    """A request that is no more."""

    request_id: str
    state: Literal["deleted"]


class RequeuedAnswer(Answer):
    """The new request that stands for a dead one."""

    request_id: str


class Version(Answer):
    """A correction by a person."""

    version: int
    image: int
    actor: str
    utc: datetime
    note: str


class ResultsAnswer(Answer):
    """All numbers of a request; the records are those of ``summary.json``."""

    request_id: str
    version: int
    versions: tuple[Version, ...]
    samples: tuple[dict[str, Any], ...]
    images: tuple[dict[str, Any], ...]
    failed: tuple[dict[str, Any], ...]


class CorrectionAnswer(Answer):
    """What came of corrected labels: the new version, and the image's numbers in it."""

    version: int
    summary: dict[str, Any]


class ConsentOrder(BaseModel):
    """Give an image for training, or withdraw it; ``text`` is the wording that was agreed to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    granted: bool
    text: str = Field(default="", max_length=2000)


class ConsentAnswer(Answer):
    """What holds for an image now."""

    granted: bool
    version: int
    utc: datetime


class ExportOrder(BaseModel):
    """The SHA-256 of the export as it arrived."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ExportAnswer(Answer):
    """An export that is closed."""

    number: int
    state: Literal["confirmed", "given_up"]


class SampleAnswer(Answer):
    """The images of a sample from all requests of the caller, pooled."""

    sample: str
    requests: tuple[str, ...]
    summary: dict[str, Any]


class AnalysisAnswer(Answer):
    """One image, analysed at once: its record, its numbers as a sample, and a row for each islet."""

    record: dict[str, Any]
    summary: dict[str, Any]
    islets: tuple[dict[str, Any], ...]


class Network(Answer):
    """A network that a request may name."""

    name: str
    version: str
    weights_sha256: str
    working_um_per_px: float
    is_default: bool
    card: dict[str, Any] = Field(description="What is known of it: training data, figures, parent.")


class NetworkList(Answer):
    """The networks of this installation."""

    networks: tuple[Network, ...]


class SessionAnswer(Answer):
    """Who calls; a page that a proxy signs in sends ``csrf`` as X-CSRF-Token."""

    name: str
    scopes: tuple[Scope, ...]
    csrf: str


class HealthAnswer(Answer):
    """Whether the service lives, or can serve; ``reasons`` are codes."""

    state: Literal["ok", "not_ready"]
    reasons: tuple[str, ...] = ()


class KeyOrder(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100)
    scopes: tuple[Scope, ...] = Field(min_length=1)


class Key(Answer):
    """A key, without itself."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created_utc: datetime
    created_by: str
    revoked_utc: datetime | None


class NewKey(Key):
    """A key as it is shown once."""

    key: str


class KeyList(Answer):
    """All keys, the oldest first."""

    keys: tuple[Key, ...]


class ClockAnswer(Answer):
    """The time that the pruner takes for right from now on."""

    utc: datetime
