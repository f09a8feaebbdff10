"""Parts that break: a person hears of it within two looks, and once more when it works again."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from tests.faults.calls import Sender, picture
from tests.faults.conftest import LOOKS_EVERY_S
from tests.faults.live_platform import SMTP_PORT, Platform, wait_for
from tests.faults.table import Table
from tests.faults.test_mail_server_down import Letterbox

pytestmark = pytest.mark.slow

# Two looks at the end of their turns, the looks themselves, and the mail.
LATEST_S = 2 * LOOKS_EVERY_S + 4.0


class Operator:
    """Somebody who is told, by a mail server that can be away."""

    def __init__(self) -> None:
        self.letterbox = Letterbox()
        self._server: Controller | None = None

    def open(self) -> None:
        """Let mails in."""
        self._server = Controller(self.letterbox, hostname="127.0.0.1", port=SMTP_PORT)
        self._server.start()

    def close(self) -> None:
        """Let no mails in."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def heard(self) -> list[str]:
        """Read the news of all mails, in the order in which they came."""
        texts = [str(mail.get_payload()).replace("\r\n", "\n") for mail in self.letterbox.mails]
        return [line for text in texts for line in text.split("\n\n")[0].split("\n")]


@pytest.fixture
def operator() -> Iterator[Operator]:
    """Comes before the platform, which would tell of an absent mail server."""
    operator = Operator()
    operator.open()
    yield operator
    operator.close()


@contextmanager
def damaged(weights: Path) -> Iterator[None]:
    """Change a byte of a network."""
    whole = weights.read_bytes()
    weights.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    try:
        yield
    finally:
        weights.write_bytes(whole)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Leave little of a disk."""
    ballast = disk / "ballast"
    free_bytes = shutil.disk_usage(disk).free
    ballast.write_bytes(bytes(int(free_bytes * 0.98)))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def stuck(platform: Platform, sender: Sender) -> Iterator[None]:
    """Let requests wait, and nobody work on them."""
    (shepherd,) = platform.processes("shepherd")
    os.kill(shepherd.pid, signal.SIGSTOP)
    try:
        request_id = sender.submit([picture(1)], key="waits")
        yield
    finally:
        os.kill(shepherd.pid, signal.SIGCONT)
    assert sender.wait(request_id)["state"] == "done"


@contextmanager
def away(operator: Operator) -> Iterator[None]:
    """Take the mail server away for as long as it takes to notice."""
    operator.close()
    time.sleep(LATEST_S)
    operator.open()
    yield


def _others(platform: Platform, pid: int) -> bool:
    return any(process.pid != pid for process in platform.processes("keeper"))


def test_a_person_hears_of_each_break_once_and_of_its_end_once(
    operator: Operator, watched: Platform, watched_disk: Path, watched_network: Path, table: Table
):
    platform, weights = watched, watched_network / "core.weights.h5"
    alerts_s: dict[str, float] = {}
    ends_s: dict[str, float] = {}

    def hears(line: str, *, times: int = 1) -> float:
        begun_s = time.monotonic()
        wait_for(lambda: operator.heard().count(line) == times, longest_s=120, what=f"{line!r} in {operator.heard()}")
        return time.monotonic() - begun_s

    with Sender(platform.url) as sender:
        breaks: list[tuple[str, str, Callable[[], object]]] = [
            ("network", "network_unusable", lambda: damaged(weights)),
            ("queue", "queue_stuck", lambda: stuck(platform, sender)),
            ("mail", "no_answer", lambda: away(operator)),
            ("disk", "disk_full", lambda: filled(watched_disk)),
        ]
        for part, code, broken in breaks:
            with broken():
                alerts_s[part] = hears(f"Broken: {part} ({code})")
            ends_s[part] = hears(f"Works again: {part}")
        first, code, _ = breaks[0]
        with damaged(weights):
            hears(f"Broken: {first} ({code})", times=2)
            killed = platform.kill("keeper")
            wait_for(lambda: _others(platform, killed), longest_s=120, what="a keeper is back")
            time.sleep(3 * LOOKS_EVERY_S)
            platform.kill("keeper")
        # It was mended while nobody looked.
        hears(f"Works again: {first}", times=2)
        # Long enough for news that should not come.
        time.sleep(3 * LOOKS_EVERY_S)
    assert platform.verify().problems == ()
    heard = operator.heard()
    table.add(
        f"network, queue, mail, disk break; the keeper dies twice; a look every {LOOKS_EVERY_S:g} s",
        "told within 2 looks, end told once, no news by a restart",
        f"told after {', '.join(f'{part} {s:.1f}' for part, s in alerts_s.items())} s, ends after "
        f"{', '.join(f'{s:.1f}' for s in ends_s.values())} s; {len(heard)} news",
    )
    told = [line for part, code, _ in breaks for line in (f"Broken: {part} ({code})", f"Works again: {part}")]
    assert heard == [*told, *told[:2]]
    assert max(*alerts_s.values(), *ends_s.values()) <= LATEST_S
    assert {mail["To"] for mail in operator.letterbox.mails} == {"ops@clinic.example"}
