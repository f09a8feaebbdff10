"""What people do on the history page with keys alone, and the status page that refreshes itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from isletnet.client import Client
from tests.pages.live import Pages
from tests.serve.requests_at_work import picture

pytestmark = pytest.mark.browser


def test_compare_sort_and_delete_without_a_mouse(pages: Pages, client: Client, chromium: Browser):
    known = {"um_per_px": 2.0, "sample_volume_ul": 100, "preparation_volume_ml": 250}
    for name in ("Pair 1", "Pair 2", "Pair mistaken"):
        client.submit([picture(3), picture(2)], {"sample_name": name, **known}).wait()
    page = chromium.new_page()
    page.goto(f"{pages.url}/history?lang=en")
    rows = page.locator(".islet-requests tbody tr")
    page.get_by_label("Search").fill("pair")
    page.get_by_label("Search").press("Enter")
    expect(rows).to_have_count(3)

    page.get_by_role("button", name="Sample").press("Enter")
    expect(rows.locator("th")).to_have_text(["Pair 1", "Pair 2", "Pair mistaken"])
    for name in ("Pair 1", "Pair 2"):
        page.get_by_label(f"Choose: {name}").press("Space")
    expect(page.get_by_text("Mean of 2 counts")).to_be_visible()
    for name in ("Pair 1", "Pair 2"):
        page.get_by_label(f"Choose: {name}").press("Space")

    # A button that is not ready yet takes no key.
    delete = page.get_by_role("button", name="Delete …")
    expect(delete).to_be_disabled()
    page.get_by_label("Choose: Pair mistaken").press("Space")
    expect(delete).to_be_enabled()
    delete.press("Enter")
    page.get_by_role("button", name="Delete for ever").press("Enter")
    expect(rows).to_have_count(2)

    page.get_by_label("Search").fill("pair 1")
    page.get_by_label("Search").press("Enter")
    expect(rows.locator("a")).to_have_text(["Pair 1"])
    rows.locator("a").press("Enter")
    expect(page.locator("h1")).to_have_text("Analyse")
    page.close()


def test_status_refreshes_by_itself(pages: Pages, chromium: Browser):
    page = chromium.new_page()
    page.goto(f"{pages.url}/status?lang=en")
    moment = page.get_by_text("As of")
    expect(moment).to_be_visible()
    first = moment.inner_text()
    expect(moment).not_to_have_text(first)
    page.close()
