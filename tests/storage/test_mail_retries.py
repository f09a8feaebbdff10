"""Mails that nobody takes: when they are tried again, and which of them."""

import smtplib
from email.message import EmailMessage
from unittest.mock import patch

import pytest
from aiosmtpd.controller import Controller

from isletnet.storage import mail
from isletnet.storage.mail import LONGEST_PAUSE_S, LONGEST_SERVER_PAUSE_S, Postman, SmtpSettings
from tests.storage.actors import Clock, ended
from tests.storage.letterbox import TO, Mailbox, mailbox, port, postman
from tests.storage.store_contract import MemoryStore

__all__ = ["mailbox", "port"]

LOOK_S = 5.0


def tries_of(sender: Postman, clock: Clock, error: Exception, looks_n: int) -> list[list[str]]:
    """Look every `LOOK_S`; the requests whose mails were tried at each look."""
    tries = []
    with patch.object(mail, "send", side_effect=error) as send:
        for _ in range(looks_n):
            before = send.call_count
            assert sender.deliver(now=clock.now) == 0
            tries.append([call.args[0]["Message-ID"][1:33] for call in send.call_args_list[before:]])
            clock.pass_s(LOOK_S)
    return tries


def pauses_of(tries: list[list[str]]) -> list[float]:
    """Tell the seconds between looks at which anything was tried."""
    moments_s = [number * LOOK_S for number, tried in enumerate(tries) if tried]
    return [later - earlier for earlier, later in zip(moments_s, moments_s[1:], strict=False)]


def test_a_mail_that_is_not_taken_is_tried_again_with_longer_pauses(store: MemoryStore, clock: Clock, port: int):
    ended(store, clock, mail_to=TO)
    pauses = pauses_of(tries_of(postman(store, clock, port), clock, smtplib.SMTPDataError(451, b"not now"), 2400))
    assert pauses[:6] == [30, 60, 120, 240, 480, 960]
    assert set(pauses[6:]) == {LONGEST_PAUSE_S}
    assert len(list(store.list_keys("outbox"))) == 1


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), smtplib.SMTPServerDisconnected("gone")])
def test_a_server_that_is_away_is_asked_soon_then_once_a_minute_and_with_each_mail_in_turn(
    store: MemoryStore, clock: Clock, port: int, error: Exception
):
    ids = [ended(store, clock, mail_to=TO).request_id for _ in range(3)]
    tries = tries_of(postman(store, clock, port), clock, error, 200)
    pauses = pauses_of(tries)
    assert pauses[:4] == [5, 10, 20, 40]
    assert set(pauses[4:]) == {LONGEST_SERVER_PAUSE_S}
    assert {len(tried) for tried in tries} == {0, 1}
    asked = [tried[0] for tried in tries if tried]
    assert set(asked[:3]) == set(asked[3:6]) == set(ids)
    assert len(list(store.list_keys("outbox"))) == 3


def test_a_mail_at_which_the_server_breaks_off_holds_up_no_other(store: MemoryStore, clock: Clock, port: int):
    ids = [ended(store, clock, mail_to=TO).request_id for _ in range(3)]
    poison, sent = min(ids), []

    def send(message: EmailMessage, _: SmtpSettings) -> None:
        if poison in str(message["Message-ID"]):
            raise smtplib.SMTPServerDisconnected("gone")
        sent.append(str(message["Message-ID"]))

    sender = postman(store, clock, port)
    with patch.object(mail, "send", side_effect=send):
        sender.deliver(now=clock.now)
        clock.pass_s(LONGEST_SERVER_PAUSE_S)
        sender.deliver(now=clock.now)
    assert len(set(sent)) == len(sent) == 2
    assert len(list(store.list_keys("outbox"))) == 1


def test_a_server_that_has_taken_a_mail_is_asked_soon_again_when_it_is_away(
    store: MemoryStore, clock: Clock, port: int
):
    sender = postman(store, clock, port)
    ended(store, clock, mail_to=TO)
    tries_of(sender, clock, ConnectionRefusedError(), 40)
    clock.pass_s(LONGEST_SERVER_PAUSE_S)
    with patch.object(mail, "send"):
        assert sender.deliver(now=clock.now) == 1
    ended(store, clock, mail_to=TO)
    assert pauses_of(tries_of(sender, clock, ConnectionRefusedError(), 40))[:2] == [5, 10]


def test_after_ten_minutes_without_a_server_everything_arrives(
    store: MemoryStore, clock: Clock, port: int, mailbox: Mailbox
):
    requests = [ended(store, clock, mail_to=TO) for _ in range(5)]
    sender = postman(store, clock, port)
    for _ in range(10):
        assert sender.deliver(now=clock.now) == 0
        clock.pass_s(60)
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        # The last try was a minute ago.
        assert sender.deliver(now=clock.now) == 5
    finally:
        controller.stop()
    assert {m["Message-ID"] for m in mailbox.messages} == {f"<{r.request_id}.done@isletnet>" for r in requests}
