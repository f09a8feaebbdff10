"""A mail server that is away, and a death while mails go out: every mail comes, at most once more than once."""

import time
from collections import Counter
from email.message import Message
from email.parser import BytesParser
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from tests.faults.calls import PARAMETERS, Sender, picture
from tests.faults.conftest import Sizes
from tests.faults.live_platform import SMTP_PORT, Platform, wait_for
from tests.faults.table import Table

pytestmark = pytest.mark.slow

REQUESTS_N = 8
LATEST_S = 150.0


class Letterbox:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(BytesParser().parsebytes(envelope.content))
        return "250 OK"


def test_mails_outlast_the_server_s_absence_and_a_death(platform: Platform, sender: Sender, sizes: Sizes, table: Table):
    parameters = {**PARAMETERS, "mail_to": "ann@clinic.example"}
    label = f"mail {time.time_ns()}"
    requests = [
        sender.submit([picture(1)], key=f"{label} {number}", parameters=parameters) for number in range(REQUESTS_N)
    ]
    for request_id in requests:
        assert sender.wait(request_id)["state"] == "done"
    time.sleep(sizes.outage_s)
    letterbox = Letterbox()
    server = Controller(letterbox, hostname="127.0.0.1", port=SMTP_PORT)
    server.start()
    try:
        begun_s = time.monotonic()
        wait_for(lambda: letterbox.mails, longest_s=LATEST_S, what="the first mail")
        platform.kill("keeper")
        ids = [f"<{request_id}.done@isletnet>" for request_id in requests]
        wait_for(lambda: set(ids) <= _message_ids(letterbox).keys(), longest_s=LATEST_S, what="all mails")
        seconds = time.monotonic() - begun_s
    finally:
        server.stop()
    counted = _message_ids(letterbox)
    twice_n = sum(n - 1 for n in counted.values())
    table.add(
        f"mail server away {sizes.outage_s:g} s, one death",
        "every mail, <= 1 twice a death",
        f"{len(counted.keys() & set(ids))} of {REQUESTS_N} mails {seconds:.0f} s after it was back, {twice_n} twice",
    )
    assert twice_n <= 1
    for mail in letterbox.mails:
        assert mail["To"] == "ann@clinic.example"
        assert "picture" not in mail.as_string()


def _message_ids(letterbox: Letterbox) -> Counter[str]:
    return Counter(str(mail["Message-ID"]) for mail in letterbox.mails)
