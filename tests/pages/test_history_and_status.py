"""What people do on the history page with keys alone, and the status page that refreshes itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from isletnet.client import Client
from tests.pages.conftest import Pages
from tests.serve.requests_at_work import picture

pytestmark = pytest.mark.browser

PATIENCE_MS = 60_000


def test_compare_sort_and_delete_without_a_mouse(pages: Pages, chromium: Browser):
    with Client(pages.api_url) as client:
        client.submit([picture()], {"sample_name": "Mistake", "um_per_px": 2.0}).wait()
    page = chromium.new_page()
    page.goto(f"{pages.url}/history?lang=en")
    rows = page.locator(".islet-requests tbody tr")
    expect(rows).to_have_count(4, timeout=PATIENCE_MS)

    page.get_by_role("button", name="Sample").press("Enter")
    expect(rows.locator("th")).to_have_text(["Broken", "Donor 1", "Donor 2", "Mistake"])
    for name in ("Donor 1", "Donor 2"):
        page.get_by_label(f"Choose: {name}").press("Space")
    expect(page.get_by_text("Mean of 2 counts")).to_be_visible(timeout=PATIENCE_MS)
    for name in ("Donor 1", "Donor 2"):
        page.get_by_label(f"Choose: {name}").press("Space")

    # A button that is not ready yet takes no key.
    delete = page.get_by_role("button", name="Delete …")
    expect(delete).to_be_disabled(timeout=PATIENCE_MS)
    page.get_by_label("Choose: Mistake").press("Space")
    expect(delete).to_be_enabled(timeout=PATIENCE_MS)
    delete.press("Enter")
    page.get_by_role("button", name="Delete for ever").press("Enter")
    expect(rows).to_have_count(3, timeout=PATIENCE_MS)

    page.get_by_label("Search").fill("donor 1")
    page.get_by_label("Search").press("Enter")
    expect(rows.locator("a")).to_have_text(["Donor 1"], timeout=PATIENCE_MS)
    rows.locator("a").press("Enter")
    expect(page.locator("h1")).to_have_text("Analyse", timeout=PATIENCE_MS)
    page.close()


def test_status_refreshes_by_itself(pages: Pages, chromium: Browser):
    page = chromium.new_page()
    page.goto(f"{pages.url}/status?lang=en")
    moment = page.get_by_text("As of")
    expect(moment).to_be_visible(timeout=PATIENCE_MS)
    first = moment.inner_text()
    expect(moment).not_to_have_text(first, timeout=PATIENCE_MS)
    page.close()
