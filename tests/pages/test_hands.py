"""Correcting, and looking at islets in space, in a real browser."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from isletnet.client import Client, Request
from isletnet.synthetic.stack import make_stack
from tests.pages.live import LOOK_MS, Pages, watched
from tests.serve.requests_at_work import picture

pytestmark = pytest.mark.browser


@pytest.fixture
def request_at_hand(client: Client) -> Request:
    """Two islets of 120 um side by side, analysed."""
    request = client.submit([("dish.png", picture())], {"um_per_px": 2.0, "sample_name": "Donor 1"})
    request.wait()
    return request


def opened(chromium: Browser, address: str, **context: object) -> tuple[Page, Locator]:
    page = chromium.new_context(viewport={"width": 1280, "height": 1400}, **context).new_page()
    page.set_default_timeout(LOOK_MS)
    page.goto(address)
    page.wait_for_selector(".islet-editor[data-islets]")
    return page, page.locator(".islet-canvas")


def place(canvas: Locator, x_px: float, y_px: float) -> tuple[float, float]:
    """Where a point of the 256 x 192 px picture is in the window while all of it is seen."""
    box = canvas.bounding_box()
    assert box is not None
    scale = min((box["width"] - 16) / 256, (box["height"] - 16) / 192)
    return (
        box["x"] + box["width"] / 2 + (x_px - 128) * scale,
        box["y"] + box["height"] / 2 + (y_px - 96) * scale,
    )


def islets(page: Page, n: int) -> None:
    expect(page.locator(".islet-editor")).to_have_attribute("data-islets", str(n))


def diameter_um(request: Request) -> int:
    return round(request.islets()["equal_area_diameter_um"].iloc[0])


def draw(page: Page, canvas: Locator, *points: tuple[float, float]) -> None:
    page.mouse.move(*place(canvas, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(canvas, *point), steps=6)
    page.mouse.up()


def test_outlines_are_corrected_and_saved(pages: Pages, chromium: Browser, request_at_hand: Request) -> None:
    page, canvas = opened(chromium, f"{pages.url}/correct?request={request_at_hand.id}")
    watch = watched(page)
    counted, ieq = page.locator(".islet-card-value").nth(0), page.locator(".islet-card-value").nth(1)
    islets(page, 2)
    expect(counted).to_have_text("2")
    before = float(ieq.inner_text())

    page.mouse.click(*place(canvas, 50, 60))
    expect(page.locator(".islet-said")).to_have_text(f"1 islet selected, diameter {diameter_um(request_at_hand)} µm")
    page.get_by_role("button", name="Delete", exact=True).click()
    islets(page, 1)
    expect(counted).to_have_text("1")
    assert float(ieq.inner_text()) == pytest.approx(before / 2, rel=0.05)

    page.get_by_role("button", name="Undo").click()
    islets(page, 2)
    page.get_by_role("button", name="Split").click()
    draw(page, canvas, (130, 60), (130, 140))
    islets(page, 3)
    page.get_by_role("button", name="Add islet").click()
    draw(page, canvas, (200, 20), (240, 20), (240, 60), (200, 60))
    islets(page, 4)
    expect(counted).to_have_text("4")

    page.get_by_role("textbox", name="Note").fill("one was missing")
    page.get_by_role("button", name="Save as new version").click()
    expect(page.locator(".islet-notice.islet-good")).to_contain_text("Saved as version 1")
    expect(page.locator("table").last).to_contain_text("one was missing")
    page.get_by_role("checkbox").check()
    expect(page.locator(".islet-notice.islet-good")).to_contain_text("given for training")

    results = request_at_hand.results()
    assert [(one.version, one.actor, one.note) for one in results.versions] == [(1, "local", "one was missing")]
    summary = results.images[0]["record"]["summary"]
    assert summary["count"]["value"] == 4
    assert summary["ieq"]["value"] == pytest.approx(float(ieq.inner_text()), rel=0.01)
    assert request_at_hand.refresh().images[0].training
    assert (watch.errors, watch.foreign) == ([], [])
    page.context.close()


def test_the_keyboard_alone_is_enough(pages: Pages, chromium: Browser, request_at_hand: Request) -> None:
    page, canvas = opened(chromium, f"{pages.url}/correct?request={request_at_hand.id}")
    canvas.focus()
    page.keyboard.press("n")
    expect(page.locator(".islet-said")).to_contain_text("1 islet selected")
    page.keyboard.press("Delete")
    islets(page, 1)
    page.keyboard.press("Control+z")
    islets(page, 2)
    page.keyboard.press("0")
    page.keyboard.press("a")
    # From the middle of the picture to its empty right side, and around a square.
    for key, times in (("ArrowRight", 12), (" ", 1), ("ArrowRight", 6), (" ", 1), ("ArrowDown", 6), (" ", 1)):
        for _time in range(times):
            page.keyboard.press(key)
    page.keyboard.press("Enter")
    islets(page, 3)
    page.keyboard.press("Control+z")
    islets(page, 2)
    page.keyboard.press("Control+y")
    islets(page, 3)
    page.context.close()


def test_fingers_on_a_tablet_in_czech(pages: Pages, chromium: Browser, request_at_hand: Request) -> None:
    tablet = {"has_touch": True, "locale": "cs-CZ"}
    page, canvas = opened(chromium, f"{pages.url}/correct?request={request_at_hand.id}&lang=cs", **tablet)
    page.set_viewport_size({"width": 820, "height": 1180})
    expect(page.locator("h1")).to_have_text("Oprava")
    # The canvas has its new size one frame later.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    canvas.scroll_into_view_if_needed()
    page.get_by_role("button", name="Více najednou").tap()
    page.touchscreen.tap(*place(canvas, 50, 60))
    page.touchscreen.tap(*place(canvas, 130, 100))
    expect(page.locator(".islet-said")).to_have_text("Vybrané ostrůvky: 2")
    page.get_by_role("button", name="Změnit třídu").tap()
    islets(page, 0)
    expect(page.locator(".islet-said")).to_have_text("2 ostrůvky jsou nyní exokrinní tkáň")
    page.context.close()


def test_islets_of_a_request_and_of_a_stack_in_space(
    pages: Pages, chromium: Browser, request_at_hand: Request, tmp_path: Path
) -> None:
    grown = make_stack(5, islets_n=4, um_per_px=5.0, um_per_slice=10.0)
    stream = io.BytesIO()
    metadata = {"spacing": 10.0, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(stream, grown.samples, imagej=True, resolution=(0.2, 0.2), metadata=metadata)
    (tmp_path / "stack.tif").write_bytes(stream.getvalue())
    page = chromium.new_context(viewport={"width": 1280, "height": 1700}, accept_downloads=True).new_page()
    watch = watched(page)
    page.goto(f"{pages.url}/view3d?request={request_at_hand.id}")
    page.wait_for_selector(".islet-scene")
    expect(page.locator(".islet-section").first).to_contain_text(
        f"2 islets, diameters {diameter_um(request_at_hand)} – {diameter_um(request_at_hand)} µm"
    )

    page.set_input_files(".islet-drop input", tmp_path / "stack.tif")
    page.get_by_role("button", name="Find and measure").click()
    expect(page.locator(".islet-card-value").first).to_have_text("4")
    expect(page.locator("output")).to_have_text(f"Slice {len(grown.samples) // 2 + 1} of {len(grown.samples)}")
    page.wait_for_function("document.querySelector('.islet-slice').naturalWidth > 0")
    with page.expect_download() as coming:
        page.get_by_role("button", name="STL").last.click()
    assert coming.value.path().read_bytes().startswith(b"isletnet, micrometres")
    drawn = page.frame_locator(".islet-scene").last.locator("canvas").first
    drawn.wait_for()
    pixels = np.asarray(Image.open(io.BytesIO(drawn.screenshot())).convert("RGB")).astype(int)
    # Blue to yellow are the islets; ground, axes and letters are grey.
    assert (abs(pixels[..., 0] - pixels[..., 2]) > 30).mean() > 0.01
    assert (watch.errors, watch.foreign) == ([], [])
    page.context.close()
