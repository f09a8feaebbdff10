"""Keys of programs and people: made, listed, revoked, recognised.

A key is shown once; the store keeps its hash. What is stored is created once, as everything is: a key by
``keys/<id>.json``, the end of it by ``keys/<id>.revoked.json``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from isletnet.errors import AlreadyStoredError, NotStoredError, ParameterError
from isletnet.storage import audit
from isletnet.storage.layout import KEYS, dump, load
from isletnet.storage.store import Store

Scope = Literal["submit", "read", "study", "train", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
# A revoked key is refused everywhere after so long.
MEMORY_S = 2.0
_MOST_REMEMBERED = 4096

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_KEY = re.compile(r"(?P<id>[0-9a-f]{16})\.(?P<secret>[A-Za-z0-9_-]{43})")
_ID = re.compile(r"[0-9a-f]{16}")
_NO_HASH = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What is kept of a key; ``name`` is the principal that it stands for, and several keys may share it."""

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str = field(repr=False)
    created_utc: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Who ended a key, and when."""

    utc: datetime
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatus:
    """A key as an admin sees it."""

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    created_utc: datetime
    created_by: str
    revoked_utc: datetime | None


def check_name(text: str) -> str:
    """Return the name of a principal: 1 to 100 letters, digits and ``. _ @ + -``, or raise ``ParameterError``."""
    if not _NAME.fullmatch(text):
        raise ParameterError(
            "a name is 1 to 100 letters, digits, '.', '_', '@', '+' and '-', such as ann or lab-robot",
            subject=text[:40],
        )
    return text


def check_scopes(names: Iterable[str]) -> tuple[Scope, ...]:
    """Return scopes in their own order, each once; none or an unknown one raises ``ParameterError``."""
    wanted = set(names)
    unknown = wanted - set(SCOPES)
    if unknown or not wanted:
        came = ", ".join(sorted(unknown))[:80] or "none"
        raise ParameterError(f"scopes are one or more of {', '.join(SCOPES)}; got {came}")
    return tuple(scope for scope in SCOPES if scope in wanted)


def add_key(store: Store, name: str, scopes: Iterable[str], *, actor: str, now: datetime) -> tuple[str, KeyStatus]:
    """Make a key and note it in the audit.

    Parameters
    ----------
    name, scopes
        See `check_name` and `check_scopes`.
    actor
        Who asks for it.

    Returns
    -------
    tuple of str and KeyStatus
        The key itself, which nobody can show again, and what is known of it. 256 of its bits are random.
    """
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    key = f"{key_id}.{secret}"
    record = KeyRecord(
        key_id=key_id,
        name=check_name(name),
        scopes=check_scopes(scopes),
        sha256=_sha256(key),
        created_utc=now,
        created_by=actor,
    )
    # The audit first: no key without a trace.
    audit.append(store, kind="key-added", actor=actor, now=now, subject=key_id, details={"scopes": list(record.scopes)})
    store.create(_record_key(key_id), dump(record))
    return key, _status(record, None)


def list_keys(store: Store) -> tuple[KeyStatus, ...]:
    """List all keys, the oldest first; revoked ones, too."""
    found = [_status(load(store, _record_key(key_id), KeyRecord), _revocation(store, key_id)) for key_id in _ids(store)]
    return tuple(sorted(found, key=lambda one: (one.created_utc, one.key_id)))


def revoke_key(store: Store, key_id: str, *, actor: str, now: datetime) -> KeyStatus:
    """End a key for good; revoking it again changes nothing.

    Raises
    ------
    NotStoredError
        There is no such key.
    """
    if not _ID.fullmatch(key_id):
        raise NotStoredError("there is no such key", subject=key_id[:40])
    record = load(store, _record_key(key_id), KeyRecord)
    earlier = _revocation(store, key_id)
    if earlier is None:
        with suppress(AlreadyStoredError):
            store.create(_revoked_key(key_id), dump(Revocation(utc=now, actor=actor)))
            audit.append(store, kind="key-revoked", actor=actor, now=now, subject=key_id)
    return _status(record, _revocation(store, key_id))


def has_live_key(store: Store) -> bool:
    """Whether there is a key that is not revoked."""
    return any(_revocation(store, key_id) is None for key_id in _ids(store))


class Keyring:
    """Recognises keys; one for a process, for all its threads. What it saw it believes for `MEMORY_S`.

    Parameters
    ----------
    store
        Where the keys are.
    monotonic
        A clock in seconds that never goes back.
    """

    def __init__(self, store: Store, *, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[KeyRecord | None, float]] = {}
        self._in_use: tuple[bool, float] | None = None

    def find(self, key: str) -> KeyRecord | None:
        """Find the live key that this text is, or None; raises ``StorageError`` where the store cannot tell."""
        parts = _KEY.fullmatch(key)
        record = self._record(parts["id"]) if parts is not None else None
        expected = _NO_HASH if record is None else record.sha256
        is_right = hmac.compare_digest(_sha256(key), expected)
        return record if is_right else None

    def is_in_use(self) -> bool:
        """Whether there ever was a key; once there was, keys are needed, also after all are revoked."""
        with self._lock:
            seen = self._in_use
        if seen is not None and (seen[0] or self._monotonic() - seen[1] < MEMORY_S):
            return seen[0]
        found = any(True for _ in _ids(self._store))
        with self._lock:
            self._in_use = found, self._monotonic()
        return found

    def _record(self, key_id: str) -> KeyRecord | None:
        now_s = self._monotonic()
        with self._lock:
            seen = self._seen.get(key_id)
        if seen is not None and now_s - seen[1] < MEMORY_S:
            return seen[0]
        record = _live(self._store, key_id)
        with self._lock:
            if len(self._seen) >= _MOST_REMEMBERED:
                self._seen.clear()
            self._seen[key_id] = record, now_s
        return record


def _live(store: Store, key_id: str) -> KeyRecord | None:
    try:
        record = load(store, _record_key(key_id), KeyRecord)
    except NotStoredError:
        return None
    return record if _revocation(store, key_id) is None else None


def _revocation(store: Store, key_id: str) -> Revocation | None:
    try:
        return load(store, _revoked_key(key_id), Revocation)
    except NotStoredError:
        return None


def _ids(store: Store) -> Iterable[str]:
    names = (key.rpartition("/")[2].removesuffix(".json") for key in store.list_keys(KEYS))
    return (name for name in names if _ID.fullmatch(name))


def _status(record: KeyRecord, revocation: Revocation | None) -> KeyStatus:
    return KeyStatus(
        key_id=record.key_id,
        name=record.name,
        scopes=record.scopes,
        created_utc=record.created_utc,
        created_by=record.created_by,
        revoked_utc=revocation.utc if revocation else None,
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _record_key(key_id: str) -> str:
    return f"{KEYS}/{key_id}.json"


def _revoked_key(key_id: str) -> str:
    return f"{KEYS}/{key_id}.revoked.json"
