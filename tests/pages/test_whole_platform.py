"""The whole clinician's path on a platform by `isletnet up`, at its own ports and as one host behind nginx."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from playwright.sync_api import Browser, Page, expect

from tests.deploy.one_host import HOST, PASSWORDS, free_ports, nginx, wait_for, write_configuration
from tests.faults.live_platform import Platform
from tests.pages.live import LOOK_MS

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# A network without a graphics card takes its time for a large picture.
ANALYSED_WITHIN_MS = 600_000


@dataclass(frozen=True, kw_only=True)
class House:
    """Where a platform's pages are, and how a person gets in; ``is_admin`` says whether the person runs it."""

    url: str
    large_px: tuple[int, int]
    is_admin: bool
    context: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def at_its_ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    (pages,) = free_ports(1)
    platform = Platform(str(tmp_path_factory.mktemp("ports")), variables={"ISLETNET_PAGES_PORT": str(pages)})
    try:
        platform.start()
        wait_for(pages)
        # 60 MB of RGB.
        yield House(url=f"http://127.0.0.1:{pages}", large_px=(4000, 5000), is_admin=True)
    finally:
        platform.close()


@pytest.fixture(scope="module")
def one_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("host")
    http, https, pages = free_ports(3)
    url = f"https://{HOST}:{https}"
    variables = {
        "ISLETNET_PAGES_PORT": str(pages),
        "ISLETNET_PAGES_ORIGIN": url,
        "ISLETNET_TRUSTED_PROXY": "127.0.0.1",
    }
    platform = Platform(str(folder / "store"), variables=variables)
    configuration = write_configuration(folder, api=platform.port, pages=pages, http=http, https=https)
    signed_in = {"username": "ann", "password": PASSWORDS["ann"]}
    try:
        platform.start()
        wait_for(pages)
        with nginx(configuration, https):
            # 101 MB of RGB.
            yield House(
                url=url,
                large_px=(5600, 6000),
                is_admin=False,
                context={"http_credentials": signed_in, "ignore_https_errors": True},
            )
    finally:
        platform.close()


@pytest.fixture(params=["at_its_ports", "one_host"])
def house(request: pytest.FixtureRequest) -> House:
    found: House = request.getfixturevalue(request.param)
    return found


def test_from_images_to_the_history(house: House, chromium: Browser, real_data: Path, tmp_path: Path):
    context = chromium.new_context(viewport={"width": 1280, "height": 1000}, **house.context)
    page = context.new_page()
    page.set_default_timeout(LOOK_MS)
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    analyse(page, house, real_data, tmp_path)
    correct(page)
    # The first picture has no islet any more.
    page.get_by_role("link", name="View in 3D").nth(1).click()
    expect(page.locator("iframe.islet-scene")).to_be_visible()
    expect(page.locator("body")).to_contain_text("A model, not a measurement")

    page.get_by_role("link", name="History").click()
    row = page.locator(".islet-requests tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Donor 12")
    expect(row).to_contain_text("corrected")

    page.get_by_role("link", name="Status").click()
    expected = "Distribution of work" if house.is_admin else "Only administrators see how the service is."
    expect(page.locator("body")).to_contain_text(expected)
    assert failures == []
    context.close()


def analyse(page: Page, house: House, real_data: Path, folder: Path) -> None:
    """Send real pictures, a large one and a bad one, and read what was found in them."""
    large, bad = folder / "large.tif", folder / "holiday.tif"
    noise = np.random.default_rng(3).integers(150, 220, (*house.large_px, 3), dtype=np.uint8)
    tifffile.imwrite(large, noise)
    bad.write_bytes(b"this is no picture")
    real = [real_data / "images" / name for name in ("gtExoIsl_13.png", "gtExoIsl_27_right.png")]
    page.goto(f"{house.url}/analyse?lang=en")
    page.locator(".islet-picker").set_input_files([*real, large, bad])
    scales = page.locator(".islet-files input[type=number]")
    expect(scales).to_have_count(4)
    scales.nth(0).fill("1.5")
    page.get_by_role("button", name="Use for all").first.click()
    page.get_by_label("Name of the sample").fill("Donor 12")
    page.get_by_label("Volume of the preparation").fill("250")
    page.get_by_label("Weight of the recipient").fill("70")
    page.get_by_role("button", name="Analyse the images").click()
    expect(page.locator("[data-ready]")).to_have_count(3, timeout=ANALYSED_WITHIN_MS)
    expect(page.get_by_role("alert").filter(has_text="holiday.tif")).to_contain_text("This is not a picture")
    expect(page.locator(".islet-card", has_text="IEQ per kg")).to_contain_text("95")
    expect(page.locator("table", has_text="Criterion")).to_contain_text(re.compile("met|not met"))


def correct(page: Page) -> None:
    """Delete the only islet of the first picture, and see that the result follows."""
    page.get_by_role("link", name="Correct the outlines").first.click()
    page.wait_for_selector(".islet-editor[data-islets='1']")
    page.locator(".islet-canvas").press("n")
    page.locator(".islet-canvas").press("Delete")
    page.wait_for_selector(".islet-editor[data-islets='0']")
    page.get_by_role("button", name="Save as new version").click()
    expect(page.locator(".islet-notice.islet-good")).to_contain_text("Saved as version 1")
    page.get_by_role("link", name="Result").click()
    expect(page.locator(".islet-notice.islet-info").first).to_contain_text("Corrected by")
    expect(page.locator("[data-ready]")).to_have_count(3)
    counted = page.locator(".islet-section", has_text="gtExoIsl_13.png").locator(
        ".islet-card", has_text="Islets counted"
    )
    expect(counted.locator(".islet-card-value")).to_have_text("0")
