"""The service's own word of how it is, in sentences and rows for people. No widgets here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from isletnet.ui.friendly import problem
from isletnet.ui.i18n import ABSENT, _, ngettext, number, percent, when

Tone = Literal["good", "info", "warning", "severe"]

_GB = 1e9
_SHOWN_PROCESSES_N = 12
_WELL = {"ok"}
_UNWELL = {"warning"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A part of the service: its name, how it is, and what there is to say of it."""

    name: str
    tone: Tone
    state: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """How full or busy something is: a share 0..1 and its words."""

    name: str
    fraction: float
    text: str
    tone: Tone


def headline(status: Mapping[str, Any]) -> tuple[str, Tone]:
    """Say in a sentence how the service is."""
    lines = [line for line in parts(status) if line.tone in ("warning", "severe")]
    names = ", ".join(line.name for line in lines)
    if status["state"] in _WELL:
        return _("Everything works."), "good"
    if status["state"] in _UNWELL:
        return _("It works, but look at: {names}.", names=names or ABSENT), "warning"
    return _("Something is broken: {names}.", names=names or ABSENT), "severe"


def parts(status: Mapping[str, Any]) -> tuple[Line, ...]:
    """Tell how each part of the service is."""
    writers = {
        "store": _store_detail,
        "disk": _disk_detail,
        "network": _network_detail,
        "queue": _queue_detail,
        "mail": _mail_detail,
        "last_hour": _last_hour_detail,
        "accelerators": _gpus_detail,
    }
    own = [_line(_part_name(name), status[name], write) for name, write in writers.items() if name in status]
    rest = [_line(_part_name(name), part, _part_detail) for name, part in (status.get("parts") or {}).items()]
    return (*own, *rest)


def gauges(status: Mapping[str, Any]) -> tuple[Gauge, ...]:
    """Tell how busy the processors are, and how full memory and disk."""
    return tuple(_gauges(status))


