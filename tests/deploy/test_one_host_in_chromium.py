"""Pages and API as one host: a person signs in with a password and uses both through nginx."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright
from service_in_process import service

from tests.client.live import Server
from tests.conftest import find_program
from tests.deploy.one_host import HOST, PASSWORDS, free_ports, nginx, wait_for, write_configuration
from tests.serve.requests_at_work import picture

ROOT = Path(__file__).parents[2]


@contextmanager
def one_host(folder: Path) -> Iterator[str]:
    """Run a service that works, its pages, and nginx before both; gives their address."""
    http, https, pages_port = free_ports(3)
    url = f"https://{HOST}:{https}"
    settings = {"pages_origin": url, "trusted_proxy": "127.0.0.1", "pages_port": pages_port}
    made = service(folder / "store", folder / "network", **settings)
    server, stopped = Server(lambda: made.app), threading.Event()
    worker = threading.Thread(target=made.work_until, args=(stopped,))
    told = {f"ISLETNET_{name.upper()}": str(value) for name, value in {**settings, "port": server.port}.items()}
    configuration = write_configuration(folder, api=server.port, pages=pages_port, http=http, https=https)
    server.start()
    worker.start()
    with (folder / "pages.log").open("wb") as log:
        pages = subprocess.Popen(
            [sys.executable, "-m", "serve.pages"], cwd=ROOT, env={**os.environ, **told}, stdout=log, stderr=log
        )
    try:
        wait_for(pages_port)
        with nginx(configuration, https):
            yield url
    finally:
        pages.terminate()
        pages.wait(timeout=30)
        stopped.set()
        worker.join()
        server.stop()


@pytest.mark.browser
def test_a_person_signs_in_analyses_and_finds_it_in_the_history(tmp_path: Path):
    dish = tmp_path / "dish 1.png"
    dish.write_bytes(picture(3))
    with one_host(tmp_path) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_program("chromium"),
            args=["--no-sandbox", "--disable-dev-shm-usage", f"--host-resolver-rules=MAP {HOST} 127.0.0.1"],
        )
        signed_in = {"username": "ann", "password": PASSWORDS["ann"]}
        page = browser.new_context(http_credentials=signed_in, ignore_https_errors=True).new_page()
        page.goto(f"{url}/analyse?lang=en")
        page.locator("input[type=file]").first.set_input_files(dish, timeout=60_000)
        page.get_by_role("button", name="Analyse").click(timeout=60_000)
        expect(page.locator(".islet-card").first).to_be_visible(timeout=60_000)
        page.goto(f"{url}/history?lang=en")
        expect(page.locator(".islet-person")).to_have_text("ann", timeout=60_000)
        expect(page.locator(".islet-requests tbody tr")).to_have_count(1)
