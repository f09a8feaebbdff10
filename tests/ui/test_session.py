from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_in_process import Service, service

from isletnet.client import AccessError
from isletnet.settings import Settings
from isletnet.ui.i18n import language, set_language
from isletnet.ui.session import LANGUAGE_VARIABLE, PERSON_VARIABLE, Place, open_session, read_place
from serve.access.keys import add_key
from tests.client.live import Server
from tests.serve.requests_at_work import picture


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    set_language("en")


@pytest.fixture
def settings() -> dict[str, Any]:
    """Settings other than the defaults, for a test to replace."""
    return {}


@pytest.fixture
def made(tmp_path: Path, settings: dict[str, Any]) -> Service:
    return service(tmp_path / "store", tmp_path / "colour", **settings)


@pytest.fixture
def server(made: Service) -> Iterator[Server]:
    running = Server(lambda: made.app)
    running.start()
    yield running
    running.stop()


def place(server: Server, **more: object) -> Place:
    return Place(api_url=server.url, browser_api_url=server.url, query={}, language="en", **more)


def test_a_place_is_read_from_what_the_pages_server_says():
    read = read_place(
        {
            "QUERY_STRING": "request=a1&lang=cs&lang=en&x=%20y",
            "SERVER_NAME": "localhost",
            LANGUAGE_VARIABLE: "cs",
            PERSON_VARIABLE: "eva",
        },
        Settings(port=8123),
    )

    assert read.query == {"request": "a1", "lang": "en", "x": " y"}
    assert (read.language, read.person) == ("en", "eva")
    assert (read.api_url, read.browser_api_url) == ("http://127.0.0.1:8123", "http://localhost:8123")


def test_behind_a_proxy_the_browser_calls_the_pages_own_host():
    read = read_place({"SERVER_NAME": "islets.clinic.example"}, Settings(pages_origin="https://islets.clinic.example"))

    assert read.browser_api_url == ""
    assert read.api_url == "http://127.0.0.1:8000"


def test_a_service_that_listens_everywhere_is_called_on_this_machine():
    read = read_place({}, Settings(host="0.0.0.0"))

    assert read.api_url == "http://127.0.0.1:8000"


def test_the_remembered_language_counts_where_the_address_names_none():
    session = open_session(read_place({LANGUAGE_VARIABLE: "cs"}, Settings()))

    assert (session.place.language, language()) == ("cs", "cs")


def test_on_its_own_machine_a_person_needs_no_key(server: Server):
    session = open_session(place(server))
    session.sign_in()

    assert session.name == "local"
    assert session.client.submit([picture()]).status.owner == "local"
    assert session.browser_headers == {}


def test_with_keys_a_person_signs_in_with_one(server: Server, made: Service):
    key, _told = add_key(made.store, "Eva", ("submit", "read"), actor="test", now=made.now())
    session = open_session(place(server))

    with pytest.raises(AccessError):
        session.sign_in()
    session.sign_in(key)

    assert session.name == "Eva"
    assert session.client.submit([picture()]).status.owner == "Eva"
    assert session.browser_headers == {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("settings", [{"trusted_proxy": "127.0.0.1"}])
def test_whom_the_proxy_signed_in_may_change_things(server: Server):
    session = open_session(place(server, person="eva@clinic"))
    session.sign_in()

    assert session.name == "eva@clinic"
    assert set(session.browser_headers) == {"X-CSRF-Token"}
    assert session.client.submit([picture()]).status.owner == "eva@clinic"
