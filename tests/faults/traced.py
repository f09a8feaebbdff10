"""Submits a request through the routes, does the work and prunes; says on its output when each promise is given."""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from serve.upkeep.chores import run_prune
from tests.faults.calls import picture
from tests.service_in_process import local_client, service


def main(folder: Path) -> None:
    """Do it in a folder."""
    made = service(folder / "store", folder / "network")
    client = local_client(made)
    # What is loaded at the first call is none of the matter.
    assert client.get("/api/health/live").status_code == 200
    os.write(1, b"PROMISE begin\n")
    answer = client.post("/api/requests", files=[("images", ("a.tif", picture(1)))], data={"parameters": "{}"})
    os.write(1, b"PROMISE submitted\n")
    assert answer.status_code == 202, answer.text
    assert made.work() == 1
    os.write(1, b"PROMISE worked\n")
    later = made.now() + timedelta(days=40)
    run = run_prune(made.store, made.settings, actor="keeper", now=later, monotonic=time.monotonic)
    os.write(1, b"PROMISE pruned\n")
    assert dict(run.removed) == {"record": 1}, run


if __name__ == "__main__":
    main(Path(sys.argv[1]))
