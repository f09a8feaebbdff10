"""Single looks at the service; each gives what JSON holds, may block, and raises what it meets."""

from __future__ import annotations

import platform
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import isletnet
from isletnet.errors import NetworkError, StoreFullError
from isletnet.networks.catalogue import find_network, network_names
from isletnet.storage.layout import OPEN, OUTBOX, read_stamp, request_key
from isletnet.storage.statistics import Event, read_events
from isletnet.storage.store import PROBE_FOLDER, Store

if TYPE_CHECKING:
    import psutil

# Work begins with the oldest requests, so what runs is among these.
LOOKED_AT_N = 100
SHOWN_ERRORS_N = 20
MEGABYTE = 1e6
_HOUR = timedelta(hours=1)


def store_answers(store: Store, *, monotonic: Callable[[], float]) -> dict[str, Any]:
    """Write, read and remove a small object; a store that is full still answers."""
    begun_s = monotonic()
    key = f"{PROBE_FOLDER}/{secrets.token_hex(16)}"
    is_writable = True
    try:
        store.create(key, b"probe")
        store.read(key)
    except StoreFullError:
        is_writable = False
    finally:
        store.delete(key)
    state = "ok" if is_writable else "warning"
    return {"state": state, "is_writable": is_writable, "answered_in_ms": round(1000 * (monotonic() - begun_s), 1)}


def network_is_right(name: str) -> dict[str, Any]:
    """Read a network's card and hash its files; raises ``NetworkError`` where they are not what they were."""
    card = find_network(name)
    return {"state": "ok", "name": card.name, "version": card.version, "weights_sha256": card.weights_sha256}


def networks() -> dict[str, Any]:
    """Tell the newest version of each network, or that it is damaged."""
    found: dict[str, Any] = {}
    for name in network_names():
        try:
            found[name] = network_is_right(name)
        except NetworkError as error:
            found[name] = {"state": "failed", "code": error.code}
    return {"state": "ok", "versions": found}


def queue(store: Store, *, now: datetime) -> dict[str, Any]:
    """Count the requests that have not ended, and how long the oldest has waited."""
    entries = [key.rpartition("/")[2] for key in store.list_keys(OPEN)]
    oldest = read_stamp(entries[0].partition("-")[0]) if entries else None
    running_n = 0
    for entry in entries[:LOOKED_AT_N]:
        attempts = request_key(entry.partition("-")[2], "attempts")
        running_n += any(True for _ in store.list_keys(attempts))
    return {
        "state": "ok",
        "open_n": len(entries),
        "running_n": running_n,
        "waiting_n": len(entries) - running_n,
        "oldest_age_s": None if oldest is None else round((now - oldest).total_seconds(), 1),
    }


def mails(store: Store) -> dict[str, Any]:
    """Count the mails that wait to be sent."""
    return {"state": "ok", "waiting_n": sum(1 for _ in store.list_keys(OUTBOX))}


def last_hour(store: Store, *, now: datetime) -> dict[str, Any]:
    """Count what ended and what failed in the last hour; the latest minute may be missing."""
    # Read to the end of the current moment, so that what was noted this instant counts.
    events = list(read_events(store, now - _HOUR, now + timedelta(seconds=1)))
    ends = [event for event in events if event.kind == "end"]
    done = [event for event in ends if event.action == "done"]
    failed = sorted((event for event in events if event.failures and _is_ours(event)), key=lambda event: event.utc)
    return {
        "state": "ok",
        "calls_n": sum(event.kind == "call" for event in events),
        "failed_calls_n": sum((event.status or 0) >= 500 for event in events),
        "requests_done_n": len(done),
        "requests_dead_n": sum(event.action == "dead" for event in ends),
        "images_n": sum(sum(event.images.values()) for event in done),
        "megapixels": round(sum(event.megapixels for event in done), 2),
        "last_errors": [
            {"utc": event.utc.isoformat(), "of": event.action, "request_id": event.request_id, "codes": event.failures}
            for event in failed[: -SHOWN_ERRORS_N - 1 : -1]
        ],
    }


def _is_ours(event: Event) -> bool:
    """Whether a failure is of the service or of a request, not a caller's mistake."""
    return event.kind == "end" or (event.status or 0) >= 500


def machine() -> dict[str, Any]:
    """Tell which machine this is, and how busy."""
    import psutil

    memory = psutil.virtual_memory()
    return {
        "host": socket.gethostname(),
        "cores_n": psutil.cpu_count(),
        "cpu_fraction": round(psutil.cpu_percent(interval=0.1) / 100, 3),
        "memory_total_mb": round(memory.total / MEGABYTE),
        "memory_available_mb": round(memory.available / MEGABYTE),
    }


def processes() -> list[dict[str, Any]]:
    """Tell memory and processor time of the service's processes on this machine, the largest first.

    They are those that the same `ray start` started, or this one and what it started. Their command lines stay private.
    """
    import psutil

    found = []
    root = _root(psutil.Process())
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.Error), process.oneshot():
            used, seconds = process.memory_info(), process.cpu_times()
            found.append(
                {
                    "pid": process.pid,
                    "name": _shown_name(process),
                    "memory_mb": round(used.rss / MEGABYTE, 1),
                    "cpu_s": round(seconds.user + seconds.system, 1),
                    "open_files_n": process.num_fds(),
                }
            )
    return sorted(found, key=lambda one: -float(one["memory_mb"]))


def _root(own: psutil.Process) -> psutil.Process:
    parent = own.parent()
    if parent is None or parent.name() != "raylet":
        return own
    # Beside the raylet runs the head; where that was not started together, init is above both.
    above = parent.parent()
    return parent if above is None or above.pid == 1 else above


def _shown_name(process: psutil.Process) -> str:
    """Name a process; Ray writes over the command line of its own with what they do."""
    first = (process.cmdline() or [""])[0]
    return first if first.startswith("ray::") else str(process.name())


def versions() -> dict[str, Any]:
    """Tell the versions of what answers."""
    return {"isletnet": isletnet.__version__, "python": platform.python_version(), "ray": _version("ray")}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
