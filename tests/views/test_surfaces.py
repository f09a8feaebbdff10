"""Pages of surfaces: nothing from outside, and in a browser something is to be seen."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from isletnet.synthetic import bodies
from isletnet.views.surfaces import DrawnSolid, stack_page, surfaces_page
from isletnet.volumes.meshes import surface_of_voxels
from tests.conftest import find_program
from tests.other_process import in_another_process

BALL = bodies.voxels(bodies.ellipsoid([40, 40, 40]), um_per_px=8.0, um_per_slice=8.0)


def solid(value: float) -> DrawnSolid:
    mesh = surface_of_voxels(BALL, um_per_px=8.0, um_per_slice=8.0)
    return DrawnSolid(vertices_um=mesh.vertices_um + [200 * value, 0, 0], faces=mesh.faces, value=value)


@pytest.fixture(scope="module")
def page() -> str:
    slices = [np.full((40, 60, 3), level, dtype=np.uint8) for level in (10, 120, 240)]
    solids = [solid(0.0), solid(1.0)]
    return in_another_process(stack_page, solids, slices, title="<b> & Co", note="2 > 1", value_label="volume (IEQ)")


def test_texts_are_no_markup(page: str) -> None:
    assert "<h1>&lt;b&gt; &amp; Co</h1><p>2 &gt; 1</p>" in page
    assert "<b>" not in page.split("srcdoc", 1)[0]
    assert page.rsplit("<script>", 1)[1].count("data:image/jpeg;base64,") == 3


def test_one_surface_needs_no_ground() -> None:
    text = in_another_process(surfaces_page, [solid(1.0)], title="One", note="A model", value_label="diameter (um)")
    assert "A model" in text
    assert "srcdoc=" in text


@pytest.mark.slow
def test_a_browser_draws_it_and_asks_nobody(page: str, tmp_path) -> None:
    from playwright.sync_api import sync_playwright

    chromium = find_program("chromium")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    asked: list[str] = []
    broken: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
        )
        tab = browser.new_page(viewport={"width": 1000, "height": 700})
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: broken.append(str(error)))
        tab.goto((tmp_path / "page.html").as_uri())
        tab.frame_locator("iframe").locator("canvas").first.wait_for()
        # The first and the last of the colours appear once the scene is drawn.
        for _ in range(60):
            picture = Image.open(io.BytesIO(tab.locator("iframe").screenshot())).convert("RGB")
            levels = np.asarray(picture).reshape(-1, 3).astype(int)
            yellow = (levels[:, 0] - levels[:, 2] > 60).sum()
            blue = (levels[:, 2] - levels[:, 0] > 30).sum()
            if min(yellow, blue) > 200:
                break
            tab.wait_for_timeout(250)
        tab.evaluate("place.value = 1; place.dispatchEvent(new Event('input'))")
        number = tab.evaluate("number.value")
        browser.close()
    assert min(yellow, blue) > 200
    assert number == "1"
    assert broken == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
