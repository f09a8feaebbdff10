"""Mails about ended requests, with a real SMTP server that comes and goes."""

import email.policy
import smtplib
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from email.parser import BytesParser
from unittest.mock import patch

import pytest
from aiosmtpd.controller import Controller

from isletnet.errors import ParameterError
from isletnet.storage import mail, records
from isletnet.storage.leases import give_up
from isletnet.storage.mail import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    LONGEST_SERVER_PAUSE_S,
    TO_ONE_S,
    Postman,
    SmtpSettings,
)
from isletnet.storage.retention import erase
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify
from tests.storage.actors import Clock, dispatcher, ended, submit
from tests.storage.conftest import free_ports
from tests.storage.crash import Crash, CrashStore
from tests.storage.store_contract import MemoryStore

TO = "ann@clinic.example"
BAD_ADDRESSES = (
    *("", "ann", "@clinic.example", "ann@", "ann@clinic.example, bob@x.cz", "Ann <ann@clinic.example>", "a b@c.cz"),
    *("ann@clinic.example\r\nBcc: eve@x.cz", "ann@clinic.example\n", "ann\r@c.cz", "ann@-c.cz", "ann@c..cz"),
    *(".a@c.cz", "a..b@c.cz", "ann@c.cz;eve@x.cz", "änn@c.cz", "a" * 65 + "@c.cz", "a@" + "c" * 64 + ".cz"),
    *("a@" + "c." * 130 + "cz", '"a"@c.cz'),
)


class Mailbox:
    """Keeps what a server receives; ``answers`` are given to the next recipients, then all are welcome."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.answers: list[str] = []

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:  # noqa: N802 - aiosmtpd's name
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802
        parser = BytesParser(EmailMessage, policy=email.policy.default)
        self.messages.append(parser.parsebytes(envelope.content))
        return "250 OK"


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def server(port: int, mailbox: Mailbox) -> Iterator[Controller]:
    """A server that is up."""
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield controller
    controller.stop()


def settings(port: int) -> SmtpSettings:
    return SmtpSettings(
        host="127.0.0.1",
        port=port,
        security="none",
        sender="isletnet@clinic.example",
        link="https://islets.clinic.example/r/{request_id}",
        timeout_s=5,
    )


def postman(store: MemoryStore, clock: Clock, port: int) -> Postman:
    return Postman(store, settings(port), monotonic=clock.monotonic)


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
