"""The work on a real Ray of its own, without routes: a store, a segmenter, a shepherd and its workers."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isletnet.settings import Settings
from isletnet.storage import records
from isletnet.storage.layout import Outcome, new_request_id
from isletnet.storage.store import Store, open_store
from serve.work.desk import DeskReport

OBJECTS_BYTES = 300_000_000
START_LIMIT_S, END_LIMIT_S = 120.0, 180.0


@dataclass(frozen=True)
class RayHouse:
    """Handles of a running platform and its store."""

    settings: Settings
    store: Store
    shepherd: Any
    segmenter: Any

    def submit(self, *contents: bytes, **parameters: object) -> str:
        request_id = new_request_id()
        now = datetime.now(UTC)
        records.open_draft(self.store, request_id, owner="ann", now=now)
        for number, content in enumerate(contents):
            records.add_image(self.store, request_id, number, [content], name=f"islets {number}.png", now=now)
        records.submit(self.store, request_id, now=datetime.now(UTC), parameters=parameters)
        self.shepherd.nudge.remote()
        return request_id

    def wait(self, request_id: str) -> Outcome:
        wait_until(lambda: records.load_outcome(self.store, request_id) is not None, END_LIMIT_S)
        outcome = records.load_outcome(self.store, request_id)
        assert outcome is not None
        return outcome

    def workers(self) -> tuple[int, ...]:
        """Process numbers of the workers that are ready."""
        pids: tuple[int, ...] = self.shepherd.report.remote().result()["workers"]
        return pids

    def desk(self) -> DeskReport:
        report: DeskReport = self.segmenter.report.remote().result()
        return report


@contextmanager
def ray_house(folder: Path, **shepherd: Any) -> Iterator[RayHouse]:
    """Start the work on a Ray of its own, and end it.

    Parameters
    ----------
    folder
        Of the store.
    shepherd
        Arguments of `Shepherd`.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for name in ("RAY_ADDRESS", "RAY_NAMESPACE"):
        os.environ.pop(name, None)
    import ray
    from ray import serve

    from serve.segmenter import Segmenter
    from serve.shepherd import Shepherd

    settings = Settings(store=str(folder))
    # Sockets of Ray need a short path.
    scratch = Path(tempfile.mkdtemp(prefix="ray-work-", dir="/tmp"))
    try:
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=OBJECTS_BYTES,
            _temp_dir=str(scratch),
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        serve.start(proxy_location="Disabled")
        application = Shepherd.bind(Segmenter.bind(settings), settings=settings, **shepherd)
        handle = serve.run(application, name="isletnet", route_prefix=None)
        house = RayHouse(
            settings=settings,
            store=open_store(str(folder)),
            shepherd=handle,
            segmenter=serve.get_deployment_handle("Segmenter", "isletnet"),
        )
        wait_until(lambda: len(house.workers()) == shepherd.get("workers_n", 2), START_LIMIT_S)
        yield house
    finally:
        # Without a Ray that runs, this would start another.
        if ray.is_initialized():
            serve.shutdown()
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


def wait_until(holds: Callable[[], bool], limit_s: float) -> None:
    """Look again and again, a little apart, until a condition holds."""
    pulse, begun_s = threading.Event(), time.monotonic()
    while not holds():
        assert time.monotonic() - begun_s < limit_s, f"it did not happen within {limit_s} s"
        pulse.wait(0.05)
