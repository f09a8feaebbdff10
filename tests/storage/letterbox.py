"""A mail server for tests, its mailbox, and who sends to it."""

import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from aiosmtpd.controller import Controller

from isletnet.storage.mail import Postman, SmtpSettings
from tests.storage.actors import Clock
from tests.storage.conftest import free_ports
from tests.storage.store_contract import MemoryStore

TO = "ann@clinic.example"


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
