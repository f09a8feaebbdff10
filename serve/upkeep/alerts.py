"""Tells a person by mail when a part of the service breaks, and when it works again.

A part counts as broken, or as whole again, after several looks in a row, so that a bad moment is no news. The mails go
straight to the server and not through the store, which may be what is broken. Where the server itself is away, they go
out when it is back. What was told is noted in the store as soon as it takes it, so that a restart is no news.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING

from isletnet.errors import IsletnetError, StorageError
from isletnet.storage.audit import broken_links
from isletnet.storage.layout import OPEN, STATISTICS, Aside, dump, load, request_key
from isletnet.storage.mail import SmtpSettings, check_address
from isletnet.storage.mail import send as send_mail
from isletnet.storage.store import Store
from serve.upkeep.looks import LOOKED_AT_N, network_is_right, store_answers

if TYPE_CHECKING:
    from isletnet.settings import Settings

LOOKS_N = 2
# Beside the days of the statistics, which pass over it; the highest number counts.
ALERTS = f"{STATISTICS}/alerts"
STUCK, FORGED = "queue_stuck", "audit_changed"
# Reading the whole audit rests at least so many times as long as it took.
_REST_FACTOR = 20.0
_SMTP_ANSWER_S = 10.0
_LOG = logging.getLogger("isletnet.serve.alerts")

Look = Callable[[], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Which parts are broken and why, by their names; and for how many looks in a row a part has looked otherwise."""

    broken: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What somebody has been told is broken, with codes, and since when that stands."""

    utc: datetime
    broken: Mapping[str, str] = field(default_factory=dict)


def judge(before: Health, seen: Mapping[str, str | None]) -> Health:
    """Take a look into account.

    Parameters
    ----------
    seen
        For each part why it is broken, a code; None where it is whole.
    """
    broken, doubts = dict(before.broken), {}
    for part, code in seen.items():
        if code == before.broken.get(part):
            continue
        doubts[part] = before.doubts.get(part, 0) + 1
        # It takes two looks to see that a queue is stuck.
        if doubts[part] < LOOKS_N and code != STUCK:
            continue
        del doubts[part]
        if code is None:
            del broken[part]
        else:
            broken[part] = code
    return Health(broken=broken, doubts=doubts)


class Alarm:
    """Looks at all parts when asked, and tells what has changed since somebody was told; one at work.

    Parameters
    ----------
    store
        Where it is noted what was told, also by an alarm before this one.
    looks
        By the name of a part: gives a code where it is broken, None where it is whole.
    tell
        Tells somebody what has broken, with codes, and what is whole again. Where it raises ``OSError``, it is asked
        again at the next look.
    now
        The time of day.
    """

    def __init__(
        self,
        store: Store,
        looks: Mapping[str, Look],
        tell: Callable[[Mapping[str, str], Iterable[str]], None],
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._now = store, now
        self._looks = dict(looks)
        self._tell = tell
        # A part that nobody looks at any more would stay broken for ever.
        self._told = {part: code for part, code in last_told(store).items() if part in self._looks}
        self._noted = self._told
        self.health = Health(broken=self._told)

    def look(self) -> None:
        """Look once."""
        self.health = judge(self.health, {part: _code(look) for part, look in self._looks.items()})
        broken = self.health.broken
        news = {part: code for part, code in broken.items() if self._told.get(part) != code}
        whole = sorted(self._told.keys() - broken.keys())
        if news or whole:
            try:
                self._tell(news, whole)
            except OSError as error:
                _LOG.error("a mail about %s did not go out: %s", ", ".join([*news, *whole]), type(error).__name__)
            else:
                self._told = dict(broken)
        self._note()

    def _note(self) -> None:
        if self._noted == self._told:
            return
        try:
            note_told(self._store, self._told, now=self._now())
        except StorageError as error:
            _LOG.warning("what was told is not noted yet: %s", error.code)
        else:
            self._noted = self._told


def last_told(store: Store) -> Mapping[str, str]:
    """Read what somebody was told last is broken; what is damaged says nothing."""
    broken: Mapping[str, str] = {}
    with Aside()():
        for key in list(store.list_keys(ALERTS))[-1:]:
            broken = load(store, key, Told).broken
    return broken


def note_told(store: Store, broken: Mapping[str, str], *, now: datetime) -> None:
    """Note what somebody was told is broken, in place of what was noted before."""
    before = list(store.list_keys(ALERTS))
    number = 1 + max((int(key.rpartition("/")[2].removesuffix(".json")) for key in before), default=0)
    store.create(f"{ALERTS}/{number:012d}.json", dump(Told(utc=now, broken=broken)))
    for key in before:
        store.delete(key)


def looks_of(
    store: Store, settings: Settings, *, disk_state: Callable[[], str], monotonic: Callable[[], float]
) -> dict[str, Look]:
    """Choose what is looked at.

    Parameters
    ----------
    disk_state
        Tells how full the disk of the store is: ok, or a word for how bad it is.
    monotonic
        A clock in seconds that never goes back.
    """

    def disk() -> str | None:
        state = disk_state()
        return None if state == "ok" else f"disk_{state}"

    def mail() -> str | None:
        with socket.create_connection((settings.smtp_host, settings.smtp_port), _SMTP_ANSWER_S):
            return None

    def answers() -> str | None:
        return None if store_answers(store, monotonic=monotonic)["is_writable"] else "storage_full"

    def network() -> str | None:
        network_is_right(settings.network)
        return None

    return {
        "store": answers,
        "disk": disk,
        "network": network,
        "queue": Queue(store).look,
        "mail": mail,
        "audit": Chain(store, monotonic=monotonic).look,
    }


class Queue:
    """Sees whether anybody works while requests wait: who works says so in the store every few seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._before: frozenset[str] = frozenset()

    def look(self) -> str | None:
        """Compare with the last look; give a code where nothing has moved since."""
        entries = list(self._store.list_keys(OPEN))
        found = set(entries)
        for entry in entries[:LOOKED_AT_N]:
            found.update(self._store.list_keys(request_key(entry.rpartition("/")[2].partition("-")[2], "attempts")))
        is_stuck = bool(found) and found == self._before
        self._before = frozenset(found)
        return STUCK if is_stuck else None


