"""What the pages' server refuses to strangers, and to pages of others that a person has open."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from tests.pages.live import Pages

pytestmark = pytest.mark.browser

FOREIGN = {"Origin": "https://evil.example"}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def opened(pages: Pages) -> str:
    """Open a page as a browser does; returns its kernel."""
    answer = httpx.get(f"{pages.url}/analyse", trust_env=False, timeout=60)
    told = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', answer.text, re.DOTALL)
    assert told is not None
    return str(json.loads(told[1])["kernelId"])


def test_a_foreign_page_cannot_speak_with_a_kernel(pages: Pages):
    kernel = opened(pages)
    channels = f"{pages.url}/api/kernels/{kernel}/channels"

    def status(origin: dict[str, str]) -> int:
        with httpx.stream("GET", channels, headers={**UPGRADE, **origin}, trust_env=False) as answer:
            return answer.status_code

    assert status({"Origin": pages.url}) == 101
    assert status(FOREIGN) == 403
    assert status({"Origin": "null"}) == 403
    assert status({"Origin": pages.url.replace("127.0.0.1", "127.0.0.1.evil.example")}) == 403


@pytest.mark.parametrize("headers", [FOREIGN, {}, {"X-XSRFToken": "guess"}])
def test_a_foreign_page_cannot_end_a_kernel(pages: Pages, headers: dict[str, str]):
    kernel = opened(pages)
    here = f"{pages.url}/api/kernels/{kernel}"
    answers = [
        httpx.post(f"{pages.url}/voila/api/shutdown/{kernel}", headers=headers, trust_env=False),
        httpx.delete(here, headers=headers, trust_env=False),
        httpx.post(f"{here}/restart", headers=headers, trust_env=False),
        httpx.post(f"{here}/interrupt", headers=headers, trust_env=False),
    ]
    assert all(answer.status_code in (403, 404, 405) for answer in answers), answers
    assert httpx.get(here, trust_env=False).status_code == 200


def test_a_page_may_not_be_framed_or_read_by_others(pages: Pages):
    answer = httpx.get(f"{pages.url}/analyse", headers=FOREIGN, trust_env=False, timeout=60)
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in policy
    assert "default-src 'self'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


def test_no_notebook_no_kernel_list_and_no_file_can_be_read(pages: Pages):
    for path in (
        "/notebooks/analyse.ipynb",
        "/analyse.ipynb",
        "/voila/files/analyse.ipynb",
        "/voila/render/analyse.ipynb",
        "/voila/tree",
        "/voila/api/contents",
        "/api/kernels",
        "/api/contents",
        "/look/../analyse.ipynb",
        "/status.ipynb",
    ):
        answer = httpx.get(f"{pages.url}{path}", trust_env=False)
        assert answer.status_code == 404, path
        assert "isletnet.ui" not in answer.text
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
