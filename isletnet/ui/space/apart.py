"""Runs a job in a process of its own, so that a page's kernel stays small and a bad file ends nothing but the job."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from isletnet.errors import IsletnetError
from isletnet.ui import friendly
from isletnet.ui.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

LONGEST_S = 900.0
# Names as in `jobs`, which a page's kernel must not import: it brings all that is heavy.
JOB, OUTCOME = "job.json", "outcome.json"

_LOG = logging.getLogger("isletnet.ui")


class JobError(IsletnetError):
    """A job did not come to its end, or says why it cannot be done."""

    code = "job_failed"


async def run_apart(folder: Path, job: dict[str, Any], *, longest_s: float = LONGEST_S) -> dict[str, Any]:
    """Have a job done.

    Parameters
    ----------
    folder
        Where what it needs is, and where its files go.
    job
        As in `isletnet.ui.space.jobs`.
    longest_s
        After this it is stopped.

    Returns
    -------
    dict
        The outcome.

    Raises
    ------
    JobError
        It failed; the sentence is for the person.
    """
    (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
    (folder / OUTCOME).unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "isletnet.ui.space",
        str(folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        trace = (await asyncio.wait_for(process.communicate(), longest_s))[1]
    except TimeoutError as error:
        raise JobError(_("This took too long and was stopped. Try a smaller part.")) from error
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    if process.returncode or not (folder / OUTCOME).is_file():
        _LOG.error("a job of a page failed: %s", trace.decode(errors="replace")[-2000:])
        raise JobError(_("This could not be computed. A smaller part may work."))
    outcome: dict[str, Any] = json.loads((folder / OUTCOME).read_text(encoding="utf-8"))
    if outcome["code"] is not None:
        raise JobError(_known().get(outcome["code"], outcome["message"]))
    return outcome


def _known() -> dict[str, str]:
    return {
        "calibration_invalid": _("The size of a voxel is unknown, or cannot be right. Write both lengths."),
        "image_unsupported": _("This is no z-stack that can be read: a TIFF with a page for each slice, one channel."),
        "image_damaged": _("This file is damaged or cut short. Copy it again from the microscope and send it again."),
        "image_too_large": _("This stack has too many voxels. Crop it."),
        "parameter_invalid": _(
            "No islet was found. Choose the kind that fits the stack, or write a smaller least diameter."
        ),
    }


# A loop holds its tasks weakly.
_running: set[asyncio.Task[None]] = set()


def start(work: Coroutine[Any, Any, None], tell: Callable[[str], None]) -> None:
    """Let work go on while the page answers; what goes wrong becomes a sentence that ``tell`` shows."""

    async def guarded() -> None:
        try:
            await work
        except Exception as error:  # the last line before the page
            friendly.log(error)
            tell(friendly.sentence(error))

    task = asyncio.get_running_loop().create_task(guarded())
    _running.add(task)
    task.add_done_callback(_running.discard)
