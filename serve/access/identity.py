"""Who calls, and what that one may do.

A key says who calls. Without any key ever made, a call from this machine to this machine is "local" and may do
everything. Behind a proxy that signs people in, its identity header is believed from the proxy's address alone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Literal

from isletnet.errors import AlreadyStoredError, NotStoredError, ParameterError
from isletnet.storage.layout import KEYS
from isletnet.storage.store import Store
from serve.access.keys import SCOPES, Keyring, Scope, check_name, has_live_key
from serve.access.refusals import ForbiddenError, UnauthorizedError

if TYPE_CHECKING:
    from isletnet.settings import Settings

CSRF_HEADER = "x-csrf-token"
CSRF_LIFE_S = 12 * 3600
# What signs people in grants no more than to use the service for oneself; everything else needs a key.
SIGNED_IN_SCOPES: frozenset[Scope] = frozenset({"submit", "read"})

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_FORWARDING = {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"}
_CSRF_SECRET = f"{KEYS}/csrf.secret"
_TOKEN = re.compile(r"([0-9a-f]{1,12})\.([0-9a-f]{64})")
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::\d{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls; ``admin`` implies all scopes."""

    name: str
    scopes: frozenset[Scope]
    how: Literal["local", "key", "proxy"]

    def may(self, scope: Scope) -> bool:
        """Whether this one has a scope."""
        return scope in self.scopes or "admin" in self.scopes

    def require(self, scope: Scope) -> None:
        """Raise ``ForbiddenError`` without a scope."""
        if not self.may(scope):
            raise ForbiddenError(f"this needs the scope {scope}; ask an admin for a key that has it")

    def may_see(self, owner: str) -> bool:
        """Whether this one may read what belongs to an owner; otherwise say that it is not there."""
        return (self.name == owner and self.may("read")) or self.may("study")

    def may_change(self, owner: str) -> bool:
        """Whether this one may change what belongs to an owner."""
        return (self.name == owner and self.may("submit")) or self.may("admin")


class Access:
    """Tells who calls; one for a process, for all its threads. Its methods ask the store: not for an event loop.

    Parameters
    ----------
    settings
        Of this installation.
    store
        Where the keys are.
    monotonic, now
        Clocks: one in seconds that never goes back, and the time of day.

    Raises
    ------
    ParameterError
        ``trusted_proxy`` is neither an address nor a network.
    """

    def __init__(
        self, settings: Settings, store: Store, *, monotonic: Callable[[], float], now: Callable[[], datetime]
    ) -> None:
        _proxy_network(settings.trusted_proxy)
        self._settings = settings
        self._store = store
        self._now = now
        self._keyring = Keyring(store, monotonic=monotonic)
        self._identity_header = settings.identity_header.lower()
        self._is_bound_to_loopback = is_loopback(settings.host)
        self._pages_origins = pages_origins(settings)

    def identify(self, *, method: str, headers: Iterable[tuple[str, str]], peer: str | None) -> Principal:
        """Tell who calls.

        Parameters
        ----------
        method
            Of the call; those that change something are held to the origin and, signed in by the proxy, to the token.
        headers
            All of them, repeated ones, too.
        peer
            Address that the connection comes from.

        Raises
        ------
        UnauthorizedError
            Nobody knows who it is.
        ForbiddenError
            A foreign page or a foreign host name is behind it.
        StoreUnavailableError
            The store cannot tell whether a key is right.
        """
        given: dict[str, list[str]] = {}
        for name, value in headers:
            given.setdefault(name.lower(), []).append(value)
        principal = self._principal(given, peer)
        if method.upper() not in _SAFE_METHODS:
            self._check_origin(given)
            if principal.how == "proxy":
                self._check_token(principal, _single(given, CSRF_HEADER))
        return principal

    def csrf_token(self, principal: Principal) -> str:
        """Make the token that a page of this principal sends along in the header ``X-CSRF-Token``."""
        until = f"{int(self._now().timestamp()) + CSRF_LIFE_S:x}"
        return f"{until}.{self._sign(principal, until)}"

    def _principal(self, given: dict[str, list[str]], peer: str | None) -> Principal:
        key = _presented_key(given)
        if key is not None:
            record = self._keyring.find(key)
            if record is None:
                raise UnauthorizedError("this key is not known, or it was revoked")
            return Principal(name=record.name, scopes=frozenset(record.scopes), how="key")
        if is_proxy(self._settings, peer):
            name = _single(given, self._identity_header)
            if name is None:
                raise UnauthorizedError("sign in, or send a key as 'Authorization: Bearer ...'")
            return Principal(name=_signed_in(name), scopes=SIGNED_IN_SCOPES, how="proxy")
        if self._is_local(given, peer):
            return Principal(name="local", scopes=frozenset(SCOPES), how="local")
        raise UnauthorizedError("a key is needed: send it as 'Authorization: Bearer ...'")

    def _is_local(self, given: dict[str, list[str]], peer: str | None) -> bool:
        if not self._is_bound_to_loopback or peer is None or not is_loopback(peer):
            return False
        # A proxy that nobody told us of brings the calls of others.
        if self._identity_header in given or not _FORWARDING.isdisjoint(given):
            return False
        if self._keyring.is_in_use():
            return False
        # A page of a foreign name that resolves to this machine (DNS rebinding) still says its own name here.
        if not is_loopback(_host_name(_single(given, "host"))):
            raise ForbiddenError("without a key this service is reached as localhost only")
        return True

    def _check_origin(self, given: dict[str, list[str]]) -> None:
        origin, host = _single(given, "origin"), _single(given, "host")
        if origin is not None:
            own = set() if host is None else {f"http://{host}".lower(), f"https://{host}".lower()}
            is_ours = origin.lower() in own | self._pages_origins
        else:
            # Programs send neither; a browser says at least where the page that calls comes from.
            is_ours = _single(given, "sec-fetch-site") in {None, "same-origin", "none"}
        if not is_ours:
            raise ForbiddenError("calls from pages of another origin are refused")

    def _check_token(self, principal: Principal, token: str | None) -> None:
        parts = _TOKEN.fullmatch(token or "")
        is_right = (
            parts is not None
            and hmac.compare_digest(parts[2], self._sign(principal, parts[1]))
            and int(parts[1], 16) > self._now().timestamp()
        )
        if not is_right:
            raise ForbiddenError("send the token of GET /api/session in the header X-CSRF-Token; it holds half a day")

    def _sign(self, principal: Principal, until: str) -> str:
        text = f"{principal.how}\0{principal.name}\0{until}".encode()
        return hmac.new(_csrf_secret(self._store), text, hashlib.sha256).hexdigest()


