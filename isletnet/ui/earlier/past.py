"""What was measured before: which requests match a search, their numbers, and whether repeated counts agree.

No widgets here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from isletnet.client import Results, ServiceError, Status

if TYPE_CHECKING:
    from isletnet.client import Client

Kind = Literal["all", "done", "open", "failed"]

_STATES: Mapping[str, frozenset[str]] = {
    "all": frozenset({"queued", "running", "done", "dead", "cancelled"}),
    "done": frozenset({"done"}),
    "open": frozenset({"queued", "running"}),
    "failed": frozenset({"dead", "cancelled"}),
}
_CALLS_AT_ONCE_N = 4
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A number with its interval; ``low`` and ``high`` are None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found in one sample of one request; ``marks`` holds what is known, by the name of the quantity."""

    request_id: str
    sample: str
    utc: datetime
    images_n: int
    marks: Mapping[str, Mark]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far repeated counts agree.

    ``cv_fraction`` is their standard deviation (n - 1) over their mean. ``p_value`` is that of Cochran's Q on the log
    scale: how often counts of one and the same thing differ as much, given their intervals; None without intervals.
    """

    counts_n: int
    mean: float
    cv_fraction: float
    p_value: float | None


def sample_of(status: Status) -> str:
    """Name the samples of a request; empty where nobody named one."""
    of_images = (status.parameters.get("images") or {}).values()
    names = [status.parameters.get("sample_name"), *(one.get("sample_name") for one in of_images)]
    return ", ".join(dict.fromkeys(name for name in names if name))


def matching(requests: Sequence[Status], *, words: str = "", kind: Kind = "all") -> tuple[Status, ...]:
    """Choose the requests that hold all words in the names of their samples, or whose id begins with the words."""
    wanted = words.casefold().split()

    def fits(status: Status) -> bool:
        name = sample_of(status).casefold()
        is_named = all(word in name for word in wanted)
        return status.state in _STATES[kind] and (is_named or status.request_id.startswith(words.strip()))

    return tuple(status for status in requests if fits(status))


def fetch_results(client: Client, request_ids: Sequence[str]) -> dict[str, Results]:
    """Ask for the results of several requests at once; those that have gone meanwhile are left out."""

    def fetch(request_id: str) -> Results | None:
        try:
            return client.request(request_id).results()
        except ServiceError as error:
            if error.status is None or error.status >= 500:
                raise
            return None

    with ThreadPoolExecutor(_CALLS_AT_ONCE_N) as pool:
        found = dict(zip(request_ids, pool.map(fetch, request_ids), strict=True))
    return {request_id: results for request_id, results in found.items() if results is not None}


def findings(status: Status, results: Results) -> tuple[Finding, ...]:
    """Take the numbers of each sample of a request."""
    utc = status.submitted_utc or status.created_utc
    if utc is None:
        return ()
    return tuple(
        Finding(
            request_id=status.request_id,
            sample=sample["name"],
            utc=utc,
            images_n=sample["summary"]["images_n"],
            marks=_marks(sample["summary"]),
        )
        for sample in results.samples
        if sample.get("summary")
    )


def agreement(marks: Sequence[Mark]) -> Agreement | None:
    """Tell whether counts of the same thing agree; None for fewer than two, or where one is not above 0.

    Parameters
    ----------
    marks
        With intervals of 95 %; their half width on the log scale over 1.96 is taken as standard error.
    """
    values = [mark.value for mark in marks]
    if len(values) < 2 or min(values) <= 0:
        return None
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return Agreement(counts_n=len(values), mean=mean, cv_fraction=spread / mean, p_value=_cochran(marks))


def _cochran(marks: Sequence[Mark]) -> float | None:
    errors = [_log_error(mark) for mark in marks]
    if any(error is None for error in errors):
        return None
    from scipy.special import chdtrc

    weights = [1 / error**2 for error in errors if error]
    if len(weights) < len(marks):
        return None
    logs = [math.log(mark.value) for mark in marks]
    centre = sum(weight * log for weight, log in zip(weights, logs, strict=True)) / sum(weights)
    q = sum(weight * (log - centre) ** 2 for weight, log in zip(weights, logs, strict=True))
    return float(chdtrc(len(marks) - 1, q))


def _log_error(mark: Mark) -> float | None:
    if mark.low is None or mark.high is None or mark.low <= 0:
        return None
    return (math.log(mark.high) - math.log(mark.low)) / (2 * _NORMAL_95)


def _marks(summary: Mapping[str, Any]) -> dict[str, Mark]:
    preparation = summary.get("preparation") or {}
    estimates = {
        "total_ieq": preparation.get("total_ieq"),
        "ieq_per_kg": preparation.get("ieq_per_kg"),
        "ieq": summary["ieq"],
        "count": summary["count"],
        "purity": summary["purity_area"],
        "diameter": summary["mean_diameter"],
    }
    return {name: _mark(one) for name, one in estimates.items() if one is not None and one["value"] is not None}


def _mark(estimate: Mapping[str, Any]) -> Mark:
    interval = estimate.get("interval") or {}
    return Mark(value=estimate["value"], low=interval.get("low"), high=interval.get("high"))
