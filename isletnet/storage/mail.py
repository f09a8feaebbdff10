"""Mails about ended requests: an outbox that survives everything, and the sending of what is in it.

A mail may come twice if the sender dies between sending and noting it; both then have the same Message-ID.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal

from isletnet.errors import AlreadyStoredError, NotStoredError, ParameterError
from isletnet.storage.layout import OUTBOX, Aside, EndState, Outcome, Request, dump, load, request_key
from isletnet.storage.store import Store

# Of a mail that the server would not take, and of a server that is away; each is twice the one before. Who waits for a
# mail waits no longer after the server is back than needs be, and one that is started anew is back in seconds.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 1800.0
FIRST_SERVER_PAUSE_S, LONGEST_SERVER_PAUSE_S = 5.0, 60.0
# Nobody's mailbox is flooded, for whoever submits may name any address: so many to one in an hour, the rest later.
MOST_TO_ONE, TO_ONE_S = 60, 3600.0

_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_LONGEST_ADDRESS, _LONGEST_LOCAL_PART = 254, 64
_SUBJECTS: dict[EndState, str] = {
    "done": "isletnet: your results are ready",
    "dead": "isletnet: your request could not be done",
    "cancelled": "isletnet: your request was cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail that is due."""

    request_id: str
    to: str
    state: EndState
    reason: str | None
    message_id: str
    ended_utc: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailed:
    """What became of a mail: ``refused`` names the server's code where it will never take it."""

    utc: datetime
    refused: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """Where mails go. ``link`` is the address of a request's page, with ``{request_id}`` in it."""

    host: str
    sender: str
    link: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_s: float = 20.0


def check_address(text: str) -> str:
    """Return the text if it is one plain mail address.

    Raises
    ------
    ParameterError
        It is anything else: several addresses, a display name, line breaks, other characters than ASCII.
    """
    if len(text) > _LONGEST_ADDRESS or not _ADDRESS.fullmatch(text) or text.index("@") > _LONGEST_LOCAL_PART:
        raise ParameterError("one mail address is expected, such as name@clinic.example", subject=text[:60])
    return text


def queue(store: Store, request: Request, outcome: Outcome) -> None:
    """Put the mail about an ended request into the outbox, unless none is wanted or it has gone out already."""
    if request.mail_to is None or store.exists(_mailed_key(request.request_id)):
        return
    mail = Mail(
        request_id=request.request_id,
        to=request.mail_to,
        state=outcome.state,
        reason=outcome.message,
        message_id=f"<{request.request_id}.{outcome.state}@isletnet>",
        ended_utc=outcome.ended_utc,
    )
    with suppress(AlreadyStoredError):
        store.create(outbox_key(request.request_id), dump(mail))


def outbox_key(request_id: str) -> str:
    """Name the place of a request's mail in the outbox."""
    return f"{OUTBOX}/{request_id}.json"


def compose(mail: Mail, settings: SmtpSettings) -> EmailMessage:
    """Write a mail: what happened and a link, no images and no names.

    Raises
    ------
    ParameterError
        An address is not one plain address.
    """
    message = EmailMessage()
    message["From"] = check_address(settings.sender)
    message["To"] = check_address(mail.to)
    message["Subject"] = _SUBJECTS[mail.state]
    message["Date"] = format_datetime(mail.ended_utc)
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    reason = f"\nReason: {mail.reason}\n" if mail.reason else ""
    link = settings.link.replace("{request_id}", mail.request_id)
    message.set_content(f"{_SUBJECTS[mail.state].removeprefix('isletnet: ').capitalize()}.\n{reason}\n{link}\n")
    return message


class _AwayError(Exception):
    """The server is not there, or takes nothing from us."""


