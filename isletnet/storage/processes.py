"""Which process holds a lease, told so that others on the same machine can see when it has ended."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


def process_mark() -> str | None:
    """Name this process for as long as the machine runs, unlike its number, which others get later.

    Returns
    -------
    str or None
        None where the system tells too little (anything but Linux).
    """
    try:
        return f"{_space()}/{os.getpid()}/{_begun(os.getpid())}"
    except OSError:
        return None


def has_ended(mark: str) -> bool:
    """Whether a process is known to have ended; False for one that cannot be seen from here.

    Of another machine, container or user nothing is known.

    Parameters
    ----------
    mark
        From `process_mark`.
    """
    space, _, process = mark.rpartition("/")[0].rpartition("/")
    try:
        if space != _space():
            return False
        return _begun(int(process)) != mark.rpartition("/")[2]
    except (FileNotFoundError, ProcessLookupError):
        return True
    except (OSError, ValueError):
        return False


@cache
def _space() -> str:
    """Name what this process sees: the run of the machine, the numbers of its processes, and the user."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}/{os.getuid()}"


def _begun(process: int) -> str:
    """Tell when a process began, in ticks since the machine did; one that has ended but is still listed never did."""
    # The name of its program, in brackets, may hold anything.
    fields = (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    state, begun = fields[0], fields[19]
    return "ended" if state in "ZX" else begun
