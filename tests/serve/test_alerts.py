"""What breaks is told once, what works again is told once, and a bad moment is no news."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from isletnet.errors import StoreFullError, StoreUnavailableError
from isletnet.settings import Settings
from isletnet.storage import audit, leases
from isletnet.storage.backends.local import LocalStore
from isletnet.storage.mail import SmtpSettings
from isletnet.storage.store import Store
from isletnet.storage.verify import verify
from serve.upkeep.alerts import ALERTS, Alarm, Health, Look, alert_mail, judge, last_told, looks_of, note_told
from tests.storage.actors import MORNING, Clock, dispatcher, submit
from tests.storage.store_contract import MemoryStore

SMTP = SmtpSettings(host="127.0.0.1", sender="isletnet@clinic.example", link="{request_id}")


class People:
    """Hear what is told, unless nothing reaches them."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], list[str]]] = []
        self.is_reachable = True

    def __call__(self, news: Mapping[str, str], whole: Iterable[str]) -> None:
        if not self.is_reachable:
            raise ConnectionRefusedError
        self.heard.append((dict(news), list(whole)))


def alarm_of(store: Store, looks: Mapping[str, Look], people: People) -> Alarm:
    """Make an alarm, as the keeper does when it starts."""
    return Alarm(store, looks, people, now=lambda: MORNING)


def follow(seen: Iterable[str | None]) -> list[str | None]:
    """Tell as what a part counts after each look."""
    health, counted = Health(), []
    for code in seen:
        health = judge(health, {"disk": code})
        counted.append(health.broken.get("disk"))
    return counted


def test_two_looks_in_a_row_count():
    assert follow(["full", "full", "full", None, None]) == [None, "full", "full", "full", None]


def test_a_part_that_comes_and_goes_is_no_news():
    assert follow(["full", None] * 5) == [None] * 10
    assert follow(["full", "full", *([None, "full"] * 5)]) == [None] + ["full"] * 11


def test_what_gets_worse_counts_anew():
    assert follow(["low", "low", "full", "full"]) == [None, "low", "low", "full"]


def test_a_stuck_queue_was_looked_at_twice_already():
    assert follow(["queue_stuck", None, None]) == ["queue_stuck", "queue_stuck", None]


def test_each_change_is_told_once():
    state: dict[str, str | None] = {"network": None, "disk": None}
    people = People()
    alarm = alarm_of(MemoryStore(), {part: lambda part=part: state[part] for part in state}, people)
    for network, disk in [(None, None), ("bad", None), ("bad", "full"), ("bad", "full"), (None, "full"), (None, None)]:
        state.update(network=network, disk=disk)
        alarm.look()
    for _ in range(4):
        alarm.look()
    assert people.heard == [
        ({"network": "bad"}, []),
        ({"disk": "full"}, []),
        ({}, ["network"]),
        ({}, ["disk"]),
    ]


def test_what_could_not_be_told_is_told_later():
    people = People()

    def mail() -> str | None:
        return None if people.is_reachable else "no_answer"

    alarm = alarm_of(MemoryStore(), {"mail": mail}, people)
    people.is_reachable = False
    for _ in range(5):
        alarm.look()
    assert alarm.health.broken == {"mail": "no_answer"}
    people.is_reachable = True
    for _ in range(5):
        alarm.look()
    assert people.heard == [({"mail": "no_answer"}, []), ({}, ["mail"])]


def test_errors_of_a_look_are_its_answer():
    def away() -> str | None:
        raise StoreUnavailableError("away")

    def refused() -> str | None:
        raise ConnectionRefusedError

    people = People()
    alarm = alarm_of(MemoryStore(), {"store": away, "mail": refused}, people)
    alarm.look()
    alarm.look()
    assert people.heard == [({"store": StoreUnavailableError.code, "mail": "no_answer"}, [])]


class Restarts:
    """A keeper that is restarted before each row of looks; ``codes`` are what they see of one part."""

    def __init__(self, store: Store) -> None:
        self.store, self.people = store, People()
        self.heard_n = 0

    def live(self, *codes: str | None) -> list[tuple[dict[str, str], list[str]]]:
        """Start, look once for each code, and be killed; returns what was told meanwhile."""
        seen = iter(codes)
        alarm = alarm_of(self.store, {"disk": lambda: next(seen)}, self.people)
        for _ in codes:
            alarm.look()
        told, self.heard_n = self.people.heard[self.heard_n :], len(self.people.heard)
        return told


FULL, WHOLE = ({"disk": "full"}, []), ({}, ["disk"])


def test_a_restart_tells_nothing_again_and_an_end_meanwhile_once(store: LocalStore):
    keeper = Restarts(store)
    assert keeper.live("full", "full", "full") == [FULL]
    assert [keeper.live("full", "full", "full") for _ in range(3)] == [[], [], []]
    assert keeper.live(None, "full", None) == []
    assert keeper.live(None, None, None) == [WHOLE]
    assert keeper.live(None, None, None) == []
    assert keeper.live("full", "full") == [FULL]
    assert keeper.live("low", "low") == [({"disk": "low"}, [])]
    assert len(list(store.list_keys(ALERTS))) == 1
    assert verify(store).problems == ()