class Postman:
    """Sends what is in the outbox of a store; keep one at work, and call `deliver` now and then.

    Parameters
    ----------
    store, settings
        From where to where.
    monotonic
        A clock in seconds that never goes back. A mail that was not taken waits by it, longer each time; a server that
        is away is tried again after `FIRST_SERVER_PAUSE_S`, then later, with another mail if there is one.
    """

    def __init__(self, store: Store, settings: SmtpSettings, *, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._monotonic = monotonic
        # By key: how often it failed, and when to try again. Lost in a restart, which only tries earlier.
        self._waiting: dict[str, tuple[int, float]] = {}
        # How often the server was away since it last took a mail, when to try it again, and how often it was away when
        # this mail's turn had come.
        self._away_n = 0
        self._server_s = 0.0
        self._met_nobody: Counter[str] = Counter()
        # By address: when the last mails to it went out.
        self._sent_s: dict[str, deque[float]] = {}

    def deliver(self, *, now: datetime) -> int:
        """Send the mails whose turn it is; returns how many went out. A server that is down is no error.

        Raises
        ------
        StorageError
            A mail is damaged; all others were seen to.
        """
        if self._monotonic() < self._server_s:
            return 0
        due = [key for key in self._store.list_keys(OUTBOX) if self._waiting.get(key, (0, 0.0))[1] <= self._monotonic()]
        aside, sent_n = Aside(), 0
        # A mail at which the server breaks off must not stand before all others for ever.
        for key in sorted(due, key=self._met_nobody.__getitem__):
            with aside():
                try:
                    sent_n += self._deliver(key, now)
                except _AwayError:
                    self._met_nobody[key] += 1
                    self._away_n += 1
                    pause_s = _pause_s(self._away_n, FIRST_SERVER_PAUSE_S, LONGEST_SERVER_PAUSE_S)
                    self._server_s = self._monotonic() + pause_s
                    break
        aside.tell()
        return sent_n

    def _deliver(self, key: str, now: datetime) -> bool:
        try:
            mail = load(self._store, key, Mail)
        except NotStoredError:
            return False
        if self._has_enough(mail.to):
            return False
        sent = not self._store.exists(_mailed_key(mail.request_id))
        refused = None
        if sent:
            try:
                send(compose(mail, self._settings), self._settings)
            except ParameterError:
                sent, refused = False, 0
            except smtplib.SMTPRecipientsRefused as error:
                code = error.recipients[mail.to][0]
                if code < 500:
                    return self._wait(key)
                sent, refused = False, code
            except smtplib.SMTPDataError:
                return self._wait(key)
            except (smtplib.SMTPException, OSError) as error:
                raise _AwayError from error
        if sent:
            self._away_n = 0
            self._sent_s.setdefault(mail.to.lower(), deque(maxlen=MOST_TO_ONE)).append(self._monotonic())
        # An erased request leaves no mark, and its mail goes with it.
        if self._store.exists(request_key(mail.request_id)):
            with suppress(AlreadyStoredError):
                self._store.create(_mailed_key(mail.request_id), dump(Mailed(utc=now, refused=refused)))
        self._store.delete(key)
        self._waiting.pop(key, None)
        del self._met_nobody[key]
        return sent

    def _has_enough(self, address: str) -> bool:
        """Whether an address has got so many mails of late that the next one waits."""
        since_s = self._monotonic() - TO_ONE_S
        self._sent_s = {one: sent_s for one, sent_s in self._sent_s.items() if sent_s[-1] > since_s}
        sent_s = self._sent_s.get(address.lower(), deque())
        return len(sent_s) == MOST_TO_ONE and sent_s[0] > since_s

    def _wait(self, key: str) -> bool:
        failures = self._waiting.get(key, (0, 0.0))[0] + 1
        self._waiting[key] = failures, self._monotonic() + _pause_s(failures, FIRST_PAUSE_S, LONGEST_PAUSE_S)
        return False


def _pause_s(failures: int, first_s: float, longest_s: float) -> float:
    return min(first_s * 2.0 ** min(failures - 1, 30), longest_s)


def send(message: EmailMessage, settings: SmtpSettings) -> None:
    """Hand a mail to the server.

    Raises
    ------
    smtplib.SMTPException, OSError
        The server did not take it.
    """
    timeout = settings.timeout_s
    if settings.security == "tls":
        context = ssl.create_default_context()
        server: smtplib.SMTP = smtplib.SMTP_SSL(settings.host, settings.port, timeout=timeout, context=context)
    else:
        server = smtplib.SMTP(settings.host, settings.port, timeout=timeout)
    with server:
        if settings.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if settings.username is not None:
            server.login(settings.username, settings.password or "")
        server.send_message(message)


def _mailed_key(request_id: str) -> str:
    return request_key(request_id, "mailed.json")
