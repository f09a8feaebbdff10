"""A process whose clock is wrong: prunes a store, or looks for work; prints one JSON document."""

import json
import select
import sys
import time
from datetime import UTC, datetime

from isletnet.settings import Settings
from isletnet.storage.leases import Dispatcher
from isletnet.storage.store import open_store
from serve.upkeep.chores import run_prune

LOOKS_N, LOOK_S = 10, 0.1


def main(what: str, location: str) -> dict[str, object]:
    """Do one of both."""
    store = open_store(location)
    if what == "prune":
        run = run_prune(store, Settings(), actor="keeper", now=datetime.now(UTC), monotonic=time.monotonic)
        return {"utc": run.begun_utc.isoformat(), "code": run.code, "removed": dict(run.removed)}
    dispatcher = Dispatcher(store, "skewed", monotonic=time.monotonic)
    taken = None
    for _ in range(LOOKS_N):
        taken = taken or dispatcher.take(now=datetime.now(UTC))
        # libfaketime spoils time.sleep.
        select.select([], [], [], LOOK_S)
    return {"utc": datetime.now(UTC).isoformat(), "taken": taken is not None}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], sys.argv[2])) + "\n")
