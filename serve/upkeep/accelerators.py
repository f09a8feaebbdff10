"""The accelerators of this machine: what their driver says of them, beside what Ray counts on.

NVIDIA's own program is asked and not its library, because a driver that hangs then hangs a process of its own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isletnet.errors import IsletnetError

PROGRAM = "nvidia-smi"
DRIVER_ANSWERS_WITHIN_S = 2.5
_ASKED = ("utilization.gpu", "memory.used", "memory.total", "temperature.gpu", "name")
_NO_DEVICE_EXIT = 6
_MEGABYTES_IN_MEBIBYTE = 2**20 / 1e6
# Instead of a number stands why there is none, such as [N/A], [Not Supported] or [GPU requires reset].
_NUMBER = re.compile(r"\d+(\.\d+)?")
_RESET = "requires reset"


class DriverError(IsletnetError):
    """The driver of the accelerators does not answer as it should."""

    code = "gpu_driver_failed"


class DriverSilentError(DriverError):
    """The driver of the accelerators does not answer in time."""

    code = "no_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGpus:
    """How many GPUs Ray counts on a machine of the cluster."""

    host: str
    is_here: bool
    gpus_n: int


def accelerators(nodes: Sequence[NodeGpus]) -> dict[str, Any]:
    """Tell the GPUs of this machine, and how many Ray counts here and on the other machines.

    The state is a warning where Ray counts on more GPUs than the driver shows, where one needs a reset, and where the
    driver fails, with ``code`` and ``message``.

    Parameters
    ----------
    nodes
        What `nodes_of_ray` gives; empty without Ray.
    """
    counted_n = sum(node.gpus_n for node in nodes if node.is_here)
    elsewhere = [{"host": node.host, "gpus_n": node.gpus_n} for node in nodes if node.gpus_n and not node.is_here]
    told = {"counted_by_ray_n": counted_n if nodes else None, "elsewhere": elsewhere}
    try:
        gpus = _gpus()
    except DriverError as error:
        return {"state": "warning", "code": error.code, "message": error.message, "list": [], **told}
    is_wrong = counted_n > len(gpus) or any(gpu["needs_reset"] for gpu in gpus)
    return {"state": "warning" if is_wrong else "ok", "list": gpus, **told}


def nodes_of_ray() -> tuple[NodeGpus, ...]:
    """Tell how many GPUs Ray counts on each machine that is up; nothing where Ray does not run."""
    # Only who has imported Ray runs on it; importing it takes seconds.
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return ()
    here = ray.get_runtime_context().get_node_id()
    return tuple(
        NodeGpus(
            host=node["NodeManagerHostname"],
            is_here=node["NodeID"] == here,
            gpus_n=round(node["Resources"].get("GPU", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    )


def _gpus() -> list[dict[str, Any]]:
    """Ask the driver; without its program there are none."""
    path = shutil.which(PROGRAM)
    if path is None:
        return []
    command = [path, f"--query-gpu={','.join(_ASKED)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=DRIVER_ANSWERS_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DriverSilentError(f"{PROGRAM} did not answer within {DRIVER_ANSWERS_WITHIN_S} s") from error
    except OSError as error:
        raise DriverError(f"{PROGRAM} cannot be started: {error}") from error
    if answer.returncode == _NO_DEVICE_EXIT:
        return []
    if answer.returncode:
        said = answer.stdout.strip() or answer.stderr.strip()
        raise DriverError(f"{PROGRAM} ended with {answer.returncode}: {said}")
    return [_gpu(line) for line in answer.stdout.splitlines() if line.strip()]


def _gpu(line: str) -> dict[str, Any]:
    """Read a line; what the driver cannot tell is None."""
    # The name is last: it alone may hold a comma.
    fields = [field.strip() for field in line.split(",", len(_ASKED) - 1)]
    if len(fields) < len(_ASKED):
        raise DriverError(f"{PROGRAM} was expected to answer {len(_ASKED)} fields, it answered {line!r}")
    used_percent, used_mib, total_mib, temperature_c = (_number(field) for field in fields[:-1])
    return {
        "name": fields[-1],
        "busy_fraction": None if used_percent is None else used_percent / 100,
        "memory_used_mb": _megabytes(used_mib),
        "memory_total_mb": _megabytes(total_mib),
        "temperature_c": temperature_c,
        "needs_reset": any(_RESET in field for field in fields),
    }


def _number(field: str) -> float | None:
    return float(field) if _NUMBER.fullmatch(field) else None


def _megabytes(mebibytes: float | None) -> int | None:
    return None if mebibytes is None else round(mebibytes * _MEGABYTES_IN_MEBIBYTE)
