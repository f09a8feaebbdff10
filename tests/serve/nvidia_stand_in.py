"""A program that answers as NVIDIA's does, for machines without its driver.

What it prints, and the exits, are those that people show of real machines: an A100 and a T4 at work, a GB10 that
shares its memory with the processors, a card that fell into a fault, a driver that does not match its library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

A100 = {
    "name": "NVIDIA A100-SXM4-40GB",
    "utilization.gpu": "43",
    "memory.used": "8192",
    "memory.total": "40960",
    "temperature.gpu": "61",
}
T4 = {
    "name": "Tesla T4",
    "utilization.gpu": "0",
    "memory.used": "3",
    "memory.total": "15360",
    "temperature.gpu": "35",
}
GB10 = {
    "name": "NVIDIA GB10",
    "utilization.gpu": "2",
    "memory.used": "[N/A]",
    "memory.total": "[N/A]",
    "temperature.gpu": "38",
}
FAULTY = {
    "name": "NVIDIA H100 80GB HBM3",
    "utilization.gpu": "[GPU requires reset]",
    "memory.used": "0",
    "memory.total": "81559",
    "temperature.gpu": "[GPU requires reset]",
}
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n"
)
MISMATCH = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535.161\n"
NO_DEVICES = "No devices were found\n"

_PROGRAM = """#!{python}
import json, sys, time
from pathlib import Path
told = json.loads(Path({told!r}).read_text())
time.sleep(told["seconds"])
if told["exit"]:
    sys.stdout.write(told["said"])
    sys.exit(told["exit"])
options = dict(one.split("=", 1) for one in sys.argv[1:])
fields = options.pop("--query-gpu").split(",")
if options != {{"--format": "csv,noheader,nounits"}}:
    sys.exit(2)
for gpu in told["gpus"]:
    unknown = [field for field in fields if field not in gpu]
    if unknown:
        print(f'Field "{{unknown[0]}}" is not a valid field to query.')
        sys.exit(2)
    print(", ".join(gpu[field] for field in fields))
"""


def install(folder: Path, *gpus: Mapping[str, str], exit_code: int = 0, said: str = "", seconds: float = 0.0) -> None:
    """Write the program into a folder, for the front of PATH.

    Parameters
    ----------
    gpus
        What each GPU answers, by the fields' names.
    exit_code, said
        Where it is not 0, the program prints this, no GPU, and ends so.
    seconds
        How long it thinks.
    """
    told, program = folder / "nvidia-smi.json", folder / "nvidia-smi"
    told.write_text(json.dumps({"gpus": gpus, "exit": exit_code, "said": said, "seconds": seconds}))
    program.write_text(_PROGRAM.format(python=sys.executable, told=str(told)))
    program.chmod(0o755)
