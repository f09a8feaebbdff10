"""Calls and ends are noted beside the work, each once, whatever happens meanwhile."""

import json
from collections import Counter
from datetime import timedelta

import pytest

from isletnet.errors import StoreUnavailableError
from isletnet.settings import Settings
from isletnet.storage import jobs, leases, records
from isletnet.storage.layout import FileRecord, ImageOutcome, Request
from isletnet.storage.statistics import Event, read_events
from serve.statistics.events import MOST_OF_STRANGERS, MOST_WAITING, EndWatch, EventLog
from serve.upkeep.chores import run_prune
from tests.storage.actors import Clock, dispatcher, draft, ended, submit
from tests.storage.store_contract import MemoryStore


class Moody(MemoryStore):
    """A store that does not answer for a while."""

    is_down = False

    def create(self, key: str, content: bytes) -> None:
        if self.is_down:
            raise StoreUnavailableError("down")
        super().create(key, content)


@pytest.fixture
def store() -> Moody:
    return Moody()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(store: Moody, clock: Clock) -> EventLog:
    return EventLog(store, now=lambda: clock.now, default_network="islet-unet")


def call(clock: Clock, who: str = "ann") -> Event:
    return Event(utc=clock.now, kind="call", who=who, action="GET /api/networks", duration_s=0.01, status=200)


def noted(store: MemoryStore, clock: Clock, kind: str) -> list[Event]:
    since, until = clock.now - timedelta(days=20), clock.now + timedelta(days=1)
    return sorted((one for one in read_events(store, since, until) if one.kind == kind), key=lambda one: one.utc)


def watch(store: MemoryStore) -> EndWatch:
    return EndWatch(store, default_network="islet-unet")


def results(*images: tuple[int, str, int]) -> bytes:
    """What `results.json` says of images: number, network and width of pictures 1000 px high."""
    return json.dumps(
        {
            "images": [
                {
                    "number": number,
                    "record": {
                        "image": {"width_px": width, "height_px": 1000},
                        "provenance": {"network": {"name": network}},
                        "summary": {"warnings": [{"code": "focus_low"}]},
                    },
                }
                for number, network, width in images
            ]
        }
    ).encode()


def finish(store: MemoryStore, clock: Clock, *, content: bytes, failed: bool = False) -> Request:
    """Wait 40 s, work 20 s, and end a request of two images."""
    request = submit(store, clock)
    clock.pass_s(40)
    lease = dispatcher(store, clock).take(now=clock.now)
    assert lease is not None
    clock.pass_s(20)
    file: FileRecord = leases.write_file(store, lease, "results.json", [content])
    second = ImageOutcome(number=1, state="failed", code="image_damaged", message="broken")
    images = [ImageOutcome(number=0, state="done"), second if failed else ImageOutcome(number=1, state="done")]
    leases.finish(store, lease, files=[file], images=images, now=clock.now)
    return request


class TestLog:
    def test_calls_of_a_minute_are_one_object(self, store: Moody, clock: Clock, log: EventLog):
        for _ in range(200):
            log.note(call(clock))
        assert list(store.list_keys("statistics")) == []
        log.flush()
        assert len(list(store.list_keys("statistics"))) == 1
        assert len(noted(store, clock, "call")) == 200

    def test_without_events_nothing_is_written(self, store: Moody, log: EventLog):
        log.flush()
        assert list(store.list_keys()) == []

    def test_strangers_do_not_fill_the_disk(self, store: Moody, clock: Clock, log: EventLog):
        for minute in range(1, 4):
            for _ in range(MOST_OF_STRANGERS + 50):
                log.note(call(clock, ""))
            log.note(call(clock, "ann"))
            store.is_down = True
            with pytest.raises(StoreUnavailableError):
                log.flush()
            log.note(call(clock, ""))
            store.is_down = False
            log.flush()
            clock.pass_s(60)
            assert Counter(event.who for event in noted(store, clock, "call")) == {
                "": minute * MOST_OF_STRANGERS,
                "ann": minute,
            }

    def test_while_the_store_is_down_events_wait(self, store: Moody, clock: Clock, log: EventLog):
        log.note(call(clock, "ann"))
        store.is_down = True
        with pytest.raises(StoreUnavailableError):
            log.flush()
        log.note(call(clock, "bob"))
        store.is_down = False
        log.flush()
        assert [event.who for event in noted(store, clock, "call")] == ["ann", "bob"]

    def test_not_more_wait_than_memory_may_hold(self, store: Moody, clock: Clock, log: EventLog):
        for number in range(MOST_WAITING + 5):
            log.note(call(clock, str(number)))
        log.flush()
        kept = [int(event.who) for event in noted(store, clock, "call")]
        assert (min(kept), max(kept), len(kept)) == (5, MOST_WAITING + 4, MOST_WAITING)

    def test_days_long_past_are_left_to_the_pruner(self, store: Moody, clock: Clock, log: EventLog):
        for _ in range(3):
            log.note(call(clock))
            log.flush()
            clock.pass_s(60)
        clock.pass_days(4)
        before = set(store.list_keys("statistics"))
        log.note(call(clock))
        log.flush()
        assert before < set(store.list_keys("statistics"))
        run_prune(store, Settings(), actor="keeper", now=clock.now, monotonic=clock.monotonic)
        assert before.isdisjoint(store.list_keys("statistics"))
        assert len(noted(store, clock, "call")) == 4

    def test_at_the_end_everything_is_written(self, store: Moody, clock: Clock, log: EventLog):
        log.start()
        log.note(call(clock))
        log.close()
        assert len(noted(store, clock, "call")) == 1

    def test_an_end_that_cannot_write_is_no_error(self, store: Moody, clock: Clock, log: EventLog):
        log.note(call(clock))
        store.is_down = True
        log.close()
        store.is_down = False
        assert noted(store, clock, "call") == []


