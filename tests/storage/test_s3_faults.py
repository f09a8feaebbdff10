"""The whole of the work through a connection that fails all the time: nothing lost, nothing doubled."""

import random
import threading
from collections.abc import Iterator

import pytest

from isletnet.storage import records
from isletnet.storage.backends.s3 import S3Store
from isletnet.storage.retention import RetentionPolicy, prune
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import Clock, submit, work_through
from tests.storage.conftest import make_s3_store
from tests.storage.s3_between import Between, Fate, serving

REFUSED, LOST = 0.1, 0.1


class FaultProxy(Between):
    """Refuses some calls, and loses the answers of others."""

    def __init__(self, target: str) -> None:
        self.generator = random.Random(3)
        self.refused_n = self.lost_n = 0
        self.guard = threading.Lock()
        super().__init__(target, refusal_status=503)

    def fate(self) -> Fate:
        with self.guard:
            drawn = self.generator.random()
            self.refused_n += drawn < REFUSED
            self.lost_n += REFUSED <= drawn < REFUSED + LOST
        return "refused" if drawn < REFUSED else "lost" if drawn < REFUSED + LOST else "passed"


@pytest.fixture
def proxy(s3_address: str) -> Iterator[FaultProxy]:
    with serving(FaultProxy(s3_address)) as server:
        yield server


def test_a_fifth_of_all_requests_failing_loses_and_doubles_nothing(proxy: FaultProxy, s3_store: S3Store):
    prefix = s3_store._bucket.prefix
    assert prefix is not None
    shaky = make_s3_store(f"http://127.0.0.1:{proxy.server_port}", prefix=prefix)
    clock = Clock()
    request = submit(shaky, clock)
    work_through(shaky, clock)
    outcome = records.load_outcome(s3_store, request.request_id)
    assert outcome is not None
    # A claim whose answer was lost was recognised as won, so nobody had to come a second time.
    assert (outcome.state, outcome.attempt) == ("done", 1)
    prune(shaky, RetentionPolicy(images_days=0, results_days=0), actor="pruner", now=clock.now)
    sweep(shaky, now=clock.now)
    report = verify(s3_store)
    assert report.problems == ()
    assert report.audit_entries_n == 1
    assert min(proxy.refused_n, proxy.lost_n) > 5