def check_bind(settings: Settings, store: Store) -> None:
    """Refuse to listen beyond this machine while nothing tells who calls.

    Raises
    ------
    ParameterError
        The host is not of loopback, and there is neither a live key nor a trusted proxy.
    """
    _proxy_network(settings.trusted_proxy)
    if is_loopback(settings.host) or settings.trusted_proxy or has_live_key(store):
        return
    raise ParameterError(
        f"listening on {settings.host} opens the service to others, and there is no key to tell who they are. Make one "
        "with `isletnet keys add NAME --scopes admin`, or name the proxy that signs people in "
        "(ISLETNET_TRUSTED_PROXY), or keep ISLETNET_HOST=127.0.0.1",
        subject="ISLETNET_HOST",
    )


def is_loopback(host: str) -> bool:
    """Whether an address or a host name is this machine's own and nobody else's."""
    if host.lower() == "localhost":
        return True
    try:
        return _plain_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_proxy(settings: Settings, peer: str | None) -> bool:
    """Whether the proxy that signs people in is at this address."""
    network = _proxy_network(settings.trusted_proxy)
    if network is None or peer is None:
        return False
    try:
        return _plain_address(peer) in network
    except ValueError:
        return False


def pages_origins(settings: Settings) -> frozenset[str]:
    """Origins of the pages, in lower case: what may call from a browser beside the API's own."""
    if settings.pages_origin:
        return frozenset({settings.pages_origin.rstrip("/").lower()})
    hosts = {"127.0.0.1", "localhost"} if is_loopback(settings.host) else {settings.host.lower()}
    return frozenset(f"http://{host}:{settings.pages_port}" for host in hosts)


@cache
def _proxy_network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False) if text else None
    except ValueError:
        raise ParameterError(
            "the trusted proxy is an address or a network, such as 10.0.0.7 or 172.18.0.0/16",
            subject="ISLETNET_TRUSTED_PROXY",
        ) from None


def _plain_address(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text)
    # A socket for both kinds shows an old address in the new notation.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _single(given: dict[str, list[str]], name: str) -> str | None:
    """Read a header that decides something; twice the same header could mean two things to two readers."""
    values = given.get(name, [])
    if len(values) > 1:
        raise UnauthorizedError(f"the header {name} came {len(values)} times; send it once")
    return values[0] if values else None


def _presented_key(given: dict[str, list[str]]) -> str | None:
    authorization, plain = _single(given, "authorization"), _single(given, "x-api-key")
    if authorization is None:
        return plain
    scheme, _, key = authorization.partition(" ")
    # What a proxy passes on of its own sign-in is none of ours.
    return key.strip() if scheme.lower() == "bearer" else plain


def _signed_in(name: str) -> str:
    try:
        return check_name(name.strip())
    except ParameterError as error:
        raise UnauthorizedError(f"the proxy signed somebody in by a name that is none: {error.message}") from None


def _host_name(host: str | None) -> str:
    parts = _HOST.fullmatch(host or "")
    return parts["name"] if parts is not None else ""


def _csrf_secret(store: Store) -> bytes:
    """Read the secret of all processes, which the first of them makes."""
    with suppress(NotStoredError):
        return store.read(_CSRF_SECRET)
    with suppress(AlreadyStoredError):
        store.create(_CSRF_SECRET, secrets.token_bytes(32))
    return store.read(_CSRF_SECRET)
