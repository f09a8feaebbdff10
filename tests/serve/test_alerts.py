"""What breaks is told once, what works again is told once, and a bad moment is no news."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from isletnet.errors import StoreUnavailableError
from isletnet.settings import Settings
from isletnet.storage import leases
from isletnet.storage.backends.local import LocalStore
from isletnet.storage.mail import SmtpSettings
from serve.upkeep.alerts import Alarm, Health, alert_mail, judge, looks_of
from tests.storage.actors import Clock, dispatcher, submit

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
    alarm = Alarm({part: lambda part=part: state[part] for part in state}, people)
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

    alarm = Alarm({"mail": mail}, people)
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
    alarm = Alarm({"store": away, "mail": refused}, people)
    alarm.look()
    alarm.look()
    assert people.heard == [({"store": StoreUnavailableError.code, "mail": "no_answer"}, [])]


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
