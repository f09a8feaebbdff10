"""What holds for every page, in both languages, light and dark, on a desk and on a tablet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.pages.conftest import Pages

pytestmark = pytest.mark.browser

# The title in both languages, and what is there when the page is ready.
PAGES = {
    "analyse": ("Analyse", "Analýza", "input[type=file]"),
    "analyse?request=": ("Analyse", "Analýza", ".islet-cards"),
    "correct?request=": ("Correct", "Oprava", "canvas"),
    "view3d?request=": ("In three dimensions", "Ve třech rozměrech", "iframe"),
    "history": ("History", "Historie", ".islet-requests tbody tr"),
    "status": ("Status", "Stav", ".islet-cards"),
}
LOOKS = {"en": (1280, "light"), "cs": (820, "dark")}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}


@pytest.mark.parametrize("language", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_page(pages: Pages, chromium: Browser, tmp_path: Path, name: str, language: str):
    width, scheme = LOOKS[language]
    english, czech, ready = PAGES[name]
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    failures: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failures.append(str(error)))
    address = name + pages.request_id if name.endswith("=") else name
    page.goto(f"{pages.url}/{address}{'&' if '?' in address else '?'}lang={language}")
    page.wait_for_selector(ready, state="attached", timeout=60_000)
    page.wait_for_selector("h1", timeout=60_000)

    page.screenshot(path=tmp_path / f"{name.partition('?')[0]}-{language}.png", full_page=True)
    assert page.locator("h1").inner_text() == (czech if language == "cs" else english)
    assert page.locator("html").get_attribute("lang") == language
    assert failures == []
    # A closed hospital network: nothing is asked of anybody else.
    foreign = [url for url in asked if not url.startswith((pages.url, pages.api_url, "data:", "blob:"))]
    assert foreign == []
    assert "Traceback" not in page.content()
    # On a tablet nobody has to push the page sideways.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page, options=RULES).response["violations"]
    told = [{"rule": one["id"], "where": [node["html"][:200] for node in one["nodes"]]} for one in found]
    assert told == [], json.dumps(told, indent=1, ensure_ascii=False)
    context.close()
