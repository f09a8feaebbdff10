"""Events: kept as they were noted, read by time, put together when their day is long past."""

from datetime import timedelta

import pytest

from isletnet.errors import StorageError
from isletnet.storage.statistics import Event, append_events, compact, read_events
from isletnet.storage.store import Store
from isletnet.storage.verify import verify
from tests.storage.actors import MORNING, Clock
from tests.storage.store_contract import MemoryStore

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def event(utc=MORNING, who: str = "ann", **values) -> Event:
    return Event(utc=utc, kind="call", who=who, action="POST /api/requests", duration_s=0.25, **values)


def whos(store: Store, since=MORNING - DAY, until=MORNING + 30 * DAY) -> list[str]:
    return sorted(event.who for event in read_events(store, since, until))


def test_events_come_back_as_they_were(store: Store):
    full = event(status=202, call_id="c", request_id="0" * 32, images={"islet-unet": 3}, megapixels=4.5)
    ended = Event(
        utc=MORNING,
        kind="end",
        who="bob",
        action="done",
        duration_s=9.5,
        waiting_s=1.5,
        failures=("image_damaged",),
        warnings=("focus_low", "border"),
    )
    append_events(store, [full, ended], now=MORNING)
    assert list(read_events(store, MORNING, MORNING + HOUR)) == [full, ended]


def test_a_moment_belongs_to_one_period_only(store: Store):
    append_events(store, [event()], now=MORNING)
    assert whos(store, MORNING - HOUR, MORNING) == []
    assert whos(store, MORNING, MORNING + HOUR) == ["ann"]


def test_events_that_were_added_late_are_found(store: Store):
    append_events(store, [event()], now=MORNING + 20 * HOUR)
    assert whos(store, MORNING, MORNING + HOUR) == ["ann"]


def test_a_named_addition_counts_once(store: Store):
    for _ in range(3):
        append_events(store, [event()], now=MORNING, name="0" * 32)
    append_events(store, [event(who="bob")], now=MORNING)
    assert whos(store) == ["ann", "bob"]


def test_days_long_past_are_put_together_and_tell_the_same(store: Store, clock: Clock):
    for hour in range(72):
        append_events(store, [event(MORNING + hour * HOUR, who=f"{hour:02}")], now=MORNING + hour * HOUR)
    before = whos(store)
    assert len(before) == 72
    joined_n = compact(store, now=MORNING + 3 * DAY)
    # Two whole days have settled: 17 hours of the first, 24 of the second.
    assert joined_n == 17 + 24
    assert len(list(store.list_keys("statistics"))) == 72 - 41 + 2
    assert whos(store) == before
    assert compact(store, now=MORNING + 3 * DAY) == 0
    assert verify(store).is_clean


def test_what_comes_after_its_day_was_put_together_stays(store: Store):
    append_events(store, [event(who="ann")], now=MORNING, name="0" * 32)
    compact(store, now=MORNING + 5 * DAY)
    append_events(store, [event(who="bob")], now=MORNING)
    append_events(store, [event(who="ann")], now=MORNING, name="0" * 32)
    for _ in range(2):
        assert whos(store) == ["ann", "bob"]
        compact(store, now=MORNING + 5 * DAY)


@pytest.mark.parametrize("survived_n", range(4))
def test_putting_together_may_be_stopped_anywhere(store: MemoryStore, survived_n: int):
    for number in range(3):
        append_events(store, [event(who=str(number))], now=MORNING)

    class PowerCutError(Exception):
        pass

    class Dying(MemoryStore):
        def __init__(self) -> None:
            self._objects, self._lock, self.steps_n = store._objects, store._lock, 0

        def create(self, key: str, content: bytes) -> None:
            self._step()
            super().create(key, content)

        def delete(self, key: str) -> None:
            self._step()
            super().delete(key)

        def _step(self) -> None:
            if self.steps_n == survived_n:
                raise PowerCutError
            self.steps_n += 1

    with pytest.raises(PowerCutError):
        compact(Dying(), now=MORNING + 5 * DAY)
    assert whos(store) == ["0", "1", "2"]
    compact(store, now=MORNING + 5 * DAY)
    assert whos(store) == ["0", "1", "2"]
    assert len(list(store.list_keys("statistics"))) == 1


def test_other_notes_beside_them_are_let_alone(store: Store):
    store.create("statistics/keeper/last.json", b"{}")
    store.create("statistics/20261124/note.json", b"{}")
    append_events(store, [event()], now=MORNING)
    compact(store, now=MORNING + 5 * DAY)
    assert whos(store) == ["ann"]
    assert store.exists("statistics/keeper/last.json")
    assert store.exists("statistics/20261124/note.json")


def test_damage_is_told(store: Store):
    append_events(store, [event()], now=MORNING)
    (key,) = store.list_keys("statistics")
    store.delete(key)
    store.create(key, b"[{}]")
    with pytest.raises(StorageError, match="damaged"):
        whos(store)