def gpus(status: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Tell the GPUs of this machine: name, how busy, memory, temperature."""
    return [
        (
            str(gpu["name"]),
            percent(gpu["busy_fraction"]),
            _gpu_memory(gpu["memory_used_mb"], gpu["memory_total_mb"]),
            ABSENT if gpu["temperature_c"] is None else f"{number(gpu['temperature_c'], 0)} °C",
        )
        for gpu in status.get("accelerators", {}).get("list") or ()
    ]


def gpus_elsewhere(status: Mapping[str, Any]) -> str:
    """Name the other machines on which Ray counts GPUs; empty where there are none."""
    found = status.get("accelerators", {}).get("elsewhere") or ()
    return ", ".join(f"{one['host']} ({one['gpus_n']})" for one in found)


def chores(status: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Tell the last run of each chore: name, when, result."""
    keeper = (status.get("parts") or {}).get("keeper") or {}
    runs = keeper.get("last_runs") or {}
    found: list[tuple[str, ...]] = [
        (_chore_name(name), _when(run.get("begun_utc")), _chore_result(run)) for name, run in runs.items()
    ]
    trial = (status.get("parts") or {}).get("trial") or {}
    if trial.get("begun_utc"):
        line = _line(_part_name("trial"), trial, _part_detail)
        found.append((line.name, _when(trial["begun_utc"]), line.detail))
    return found


def errors(status: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Tell the latest errors: when, of what, why."""
    found: Sequence[Mapping[str, Any]] = status.get("last_hour", {}).get("last_errors") or ()
    return [
        (_when(one["utc"]), one.get("request_id") or str(one.get("of") or ABSENT), " ".join(map(_reason, one["codes"])))
        for one in found
    ]


def processes(status: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Tell the largest processes: name, memory, processor time, open files."""
    found = (status.get("processes", {}).get("list") or ())[:_SHOWN_PROCESSES_N]
    return [
        (
            str(one["name"]),
            f"{number(one['memory_mb'], 0)} MB",
            f"{number(one['cpu_s'], 0)} s",
            number(one["open_files_n"]),
        )
        for one in found
    ]


def versions(status: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Tell the versions of what answers, and of the networks."""
    networks = status.get("networks", {}).get("versions") or {}
    return [
        *((name, version or ABSENT) for name, version in status.get("versions", {}).items()),
        *(
            (_("network {name}", name=name), one.get("version") or problem(one.get("code")))
            for name, one in networks.items()
        ),
    ]


def age(seconds: float | None) -> str:
    """Write a span of time in its largest unit; None is a dash."""
    if seconds is None:
        return ABSENT
    for unit_s, unit in ((86_400, _("d")), (3_600, _("h")), (60, _("min"))):
        if seconds >= unit_s:
            return f"{number(seconds / unit_s, 0)} {unit}"
    return f"{number(seconds, 0)} s"


def _line(name: str, told: Mapping[str, Any], write: Any) -> Line:
    state = told.get("state", "ok")
    if told.get("code"):
        detail = _("It does not answer.") if told["code"] == "no_answer" else problem(told["code"])
    else:
        detail = write(told)
    tone, word = _state(state)
    return Line(name=name, tone=tone, state=word, detail=detail)


def _state(state: str) -> tuple[Tone, str]:
    known: dict[str, tuple[Tone, str]] = {
        "ok": ("good", _("works")),
        "warning": ("warning", _("look at it")),
        "failed": ("severe", _("broken")),
        "silent": ("severe", _("silent")),
        "full": ("severe", _("full")),
    }
    return known.get(state, ("warning", state))


def _part_name(name: str) -> str:
    return {
        "store": _("Storage"),
        "disk": _("Disk"),
        "network": _("Network"),
        "queue": _("Queue"),
        "mail": _("Mail"),
        "last_hour": _("Statistics"),
        "accelerators": _("GPU"),
        "shepherd": _("Distribution of work"),
        "segmenter": _("Outlining"),
        "keeper": _("Housekeeping"),
        "trial": _("Trial analysis"),
    }.get(name, name)


def _store_detail(told: Mapping[str, Any]) -> str:
    if not told.get("is_writable", True):
        return _("It can be read, but not written.")
    return _("answers in {ms} ms", ms=number(told.get("answered_in_ms")))


def _disk_detail(told: Mapping[str, Any]) -> str:
    if "free_bytes" not in told:
        return _("not on this machine")
    return _("{free} GB free", free=number(told["free_bytes"] / _GB, 0))


def _network_detail(told: Mapping[str, Any]) -> str:
    return f"{told.get('name', ABSENT)}, {_('version {version}', version=told.get('version', ABSENT))}"


def _queue_detail(told: Mapping[str, Any]) -> str:
    waiting = ngettext("{n} request waits", "{n} requests wait", told.get("waiting_n", 0))
    running = ngettext("{n} is under way", "{n} are under way", told.get("running_n", 0))
    return f"{waiting}, {running}"


def _mail_detail(told: Mapping[str, Any]) -> str:
    if not told.get("is_sent"):
        return _("No mails are sent: no mail server is set.")
    return ngettext("{n} mail waits", "{n} mails wait", told.get("waiting_n", 0))


def _last_hour_detail(told: Mapping[str, Any]) -> str:
    return ngettext("{n} call in the last hour", "{n} calls in the last hour", told.get("calls_n", 0))


def _gpus_detail(told: Mapping[str, Any]) -> str:
    found, counted_n = told.get("list") or (), told.get("counted_by_ray_n") or 0
    faulty = [gpu["name"] for gpu in found if gpu["needs_reset"]]
    if faulty:
        return _("Reset it, or restart the machine: {names}.", names=", ".join(faulty))
    if counted_n > len(found):
        return _("Ray counts {counted}, but the driver shows {shown}.", counted=counted_n, shown=len(found))
    if not found:
        is_alone = not told.get("elsewhere")
        return _("none; networks run on the processors") if is_alone else _("none on this machine")
    gpus = ngettext("{n} GPU", "{n} GPUs", len(found))
    return _("{gpus}, but Ray counts none: networks run on the processors", gpus=gpus) if counted_n == 0 else gpus


def _gpu_memory(used_mb: float | None, total_mb: float | None) -> str:
    if used_mb is None or not total_mb:
        return ABSENT
    return _("{used} of {total} GB", used=number(used_mb / 1000, 1), total=number(total_mb / 1000, 1))


def _part_detail(told: Mapping[str, Any]) -> str:
    if "workers" in told:
        return ngettext("{n} worker", "{n} workers", len(told["workers"]))
    if "begun_utc" in told and told["begun_utc"] is None:
        return _("under way")
    if "duration_s" in told:
        return _("found the drawn islet in {seconds} s", seconds=number(told["duration_s"], 1))
    if "last_runs" in told:
        failed = [_chore_name(name) for name, run in told["last_runs"].items() if run.get("state") != "ok"]
        return _("not done: {names}", names=", ".join(failed)) if failed else _("all chores are done")
    return _("answers")


def _chore_name(name: str) -> str:
    return {
        "prune": _("Deleting what is old"),
        "sweep": _("Clearing leftovers"),
    }.get(name, name)


def _chore_result(run: Mapping[str, Any]) -> str:
    if run.get("state") != "ok":
        return problem(run.get("code"), run.get("message"))
    removed_n = sum((run.get("removed") or {}).values())
    return ngettext("done, {n} thing removed", "done, {n} things removed", removed_n)


def _gauges(status: Mapping[str, Any]) -> Iterator[Gauge]:
    machine, disk = status.get("machine", {}), status.get("disk", {})
    if "cpu_fraction" in machine:
        cores = ngettext("of {n} core", "of {n} cores", machine["cores_n"])
        busy = machine["cpu_fraction"]
        yield Gauge(name=_("Processors"), fraction=busy, text=f"{percent(busy)} {cores}", tone="info")
    if "memory_total_mb" in machine:
        free_mb, total_mb = machine["memory_available_mb"], machine["memory_total_mb"]
        yield _fullness(_("Memory"), 1 - free_mb / total_mb, free_mb / 1000, total_mb / 1000)
    if "used_fraction" in disk:
        gauge = _fullness(_("Disk"), disk["used_fraction"], disk["free_bytes"] / _GB, disk["total_bytes"] / _GB)
        yield (
            gauge
            if disk["state"] == "ok"
            else Gauge(name=gauge.name, fraction=gauge.fraction, text=gauge.text, tone="severe")
        )


def _fullness(name: str, used: float, free_gb: float, total_gb: float) -> Gauge:
    text = _(
        "{used} used, {free} of {total} GB free", used=percent(used), free=number(free_gb, 0), total=number(total_gb, 0)
    )
    return Gauge(name=name, fraction=used, text=text, tone="info")


def _reason(code: str) -> str:
    return problem(code, code)


def _when(text: str | None) -> str:
    return when(datetime.fromisoformat(text)) if text else ABSENT