def test_a_restart_shows_at_once_what_is_broken(store: LocalStore):
    Restarts(store).live("full", "full")
    assert alarm_of(store, {"disk": lambda: "full"}, People()).health.broken == {"disk": "full"}
    assert alarm_of(store, {"queue": lambda: None}, People()).health.broken == {}


def test_what_the_store_did_not_take_is_noted_when_it_is_back():
    class Sometimes(MemoryStore):
        is_full = False

        def create(self, key: str, content: bytes) -> None:
            if self.is_full:
                raise StoreFullError("full")
            super().create(key, content)

    store, people = Sometimes(), People()
    alarm = alarm_of(store, {"disk": lambda: "full"}, people)
    store.is_full = True
    for _ in range(3):
        alarm.look()
    assert people.heard == [FULL]
    store.is_full = False
    alarm.look()
    assert (people.heard, last_told(store)) == ([FULL], {"disk": "full"})


def test_a_note_that_is_damaged_says_nothing_and_is_replaced(store: LocalStore):
    store.create(f"{ALERTS}/000000000007.json", b"{")
    assert Restarts(store).live("full", "full") == [FULL]
    assert list(store.list_keys(ALERTS)) == [f"{ALERTS}/000000000008.json"]
    assert last_told(store) == {"disk": "full"}


def test_of_two_notes_the_later_counts_whatever_the_clock_says(store: LocalStore):
    note_told(store, {"disk": "full"}, now=MORNING)
    before = store.read(f"{ALERTS}/000000000001.json")
    note_told(store, {}, now=MORNING - timedelta(days=1))
    # Whoever noted it was killed before it removed the first.
    store.create(f"{ALERTS}/000000000001.json", before)
    assert last_told(store) == {}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def test_a_queue_is_stuck_while_nobody_works(store: LocalStore):
    clock = Clock()
    queue = looks_of(store, Settings(), disk_state=lambda: "ok", monotonic=clock.monotonic)["queue"]
    assert [queue(), queue()] == [None, None]
    submit(store, clock)
    assert [queue(), queue(), queue()] == [None, "queue_stuck", "queue_stuck"]
    lease = dispatcher(store, clock).take(now=clock.now)
    assert lease is not None
    for _ in range(3):
        lease = leases.beat(store, lease, now=clock.now)
        assert queue() is None
    assert queue() == "queue_stuck"


def test_an_audit_that_was_edited_is_told(store: LocalStore):
    clock = Clock()
    looks = looks_of(store, Settings(), disk_state=lambda: "ok", monotonic=clock.monotonic)
    for number in range(3):
        audit.append(store, kind="key-added", actor="root", now=clock.now, subject=str(number))
    assert looks["audit"]() is None
    second = audit.entry_key(2)
    edited = store.read(second).replace(b"root", b"toor")
    store.delete(second)
    store.create(second, edited)
    people = People()
    alarm = alarm_of(store, {"audit": looks["audit"]}, people)
    for _ in range(3):
        alarm.look()
    assert people.heard == [({"audit": "audit_changed"}, [])]


def test_a_long_audit_is_read_less_often(store: LocalStore):
    clock, reads_n = Clock(), 0

    class Slow(MemoryStore):
        def read(self, key: str, *, start: int = 0, stop: int | None = None) -> bytes:
            nonlocal reads_n
            reads_n += 1
            clock.pass_s(10)
            return super().read(key, start=start, stop=stop)

    slow = Slow()
    audit.append(slow, kind="key-added", actor="root", now=clock.now)
    chain = looks_of(slow, Settings(), disk_state=lambda: "ok", monotonic=clock.monotonic)["audit"]
    begun_s, reads_n = clock.monotonic_s, 0
    while clock.monotonic_s - begun_s < 2000:
        assert chain() is None
        clock.pass_s(1)
    assert 3 <= reads_n / 2 <= 2000 / (20 * 20)


def test_all_parts_are_looked_at(store: LocalStore):
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = Settings(smtp_host="127.0.0.1", smtp_port=server.getsockname()[1], network="islet-unet-small")
        looks = looks_of(store, settings, disk_state=lambda: "full", monotonic=Clock().monotonic)
        assert {part: look() for part, look in looks.items()} == {
            "store": None,
            "disk": "disk_full",
            "network": None,
            "queue": None,
            "mail": None,
            "audit": None,
        }
    with pytest.raises(ConnectionRefusedError):
        looks["mail"]()


def test_a_mail_says_what_changed_and_where_to_look():
    now = Clock().now
    page = "http://127.0.0.1:8080/status"
    mail = alert_mail({"disk": "disk_full"}, ["queue"], smtp=SMTP, to="ops@clinic.example", page=page, now=now)
    assert (mail["To"], mail["Subject"]) == ("ops@clinic.example", "isletnet: something is broken")
    assert mail.get_content() == f"Broken: disk (disk_full)\nWorks again: queue\n\n{page}\n"
    again = alert_mail({}, ["disk"], smtp=SMTP, to="ops@clinic.example", page=page, now=now)
    assert again["Subject"] == "isletnet: it works again"
