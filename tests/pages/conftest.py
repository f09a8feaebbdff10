"""The pages as people see them: the real server of the pages, a real service in a thread, a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from isletnet.client import Client, Request
from tests.conftest import find_program
from tests.deploy.one_host import HOST
from tests.pages.live import LOOK_MS, Pages, live_pages
from tests.serve.requests_at_work import picture

expect.set_options(timeout=LOOK_MS)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """Pages of a service that works; one test may find in the history what another has sent."""
    with live_pages(tmp_path_factory.mktemp("pages")) as running:
        yield running


@pytest.fixture(scope="module")
def client(pages: Pages) -> Iterator[Client]:
    """A client of the service behind the pages."""
    with Client(pages.server.url) as client:
        yield client


@pytest.fixture(scope="module")
def finished(client: Client) -> Request:
    """Two images of a sample, with all that a clinician may say of it, analysed."""
    known = {"um_per_px": 2.0, "sample_volume_ul": 100, "preparation_volume_ml": 250, "recipient_kg": 70}
    request = client.submit([picture(3), picture(2)], {"sample_name": "Donor 2", **known})
    request.wait()
    return request


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium. It ends with each file of tests: its event loop is in the way of others."""
    path = find_program("chromium")
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", f"--host-resolver-rules=MAP {HOST} 127.0.0.1"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page on a desk, of somebody who has not been here before."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    yield context.new_page()
    context.close()
