"""What holds for every page, in both languages, light and dark, on a desk and on a tablet."""

from __future__ import annotations

import json

import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from isletnet.client import Request
from serve.pages import KERNEL_BYTES
from tests.conftest import ROOT
from tests.pages.live import Pages, kernel_of, watched

pytestmark = pytest.mark.browser

# The title in both languages, and what is there when the page is ready.
PAGES = {
    "analyse": ("Analyse", "Analýza", "input[type=file]"),
    "analyse?request=": ("Analyse", "Analýza", "[data-ready]"),
    "correct?request=": ("Correct", "Oprava", ".islet-editor[data-islets]"),
    "view3d?request=": ("In three dimensions", "Ve třech rozměrech", "iframe"),
    "history": ("History", "Historie", ".islet-requests tbody tr"),
    "status": ("Status", "Stav", ".islet-cards"),
}
LOOKS = {"en": (1280, "light"), "cs": (820, "dark")}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
# Pictures to look at after the tests.
SCREENSHOTS = ROOT / "build" / "screenshots"


def process_of(kernel: str) -> psutil.Process:
    """Find the process of a kernel by the file of its connection."""
    (found,) = (one for one in psutil.process_iter(["cmdline"]) if kernel in " ".join(one.info["cmdline"] or ()))
    return found


@pytest.mark.parametrize("language", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_page(pages: Pages, finished: Request, chromium: Browser, name: str, language: str):
    width, scheme = LOOKS[language]
    english, czech, ready = PAGES[name]
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    watch = watched(page)
    address = name + finished.id if name.endswith("=") else name
    page.goto(f"{pages.url}/{address}{'&' if '?' in address else '?'}lang={language}")
    page.wait_for_selector(ready, state="attached")
    page.wait_for_selector("h1")

    page.screenshot(path=SCREENSHOTS / f"{name.replace('?request=', '-request')}-{language}.png", full_page=True)
    assert page.locator("h1").inner_text() == (czech if language == "cs" else english)
    assert page.locator("html").get_attribute("lang") == language
    # A closed hospital network: nothing is asked of anybody else.
    assert (watch.foreign, watch.errors) == ([], [])
    assert "Traceback" not in page.content()
    # On a tablet nobody has to push the page sideways.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page, options=RULES).response["violations"]
    told = [{"rule": one["id"], "where": [node["html"][:200] for node in one["nodes"]]} for one in found]
    assert told == [], json.dumps(told, indent=1, ensure_ascii=False)
    # What is heavy is done elsewhere: many pages may be open on one machine.
    kernel = process_of(kernel_of(page))
    assert kernel.memory_info().rss < KERNEL_BYTES
    assert not [one.path for one in kernel.memory_maps() if "tensorflow" in one.path]
    context.close()
