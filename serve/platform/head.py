"""Ray's own `ray start` without what this service does not need and nobody shall reach: a process of its own."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from serve.platform import become_worker

# Commands that `ray` has beside `start`, and goes without where they are not installed: to load them takes seconds.
_OTHER_COMMANDS = ("ray.serve.scripts", "ray.dashboard.modules.job.cli", "ray.util.state.state_cli")


def main(arguments: list[str]) -> None:
    """Run `ray start` with these arguments; does not return."""
    absent: dict[str, Any] = dict.fromkeys(_OTHER_COMMANDS)
    sys.modules.update(absent)
    # The name is joined to the folder of Ray's own, which a whole path takes the place of.
    constants: Any = importlib.import_module("ray._private.ray_constants")
    constants.SETUP_WORKER_FILENAME = str(Path(become_worker.__file__).resolve())
    scripts: Any = importlib.import_module("ray.scripts.scripts")
    # `ray start` opens a door for remote programs wherever their packages are installed, on the address that others
    # reach, and knows no other way to leave it closed.
    scripts.get_ray_client_dependency_error = lambda: ImportError("not wanted here")
    scripts.cli(["start", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
