"""The process of one step: ``python -m isletnet.studies.process`` with an order in its standard input.

The order is a notebook to run, or a command. The process ends when its standard input is closed, so a step never
outlives the program that started it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from isletnet.studies.failure import Failure, cell_link
from isletnet.studies.keep import NOTEBOOK_FILE, write_json

FAILURE_FILE = ".failure.json"
# A kernel starts in a second or two, but not on a machine that has too much to do.
START_S = 300
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_EXIT_ORPHAN = 3


def execute(order: dict[str, Any]) -> Failure | None:
    """Run the notebook of an order: ``notebook``, ``folder``, ``values``, ``timeout_s``.

    Returns
    -------
    Failure or None
        The exception is the truth: a killed kernel leaves cells that call themselves completed.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    folder = Path(order["folder"])
    try:
        papermill.execute_notebook(
            order["notebook"],
            str(folder / NOTEBOOK_FILE),
            parameters=order["values"],
            cwd=str(folder),
            kernel_name="python3",
            progress_bar=False,
            start_timeout=START_S,
            execution_timeout=order["timeout_s"],
        )
    except PapermillExecutionError as error:
        text = _COLOURS.sub("", f"{error.ename}: {error.evalue}")
        # The cell with the given parameters, which papermill puts in, makes up for counting from 0.
        return Failure(code="cell_failed", message=text, cell=error.cell_index, link=cell_link())
    except CellTimeoutError:
        return Failure(code="cell_timeout", message=f"a cell took longer than {order['timeout_s']} s")
    except DeadKernelError:
        return Failure(code="kernel_died", message="the kernel died, perhaps for want of memory")
    return None


def main() -> int:
    """Do the order that comes in the first line of standard input; 0 if it is done."""
    order = json.loads(sys.stdin.readline())
    if "command" in order:
        process = subprocess.Popen(order["command"], stdin=subprocess.DEVNULL)
        _watch(process.kill)
        return process.wait()
    _watch(lambda: None)
    failure = execute(order)
    if failure is not None:
        write_json(Path(order["folder"]) / FAILURE_FILE, failure.plain())
    return int(failure is not None)


def _watch(before_end: Callable[[], None]) -> None:
    threading.Thread(target=partial(_end_with_parent, before_end), daemon=True).start()


def _end_with_parent(before_end: Callable[[], None]) -> None:
    sys.stdin.read()
    before_end()
    # A kernel watches this process and ends by itself.
    os._exit(_EXIT_ORPHAN)


if __name__ == "__main__":
    sys.exit(main())