class Chain:
    """Sees whether somebody changed what the audit tells; a long one is read less often than it is asked for."""

    def __init__(self, store: Store, *, monotonic: Callable[[], float]) -> None:
        self._store, self._monotonic = store, monotonic
        self._code: str | None = None
        self._due_s = monotonic()

    def look(self) -> str | None:
        """Read the chain, if it is time; give a code where it is broken."""
        begun_s = self._monotonic()
        if begun_s >= self._due_s:
            is_whole = next(broken_links(self._store), None) is None
            self._code = None if is_whole else FORGED
            ended_s = self._monotonic()
            self._due_s = ended_s + _REST_FACTOR * (ended_s - begun_s)
        return self._code


def alert_mail(
    news: Mapping[str, str], whole: Iterable[str], *, smtp: SmtpSettings, to: str, page: str, now: datetime
) -> EmailMessage:
    """Write a mail about what has changed.

    Parameters
    ----------
    news
        What has broken, by the names of the parts, with codes.
    whole
        The parts that work again.
    page
        Address where all can be seen.
    """
    message = EmailMessage()
    message["From"], message["To"] = check_address(smtp.sender), check_address(to)
    message["Subject"] = "isletnet: something is broken" if news else "isletnet: it works again"
    message["Date"] = format_datetime(now)
    message["Auto-Submitted"] = "auto-generated"
    lines = [f"Broken: {part} ({code})" for part, code in news.items()] + [f"Works again: {part}" for part in whole]
    message.set_content("\n".join([*lines, "", page, ""]))
    return message


def teller(smtp: SmtpSettings, *, to: str, page: str, now: Callable[[], datetime]) -> Callable[..., None]:
    """Make what tells an address by mail; see `Alarm`."""

    def tell(news: Mapping[str, str], whole: Iterable[str]) -> None:
        send_mail(alert_mail(news, whole, smtp=smtp, to=to, page=page, now=now()), smtp)

    return tell


def _code(look: Look) -> str | None:
    try:
        return look()
    except IsletnetError as error:
        return error.code
    except OSError:
        return "no_answer"
