"""Who looks at this page, in which language, and how the service is reached. No widgets here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from isletnet.client import Client
from isletnet.ui.i18n import DEFAULT_LANGUAGE, LANGUAGES, set_language

if TYPE_CHECKING:
    from isletnet.settings import Settings

PAGE_PATIENCE_S = 10.0
# The pages' server sets these two for each kernel: what the browser prefers, and whom the proxy signed in.
LANGUAGE_VARIABLE = "HTTP_ISLETNET_LANGUAGE"
PERSON_VARIABLE = "HTTP_ISLETNET_PERSON"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where this page is served, and to whom.

    Parameters
    ----------
    api_url
        The service, as this process reaches it.
    browser_api_url
        The service, as the browser reaches it; empty where pages and service are one host.
    query
        What stands after ``?`` in the page's address; the last value of each name.
    language
        ``en`` or ``cs``.
    person
        Whom the proxy signed in; empty without one.
    identity_header
        What tells the service who that is.
    """

    api_url: str
    browser_api_url: str
    query: Mapping[str, str]
    language: str
    person: str = ""
    identity_header: str = "X-Forwarded-User"


@dataclass(slots=True, kw_only=True)
class Session:
    """A person at a page.

    Parameters
    ----------
    place
        Where the page is served.
    client
        Speaks with the service as this person.
    name
        Who this is to the service; empty until `sign_in` succeeds.
    browser_headers
        What the browser sends along with its own calls to the service.
    """

    place: Place
    client: Client
    name: str = ""
    browser_headers: dict[str, str] = field(default_factory=dict)

    @property
    def request_id(self) -> str:
        """The request that the page's address names; empty without one."""
        return self.place.query.get("request", "")

    def sign_in(self, key: str = "") -> None:
        """Ask the service who this is, with a key if it was given one.

        Raises
        ------
        ServiceError
            The key is not known, or the service does not answer.
        """
        headers = {self.place.identity_header: self.place.person} if self.place.person and not key else {}
        client = self._connect(key, headers)
        told: Mapping[str, Any] = client.session()
        browser = {"Authorization": f"Bearer {key}"} if key else {}
        if headers:
            browser = {"X-CSRF-Token": told["csrf"]}
            client.close()
            client = self._connect(key, headers | browser)
        self.client.close()
        self.client, self.browser_headers = client, browser
        self.name = told["name"]

    def _connect(self, key: str, headers: Mapping[str, str]) -> Client:
        return Client(self.place.api_url, key or None, patience_s=PAGE_PATIENCE_S, headers=headers)


def open_session(place: Place | None = None) -> Session:
    """Begin the session of this kernel, in the language of the place; `Session.sign_in` comes next."""
    at = place or read_place(os.environ)
    set_language(at.language)
    return Session(place=at, client=Client(at.api_url, patience_s=PAGE_PATIENCE_S))


def read_place(environment: Mapping[str, str], settings: Settings | None = None) -> Place:
    """Read from a kernel's environment where its page is served.

    Parameters
    ----------
    environment
        With what the pages' server says of the call: ``QUERY_STRING``, ``SERVER_NAME`` and so on.
    settings
        Of this installation; without them they are read.
    """
    if settings is None:
        from isletnet.settings import Settings

        settings = Settings()
    query = {name: values[-1] for name, values in parse_qs(environment.get("QUERY_STRING", "")).items()}
    wanted = query.get("lang", environment.get(LANGUAGE_VARIABLE, ""))
    here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    seen = environment.get("SERVER_NAME") or here
    return Place(
        api_url=f"http://{_bracketed(here)}:{settings.port}",
        browser_api_url="" if settings.pages_origin else f"http://{_bracketed(seen)}:{settings.port}",
        query=query,
        language=wanted if wanted in LANGUAGES else DEFAULT_LANGUAGE,
        person=environment.get(PERSON_VARIABLE, ""),
        identity_header=settings.identity_header,
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
