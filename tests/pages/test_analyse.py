"""The clinician's path in a real browser: send, follow, read, come back."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
import tifffile
from playwright.sync_api import Browser, Page, expect
from service_in_process import Service

from serve.access.keys import add_key
from tests.pages.live import Pages, kernel_of, live_pages, watched
from tests.serve.requests_at_work import picture

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples" / "islets.tif"


def open_form(page: Page, pages: Pages, query: str = "") -> None:
    page.goto(f"{pages.url}/analyse{query}")
    page.wait_for_selector(".islet-intake")


def results_of(pages: Pages, page: Page) -> dict:
    request_id = re.search(r"request=([0-9a-f]+)", page.url).group(1)
    return httpx.get(f"{pages.server.url}/api/requests/{request_id}/results", trust_env=False).json()


def test_images_are_sent_followed_and_read(pages: Pages, page: Page, tmp_path: Path):
    watch = watched(page)
    good, bad = tmp_path / "dish 2.png", tmp_path / "holiday.tif"
    good.write_bytes(picture())
    bad.write_bytes(b"this is no picture")

    open_form(page, pages)
    page.set_input_files(".islet-picker", [SAMPLE, good, bad])
    rows = page.locator(".islet-files li")
    expect(rows).to_have_count(3)
    expect(rows.nth(0).locator("input[type=number]")).to_have_value("2")
    expect(rows.nth(0)).to_contain_text("read from the file")
    expect(rows.nth(1)).to_contain_text("without it there is no IEQ")
    rows.nth(1).locator("input[type=number]").fill("2.5")
    rows.nth(0).get_by_role("checkbox").check()
    page.get_by_label("The images show").select_option("a sampled volume each: they are averaged")
    page.fill("#islet-sample_name", "Donor 12")
    page.fill("#islet-preparation_volume_ml", "250")
    page.fill("#islet-recipient_kg", "70")
    page.click(".islet-submit")
    page.wait_for_selector("[data-ready]")

    told = results_of(pages, page)
    assert [image["name"] for image in told["images"]] == ["islets.tif", "dish 2.png"]
    assert [image["record"]["calibration"]["um_per_px"] for image in told["images"]] == [2.0, 2.5]
    summary = told["samples"][0]["summary"]
    count = page.locator(".islet-card", has_text="Islets counted").first.locator(".islet-card-value")
    assert count.inner_text().strip() == f"{summary['count']['value']:,.0f}"
    per_kg = page.locator(".islet-card", has_text="IEQ per kg").locator(".islet-card-value")
    assert f"{summary['preparation']['ieq_per_kg']['value']:,.0f}" in per_kg.inner_text()
    assert summary["preparation"]["replicates_n"] == 2
    expect(page.locator("body")).to_contain_text("Repeated counts vary by")
    assert page.get_by_role("alert").filter(has_text="holiday.tif").inner_text().startswith("holiday.tif: This is not")
    status = httpx.get(f"{pages.server.url}/api/requests/{told['request_id']}", trust_env=False).json()
    assert [image["training"] for image in status["images"]] == [True, False]
    assert (watch.foreign, watch.errors) == ([], [])

    expect(page.locator(".islet-legend").first).to_contain_text("Islet")
    row = page.locator(".islet-islets tbody tr").nth(1)
    number = row.locator("th").inner_text()
    row.hover()
    expect(row).to_have_class(re.compile("islet-marked"))
    expect(page.locator(".islet-under-cursor").first).to_contain_text(f"Islet {number} ")
    expect(page.locator(".islet-histogram rect.islet-marked")).to_have_count(1)

    with page.expect_download() as saved:
        page.get_by_role("link", name="All islets (CSV)").click()
    assert saved.value.suggested_filename == "islets.csv"
    assert saved.value.path().read_text().count("\n") > 3


def test_what_the_laboratory_keeps_is_remembered_and_what_is_a_patient_s_is_not(pages: Pages, page: Page):
    open_form(page, pages)
    page.set_input_files(".islet-picker", SAMPLE)
    # All of it is drawn before anything is sent.
    page.wait_for_function(
        """() => { const c = document.querySelector('.islet-thumbnail');
        return c && new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size > 50 }"""
    )
    page.fill("#islet-preparation_volume_ml", "240")
    page.fill("#islet-recipient_kg", "71")
    page.fill("#islet-sample_name", "Donor 13")
    page.click(".islet-submit")
    page.wait_for_url(re.compile("request="))

    open_form(page, pages)
    expect(page.locator("#islet-preparation_volume_ml")).to_have_value("240")
    expect(page.locator("#islet-sample_volume_ul")).to_have_value("100")
    for name in ("recipient_kg", "sample_name"):
        expect(page.locator(f"#islet-{name}")).to_have_value("")


def test_images_can_be_dropped(pages: Pages, page: Page):
    open_form(page, pages)
    dropped = page.evaluate_handle(
        """(bytes) => { const held = new DataTransfer();
        for (const name of ["a.png", "b.png"]) held.items.add(new File([new Uint8Array(bytes)], name));
        return held }""",
        list(picture()),
    )
    page.dispatch_event(".islet-drop", "drop", {"dataTransfer": dropped})
    expect(page.locator(".islet-files strong")).to_have_text(["a.png", "b.png"])


def test_a_link_brings_a_request_back_in_czech_and_the_language_is_remembered(pages: Pages, page: Page):
    request = httpx.post(
        f"{pages.server.url}/api/requests", files={"images": ("a.png", picture())}, trust_env=False
    ).json()
    page.goto(f"{pages.url}/?request={request['request_id']}")
    page.wait_for_selector("[data-ready]")
    expect(page.locator("body")).to_contain_text("The size of a pixel is unknown")

    page.get_by_label("Language").select_option("cs")
    page.wait_for_url(re.compile("lang=cs"))
    page.wait_for_selector("[data-ready]")
    assert page.evaluate("document.documentElement.lang") == "cs"
    expect(page.locator("body")).to_contain_text("Velikost pixelu není známa")

    open_form(page, pages)
    expect(page.get_by_role("heading", name="Analýza")).to_be_visible()


def test_a_lost_line_is_waited_out(pages: Pages, page: Page, tmp_path: Path):
    lost = []

    def lose(route) -> None:
        if len(lost) < 2:
            lost.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    file = tmp_path / "a.png"
    file.write_bytes(picture())
    page.route("**/images/0?name=*", lose)
    open_form(page, pages)
    page.set_input_files(".islet-picker", file)
    page.click(".islet-submit")
    page.wait_for_selector("[data-ready]")

    assert len(lost) == 2


def test_a_service_that_restarts_is_waited_for(pages: Pages, page: Page, tmp_path: Path):
    made: Service = pages.made
    file = tmp_path / "a.png"
    file.write_bytes(picture())
    load, made.load = made.load, lambda name: pytest.fail("nobody works now")
    open_form(page, pages)
    page.set_input_files(".islet-picker", file)
    page.wait_for_selector(".islet-files li")
    made.load = load
    page.click(".islet-submit")
    page.wait_for_url(re.compile("request="))
    pages.server.stop()
    pages.server.start()
    page.wait_for_selector("[data-ready]")

    assert len(results_of(pages, page)["images"]) == 1


def test_a_pixel_is_measured_by_drawing_a_line(pages: Pages, page: Page, tmp_path: Path):
    # A scale of 1 mm from column 100 to column 900 of 1000: 1.25 um per px.
    scale = np.full((500, 1000), 255, np.uint8)
    scale[240:260, 100:900] = 0
    file = tmp_path / "micrometer.tif"
    tifffile.imwrite(file, scale)
    open_form(page, pages)
    page.set_input_files(".islet-picker", file)
    row = page.locator(".islet-files li").first
    row.get_by_role("button", name="Measure").click()
    canvas = page.locator(".islet-micrometer")
    box = canvas.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.1 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], y, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Use this").click()

    assert float(row.locator("input[type=number]").input_value()) == pytest.approx(1.25, rel=0.005)
    expect(row).to_contain_text("measured")


def test_the_pixel_size_of_a_file_is_used_for_all(pages: Pages, page: Page, tmp_path: Path):
    silent = tmp_path / "a.png"
    silent.write_bytes(picture())
    open_form(page, pages)
    page.set_input_files(".islet-picker", [SAMPLE, silent])
    rows = page.locator(".islet-files li")
    expect(rows.nth(0)).to_contain_text("read from the file")
    rows.nth(0).get_by_role("button", name="Use for all").click()
    expect(rows.nth(0)).to_contain_text("read from the file")
    expect(rows.nth(1)).to_contain_text("taken from another image")
    page.click(".islet-submit")
    expect(page.locator("[data-ready]")).to_have_count(2)

    calibrations = [image["record"]["calibration"] for image in results_of(pages, page)["images"]]
    assert [(one["um_per_px"], one["source"]) for one in calibrations] == [(2.0, "file"), (2.0, "caller")]


def kernel_status(pages: Pages, kernel: str) -> int:
    return httpx.get(f"{pages.url}/api/kernels/{kernel}", trust_env=False).status_code


def test_a_page_whose_kernel_ended_says_so_and_comes_back(pages: Pages, page: Page):
    open_form(page, pages)
    kernel = kernel_of(page)
    page.evaluate(
        """kernel => fetch(`/voila/api/shutdown/${kernel}`, {method: "POST",
        headers: {"X-XSRFToken": document.cookie.match(/_xsrf=([^;]*)/)[1]}})""",
        kernel,
    )
    page.evaluate("dispatchEvent(new Event('focus'))")
    page.get_by_role("button", name="Load it again").click()
    page.wait_for_selector(".islet-intake")

    assert kernel_of(page) != kernel


def test_a_page_that_is_left_ends_its_kernel(pages: Pages, page: Page):
    open_form(page, pages)
    kernel = kernel_of(page)
    assert kernel_status(pages, kernel) == 200
    open_form(page, pages)

    pause = threading.Event()
    assert any(kernel_status(pages, kernel) == 404 or pause.wait(0.2) for _ in range(200))


def test_a_bare_address_leads_to_the_first_page_with_the_request(pages: Pages):
    answer = httpx.get(f"{pages.url}/?request=abc", trust_env=False)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/analyse?request=abc")


def test_a_page_names_no_other_host_and_shows_no_source(pages: Pages):
    answer = httpx.get(f"{pages.url}/analyse", trust_env=False, timeout=60)

    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", answer.text)
    assert "from isletnet.ui" not in answer.text
    assert json.loads(re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', answer.text, re.S).group(1))[
        "kernelId"
    ]


@pytest.mark.slow
def test_a_tiff_of_60_mb_goes_through(pages: Pages, page: Page, tmp_path: Path):
    noise = np.random.default_rng(3).integers(150, 220, (4000, 5000, 3), dtype=np.uint8)
    file = tmp_path / "large.tif"
    tifffile.imwrite(file, noise)
    assert file.stat().st_size >= 60_000_000
    open_form(page, pages)
    page.set_input_files(".islet-picker", file)
    page.click(".islet-submit")
    page.wait_for_selector("[data-ready]", timeout=180_000)

    assert results_of(pages, page)["images"][0]["record"]["image"]["width_px"] == 5000


def test_with_keys_a_person_signs_in_once_in_a_tab(chromium: Browser, tmp_path: Path):
    with live_pages(tmp_path) as pages:
        key, _told = add_key(pages.made.store, "Eva", ("submit", "read"), actor="test", now=pages.made.now())
        context = chromium.new_context()
        page = context.new_page()
        watch = watched(page)
        page.goto(f"{pages.url}/analyse")
        page.get_by_label("Your key").fill("not-a-key")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".islet-wrong").first).to_contain_text("Sign in with your key")
        page.get_by_label("Your key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector(".islet-intake")
        expect(page.locator(".islet-person")).to_have_text("Eva")

        file = tmp_path / "a.png"
        file.write_bytes(picture())
        page.set_input_files(".islet-picker", file)
        page.click(".islet-submit")
        page.wait_for_selector("[data-ready]")
        page.reload()
        page.wait_for_selector("[data-ready]")
        with page.expect_download() as saved:
            page.get_by_role("link", name="Report (PDF)").click()
        assert saved.value.path().read_bytes().startswith(b"%PDF")
        assert key not in page.url
        assert watch.errors == []
        context.close()
