"""Requests whose files are drawn when somebody asks, for the tests of crashes."""

from collections.abc import Callable

from isletnet.storage import drawn, leases, retention
from isletnet.storage.layout import REQUESTS, ImageOutcome, request_ids
from isletnet.storage.store import Store
from isletnet.storage.versions import files_of
from tests.storage.actors import Clock, dispatcher, submit

MEASURED = ("images/0/summary.json", "results.json")


def two_measured(store: Store, clock: Clock) -> None:
    """Two requests with the files that others are drawn from; those of the first are drawn."""
    for _ in range(2):
        submit(store, clock)
        lease = dispatcher(store, clock).take(now=clock.now)
        assert lease is not None
        files = [leases.write_file(store, lease, path, [path.encode()]) for path in MEASURED]
        leases.finish(store, lease, files=files, images=[ImageOutcome(number=0, state="done")], now=clock.now)
    draw_all(store, clock, str)


def draw_all(store: Store, clock: Clock, promise: Callable[[str], None]) -> None:
    for request_id in sorted(request_ids(store, REQUESTS)):
        files = files_of(store, request_id, 0)
        for source in MEASURED:
            if drawn.find_drawn(store, files, source) is None:
                names = drawn.DRAWN_FROM[source.rpartition("/")[2]]
                drawn.keep_drawn(store, files, source, {name: [f"{name} of {source}".encode()] for name in names})
            promise(f"{request_id} {source}")


def two_measured_long_ago(store: Store, clock: Clock) -> None:
    two_measured(store, clock)
    retention.check_clock(store, now=clock.now)
    for _ in range(31):
        clock.pass_days(1)
        retention.check_clock(store, now=clock.now)


def one_measured(store: Store, clock: Clock) -> None:
    two_measured(store, clock)
    for request_id in request_ids(store, REQUESTS):
        for key in drawn.keys_beside(key for key, _ in files_of(store, request_id, 0).values()):
            store.delete(key)


def all_is_drawn_once(store: Store, clock: Clock, promised: set[str]) -> None:
    for request_id in request_ids(store, REQUESTS):
        files = files_of(store, request_id, 0)
        for source in MEASURED:
            assert drawn.find_drawn(store, files, source) or f"{request_id} {source}" not in promised
    draw_all(store, clock, str)
    for request_id in request_ids(store, REQUESTS):
        files = files_of(store, request_id, 0)
        for source in MEASURED:
            for path, (key, _) in (drawn.find_drawn(store, files, source) or {}).items():
                assert store.read(key).decode() == f"{path.rpartition('/')[2]} of {source}"
