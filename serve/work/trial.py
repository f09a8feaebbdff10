"""A trial analysis: a drawn islet goes the way of a person's image, before all others, and has to be found."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np

from serve.work.parameters import RequestParameters
from serve.work.tasks import Answer, Broken, NowDone, NowTask, Refused, Task

# Trials are made only while somebody looks.
EVERY_S = 300.0
WITHIN_S = 60.0
# A caller waits no longer for a trial that has just begun, and is told the one before.
SOON_S = 1.0
NOT_FOUND = "trial_not_found"
_LOG = logging.getLogger("isletnet.serve.trial")
_UM_PER_PX = 2.0
_SIDE_PX, _RADIUS_PX = 192, 40
_GROUND_RGB, _ISLET_RGB = (195, 190, 5), (190, 60, 8)


class Trial:
    """Makes trials when asked for the last one; one for an event loop.

    Parameters
    ----------
    ask
        Has a task done by a worker.
    monotonic, now
        Clocks: one in seconds that never goes back, and the time of day.
    """

    def __init__(
        self,
        ask: Callable[[Task], Awaitable[Answer]],
        *,
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._now = now
        self._begun_s = 0.0
        self._going: asyncio.Task[None] | None = None
        self._last: Mapping[str, Any] = {"state": "ok", "begun_utc": None}

    async def look(self) -> dict[str, Any]:
        """Tell how the last trial went, and begin another where that is long ago.

        ``state`` is ok, failed with ``code`` or silent, ``begun_utc`` None before the first has ended, and
        ``duration_s`` how long it took.
        """
        if self._going is None or (self._going.done() and self._monotonic() - self._begun_s >= EVERY_S):
            self._begun_s = self._monotonic()
            self._going = asyncio.create_task(self._try())
        await asyncio.wait({self._going}, timeout=SOON_S)
        return dict(self._last)

    async def _try(self) -> None:
        begun = {"begun_utc": self._now().isoformat()}
        try:
            answer = await asyncio.wait_for(self._ask(_task()), WITHIN_S)
        except TimeoutError:
            self._last = {"state": "silent", "code": "no_answer", **begun}
        except Exception:
            _LOG.exception("a trial analysis broke off")
            self._last = {"state": "failed", "code": "unexpected", **begun}
        else:
            self._last = {**_judged(answer), **begun, "duration_s": round(self._monotonic() - self._begun_s, 3)}


def _judged(answer: Answer) -> dict[str, Any]:
    match answer:
        case NowDone(record={"summary": {"count": {"value": 1}}}):
            return {"state": "ok"}
        case Refused(code=code) | Broken(code=code):
            return {"state": "failed", "code": code}
        case _:
            return {"state": "failed", "code": NOT_FOUND}


@cache
def _task() -> NowTask:
    parameters = RequestParameters(um_per_px=_UM_PER_PX, uncertainty="none")
    return NowTask(content=drawn_islet(), name="trial.png", parameters=parameters)


def drawn_islet() -> bytes:
    """Draw a stained islet, 160 um wide, in the middle of an empty picture; gives a PNG."""
    from PIL import Image

    y, x = np.mgrid[:_SIDE_PX, :_SIDE_PX] - (_SIDE_PX - 1) / 2
    is_islet = np.hypot(x, y) < _RADIUS_PX
    picture = np.where(is_islet[..., None], _ISLET_RGB, _GROUND_RGB).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