class TestEnds:
    def test_an_end_tells_what_it_took(self, store: Moody, clock: Clock):
        request = finish(store, clock, content=results((0, "islet-unet", 2500)), failed=True)
        watch(store).look(now=clock.now)
        assert noted(store, clock, "end") == [
            Event(
                utc=clock.now,
                kind="end",
                who="ann",
                action="done",
                duration_s=20.0,
                waiting_s=40.0,
                request_id=request.request_id,
                images={"islet-unet": 2},
                megapixels=2.5,
                failures=("image_damaged",),
                warnings=("focus_low",),
            )
        ]

    def test_networks_are_those_that_answered(self, store: Moody, clock: Clock):
        finish(store, clock, content=results((0, "islet-unet-small", 1000), (1, "islet-unet", 1000)))
        watch(store).look(now=clock.now)
        assert noted(store, clock, "end")[0].images == {"islet-unet-small": 1, "islet-unet": 1}

    @pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"images": [{}]}', b'{"images": 3}', b"\xff"])
    def test_damaged_results_do_not_hide_the_end(self, store: Moody, clock: Clock, content: bytes):
        finish(store, clock, content=content)
        watch(store).look(now=clock.now)
        (event,) = noted(store, clock, "end")
        assert (event.images, event.megapixels) == ({"islet-unet": 2}, 0.0)

    def test_a_dead_request_says_why(self, store: Moody, clock: Clock):
        submit(store, clock)
        lease = dispatcher(store, clock).take(now=clock.now)
        assert lease is not None
        leases.give_up(store, lease, code="image_damaged", message="broken", now=clock.now, final=True)
        watch(store).look(now=clock.now)
        (event,) = noted(store, clock, "end")
        assert (event.action, event.failures) == ("dead", ("image_damaged",))

    def test_a_request_that_was_cancelled_in_the_queue_only_waited(self, store: Moody, clock: Clock):
        request = submit(store, clock)
        clock.pass_s(7)
        jobs.cancel(store, request.request_id, actor="ann", now=clock.now)
        watch(store).look(now=clock.now)
        (event,) = noted(store, clock, "end")
        assert (event.action, event.waiting_s, event.duration_s, event.failures) == ("cancelled", 7.0, 0.0, ())

    def test_the_network_of_an_image_goes_before_that_of_the_request(self, store: Moody, clock: Clock):
        parameters = {"network": "islet-unet-small", "images": {"1": {"network": "other"}}}
        request = records.submit(store, draft(store, clock), now=clock.now, parameters=parameters)
        jobs.cancel(store, request.request_id, actor="ann", now=clock.now)
        watch(store).look(now=clock.now)
        assert noted(store, clock, "end")[0].images == {"islet-unet-small": 1, "other": 1}

    def test_each_end_counts_once_however_many_look(self, store: Moody, clock: Clock):
        first, second = watch(store), watch(store)
        for _ in range(3):
            ended(store, clock)
            clock.pass_s(60)
            first.look(now=clock.now)
            second.look(now=clock.now)
        assert watch(store).look(now=clock.now) == 3
        assert len(noted(store, clock, "end")) == 3

    def test_who_has_looked_does_not_look_again(self, store: Moody, clock: Clock):
        ended(store, clock)
        submit(store, clock)
        mine = watch(store)
        assert [mine.look(now=clock.now) for _ in range(3)] == [1, 0, 0]

    def test_ends_of_long_ago_were_noted_then(self, store: Moody, clock: Clock):
        ended(store, clock)
        clock.pass_days(2)
        assert watch(store).look(now=clock.now) == 0

    def test_one_that_was_damaged_or_deleted_does_not_hide_the_others(self, store: Moody, clock: Clock):
        ended(store, clock, request_id="0" * 32)
        ended(store, clock, request_id="f" * 32)
        store.delete(f"requests/{'0' * 32}/outcome.json")
        store.create(f"requests/{'0' * 32}/outcome.json", b"damaged")
        assert watch(store).look(now=clock.now) == 1

    def test_drafts_are_no_ends(self, store: Moody, clock: Clock):
        request_id = draft(store, clock)
        mine = watch(store)
        assert mine.look(now=clock.now) == 0
        records.submit(store, request_id, now=clock.now)
        jobs.cancel(store, request_id, actor="ann", now=clock.now)
        assert mine.look(now=clock.now) == 1
