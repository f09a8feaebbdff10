"""Mails about ended requests, with a real SMTP server that comes and goes."""

from dataclasses import replace
from unittest.mock import patch

import pytest
from aiosmtpd.controller import Controller

from isletnet.errors import ParameterError
from isletnet.storage import mail, records
from isletnet.storage.leases import give_up
from isletnet.storage.mail import FIRST_PAUSE_S, TO_ONE_S, Postman, SmtpSettings
from isletnet.storage.retention import erase
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import Clock, dispatcher, ended, submit
from tests.storage.crash import Crash, CrashStore
from tests.storage.letterbox import TO, Mailbox, mailbox, port, postman, server, settings
from tests.storage.store_contract import MemoryStore

__all__ = ["mailbox", "port", "server"]

BAD_ADDRESSES = (
    *("", "ann", "@clinic.example", "ann@", "ann@clinic.example, bob@x.cz", "Ann <ann@clinic.example>", "a b@c.cz"),
    *("ann@clinic.example\r\nBcc: eve@x.cz", "ann@clinic.example\n", "ann\r@c.cz", "ann@-c.cz", "ann@c..cz"),
    *(".a@c.cz", "a..b@c.cz", "ann@c.cz;eve@x.cz", "änn@c.cz", "a" * 65 + "@c.cz", "a@" + "c" * 64 + ".cz"),
    *("a@" + "c." * 130 + "cz", '"a"@c.cz'),
)


@pytest.mark.parametrize("address", ["ann@clinic.example", "a.b+c@x.y-z.cz", "o'neil@localhost", "a" * 64 + "@c.cz"])
def test_plain_addresses_pass(address: str):
    assert mail.check_address(address) == address


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_anything_but_one_plain_address_is_refused(address: str):
    with pytest.raises(ParameterError, match="one mail address"):
        mail.check_address(address)


@pytest.mark.usefixtures("server")
def test_a_result_is_announced_once_with_a_link_and_nothing_else(
    store: MemoryStore, clock: Clock, port: int, mailbox: Mailbox
):
    request = ended(store, clock, mail_to=TO)
    sender = postman(store, clock, port)
    assert sender.deliver(now=clock.now) == 1
    assert sender.deliver(now=clock.now) == 0
    (message,) = mailbox.messages
    assert (message["To"], message["From"]) == (TO, "isletnet@clinic.example")
    assert message["Message-ID"] == f"<{request.request_id}.done@isletnet>"
    assert message["Subject"] == "isletnet: your results are ready"
    assert f"https://islets.clinic.example/r/{request.request_id}" in message.get_content()
    assert not message.is_multipart()
    assert "islets 0.tif" not in message.as_string()
    assert list(store.list_keys("outbox")) == []
    sweep(store, now=clock.now)
    assert verify(store).is_clean


@pytest.mark.usefixtures("server")
def test_a_failure_is_told_with_its_reason(store: MemoryStore, clock: Clock, port: int, mailbox: Mailbox):
    request = submit(store, clock, mail_to=TO)
    lease = dispatcher(store, clock).take(now=clock.now)
    reason = "The file is cut short.\r\nBcc: eve@x.cz"
    give_up(store, lease, code="image_damaged", message=reason, now=clock.now, final=True)
    assert postman(store, clock, port).deliver(now=clock.now) == 1
    (message,) = mailbox.messages
    assert message["Bcc"] is None
    assert "The file is cut short." in message.get_content()
    assert message["Message-ID"] == f"<{request.request_id}.dead@isletnet>"


@pytest.mark.usefixtures("server")
def test_nobody_who_did_not_ask_gets_mail(store: MemoryStore, clock: Clock, port: int, mailbox: Mailbox):
    ended(store, clock)
    assert postman(store, clock, port).deliver(now=clock.now) == 0
    assert mailbox.messages == []


@pytest.mark.usefixtures("server")
def test_death_between_sending_and_noting_doubles_one_mail_with_one_message_id(
    store: MemoryStore, clock: Clock, port: int, mailbox: Mailbox
):
    doubled = 0
    for at in range(1, 12):
        ended(store, clock, mail_to=TO)
        before = len(mailbox.messages)
        dying = Postman(CrashStore(store, at, "before"), settings(port), monotonic=clock.monotonic)
        try:
            dying.deliver(now=clock.now)
        except Crash:
            pass
        postman(store, clock, port).deliver(now=clock.now)
        arrived = mailbox.messages[before:]
        assert len(arrived) in (1, 2)
        assert len({message["Message-ID"] for message in arrived}) == 1
        doubled += len(arrived) - 1
    assert doubled > 0
    assert list(store.list_keys("outbox")) == []


