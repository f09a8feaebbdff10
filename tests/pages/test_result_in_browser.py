"""A result in a real browser: what is under the cursor, near and far, and on paper."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from isletnet.client import Client, Request
from tests.conftest import ROOT
from tests.pages.live import Pages

pytestmark = pytest.mark.browser

SAMPLE = ROOT / "samples" / "islets.tif"


def open_result(page: Page, pages: Pages, request: Request) -> None:
    page.goto(f"{pages.url}/analyse?request={request.id}&lang=en")
    page.wait_for_selector("[data-ready]")


def test_an_islet_under_the_cursor_is_marked_in_the_table(pages: Pages, page: Page, client: Client):
    request = client.submit([SAMPLE])
    request.wait()
    open_result(page, pages, request)
    address = f"{pages.server.url}/api/requests/{request.id}/images/0/contours.geojson"
    found = httpx.get(address, trust_env=False).json()["features"]
    islets = [one["properties"] for one in found if one["properties"]["classification"]["name"] == "Islet"]
    largest = max(islets, key=lambda one: one["measurements"]["area_px"] * one["measurements"]["solidity"] ** 9)

    canvas = page.locator(".islet-viewer").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    image = request.results().images[0]["record"]["image"]
    x = box["x"] + box["width"] * largest["measurements"]["centroid_x_px"] / image["width_px"]
    y = box["y"] + box["height"] * largest["measurements"]["centroid_y_px"] / image["height_px"]
    page.mouse.move(x, y)

    marked = page.locator(".islet-islets tr.islet-marked th")
    expect(marked).to_have_text(largest["name"].split()[-1])


def test_the_picture_zooms_and_moves_under_the_cursor(pages: Pages, page: Page, finished: Request):
    open_result(page, pages, finished)
    canvas, told = page.locator(".islet-viewer").first, page.locator(".islet-under-cursor").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    width_px = finished.results().images[0]["record"]["image"]["width_px"]
    islet = finished.islets().iloc[0]
    scale = box["width"] / width_px
    x, y = box["x"] + islet["centroid_x_px"] * scale, box["y"] + islet["centroid_y_px"] * scale
    page.mouse.move(x, y)
    expect(told).to_contain_text(re.compile(r"Islet \d+ · "))
    name = told.inner_text()

    # Nearer, about the cursor: the islet stays under it, and its edge is farther away.
    beside = x + 1.3 * islet["equal_area_diameter_px"] / 2 * scale
    page.mouse.move(beside, y)
    expect(told).not_to_have_text(name)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    page.mouse.move(beside, y)
    expect(told).to_have_text(name)
    # Dragged, it goes with the pointer.
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 30, steps=4)
    page.mouse.up()
    page.mouse.move(x + 41, y + 30)
    expect(told).to_have_text(name)
    page.get_by_role("button", name="Whole picture").first.click()
    page.mouse.move(x, y)
    expect(told).to_have_text(name)


def test_a_printed_result_has_numbers_and_no_buttons(pages: Pages, page: Page, finished: Request):
    open_result(page, pages, finished)
    page.emulate_media(media="print")
    expect(page.locator(".islet-card").first).to_be_visible()
    expect(page.locator(".islet-viewer").first).to_be_visible()
    for hidden in (".islet-head nav", ".islet-no-print", ".isletnet button"):
        assert not any(one.is_visible() for one in page.locator(hidden).all()), hidden
