"""Do one task, and turn whatever happens into an answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from pydantic import ValidationError

from isletnet.errors import (
    ConflictError,
    GoneError,
    InputError,
    LeaseLostError,
    NetworkError,
    NotStoredError,
    StorageError,
)
from isletnet.storage.store import Store
from serve.work.closing import do_closing
from serve.work.corrections import do_correction
from serve.work.drawing import do_draw
from serve.work.images import Load, Rules, do_image
from serve.work.now import do_now
from serve.work.tasks import (
    Answer,
    Broken,
    ClosingTask,
    CopyTask,
    CorrectionTask,
    DrawTask,
    Dropped,
    DroppedError,
    ImageTask,
    Refused,
    Task,
    Tell,
)
from serve.work.training import do_copy

_LOG = logging.getLogger("isletnet.serve.worker")


def do(store: Store, task: Task, *, rules: Rules, load: Load, now: Callable[[], datetime], tell: Tell) -> Answer:
    """Do a task; never raises, so that one bad task does not stop the next.

    Parameters
    ----------
    load
        Gives a network by name.
    tell
        Hears how far it is, and raises `DroppedError` when nobody wants it any more.
    """
    try:
        if isinstance(task, ImageTask):
            return do_image(store, task, rules=rules, load=load, tell=tell)
        if isinstance(task, ClosingTask):
            return do_closing(store, task, rules=rules, now=now(), tell=tell)
        if isinstance(task, CorrectionTask):
            return do_correction(store, task, rules=rules, now=now(), tell=tell)
        if isinstance(task, CopyTask):
            return do_copy(store, task, now=now())
        if isinstance(task, DrawTask):
            return do_draw(store, task, rules=rules, tell=tell)
        return do_now(task, rules=rules, load=load, tell=tell)
    except (DroppedError, LeaseLostError):
        return Dropped()
    except (ConflictError, GoneError, NotStoredError) as error:
        return Refused(code=error.code, message=error.message, subject=error.subject)
    except StorageError as error:
        return Broken(code=error.code, message=error.message, is_store=True)
    except (InputError, NetworkError) as error:
        return Refused(code=error.code, message=error.message, subject=error.subject)
    except ValidationError as error:
        return Refused(code="parameter_invalid", message=f"{error.error_count()} parameters cannot be.")
    except MemoryError:
        return Refused(code="image_too_large", message="It needs more memory than a worker may take; send less.")
    except Exception:
        _LOG.exception("a task broke off")
        return Broken(code="unexpected", message="An error of the service stopped the work; it is in its log.")