@pytest.mark.usefixtures("server")
def test_a_refusal_for_good_is_noted_and_one_for_now_is_not(
    store: MemoryStore, clock: Clock, port: int, mailbox: Mailbox
):
    request = ended(store, clock, mail_to=TO)
    sender = postman(store, clock, port)
    mailbox.answers = ["450 try later", "550 no such user"]
    assert sender.deliver(now=clock.now) == 0
    assert len(list(store.list_keys("outbox"))) == 1
    clock.pass_s(FIRST_PAUSE_S)
    assert sender.deliver(now=clock.now) == 0
    assert list(store.list_keys("outbox")) == []
    mark = mail.load(store, f"requests/{request.request_id}/mailed.json", mail.Mailed)
    assert mark.refused == 550
    assert mailbox.messages == []


@pytest.mark.usefixtures("server")
def test_one_bad_address_does_not_stop_the_next_mail(store: MemoryStore, clock: Clock, port: int, mailbox: Mailbox):
    ended(store, clock, mail_to="a@b.cz\r\nBcc: eve@x.cz")
    ended(store, clock, mail_to=TO)
    assert postman(store, clock, port).deliver(now=clock.now) == 1
    assert [message["To"] for message in mailbox.messages] == [TO]
    assert list(store.list_keys("outbox")) == []


def test_no_mailbox_is_flooded_and_every_mail_comes_in_the_end(store: MemoryStore, clock: Clock):
    for _ in range(mail.MOST_TO_ONE + 3):
        ended(store, clock, mail_to=TO)
    ended(store, clock, mail_to="bob@clinic.example")
    sender = postman(store, clock, 1)
    with patch.object(mail, "send") as send:
        assert sender.deliver(now=clock.now) == mail.MOST_TO_ONE + 1
        clock.pass_s(TO_ONE_S / 2)
        assert sender.deliver(now=clock.now) == 0
        clock.pass_s(TO_ONE_S / 2)
        assert sender.deliver(now=clock.now) == 3
    assert [call.args[0]["To"] for call in send.call_args_list].count("bob@clinic.example") == 1
    assert list(store.list_keys("outbox")) == []


@pytest.mark.usefixtures("server")
def test_an_erased_request_leaves_no_mail_and_no_mark(store: MemoryStore, clock: Clock, port: int, mailbox: Mailbox):
    request = ended(store, clock, mail_to=TO)
    stale = store.read(mail.outbox_key(request.request_id))
    erase(store, request.request_id, admin="Dr. Who", now=clock.now)
    assert postman(store, clock, port).deliver(now=clock.now) == 0
    store.create(mail.outbox_key(request.request_id), stale)
    sweep(store, now=clock.now)
    assert list(store.list_keys("outbox")) == []
    assert mailbox.messages == []


def test_an_end_that_is_wrapped_up_again_sends_no_second_mail(store: MemoryStore, clock: Clock):
    request = ended(store, clock, mail_to=TO)
    outcome = records.load_outcome(store, request.request_id)
    with patch.object(mail, "send") as send:
        sender = Postman(store, settings(1), monotonic=clock.monotonic)
        for _ in range(3):
            mail.queue(store, request, outcome)
            sender.deliver(now=clock.now)
    assert send.call_count == 1


def test_a_server_without_tls_gets_nothing_where_tls_is_wanted(
    store: MemoryStore, clock: Clock, server: Controller, port: int, mailbox: Mailbox
):
    ended(store, clock, mail_to=TO)
    with_tls = SmtpSettings(
        host="127.0.0.1", port=port, sender="isletnet@clinic.example", link="https://x/{request_id}", timeout_s=2
    )
    assert Postman(store, with_tls, monotonic=clock.monotonic).deliver(now=clock.now) == 0
    assert mailbox.messages == []


def test_a_link_may_hold_other_braces(store: MemoryStore, clock: Clock):
    request = ended(store, clock, mail_to=TO)
    linked = replace(settings(1), link="https://islets.clinic.example/{lab}?r={request_id}#{}")
    with patch.object(mail, "send") as send:
        assert Postman(store, linked, monotonic=clock.monotonic).deliver(now=clock.now) == 1
    assert f"https://islets.clinic.example/{{lab}}?r={request.request_id}#{{}}" in send.call_args.args[0].get_content()


def test_a_password_is_not_shown():
    assert "hush" not in repr(SmtpSettings(host="h", sender="s", link="l", password="hush"))
