"""The pages as people see them: the real server of the pages, a real service in a thread, a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from service_in_process import Service, service

from isletnet.client import Client
from tests.client.live import Server
from tests.deploy.one_host import HOST, free_ports, wait_for
from tests.serve.requests_at_work import picture

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Pages:
    """Pages and the service behind them; ``request_id`` is a finished request."""

    made: Service
    url: str
    api_url: str
    request_id: str


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """Pages of a service that has done some requests."""
    folder = tmp_path_factory.mktemp("pages")
    (port,) = free_ports(1)
    made = service(folder / "store", folder / "network", pages_port=port)
    server, stopped = Server(lambda: made.app), threading.Event()
    worker = threading.Thread(target=made.work_until, args=(stopped,))
    server.start()
    worker.start()
    known = {"um_per_px": 2.0, "sample_volume_ul": 100, "preparation_volume_ml": 250, "recipient_kg": 70}
    with Client(server.url) as client:
        client.submit([picture()[:200]], {"sample_name": "Broken"}).wait()
        for name in ("Donor 1", "Donor 2"):
            request = client.submit([picture(3), picture(2)], {"sample_name": name, **known})
            request.wait()
    environment = {**os.environ, "ISLETNET_PORT": str(server.port), "ISLETNET_PAGES_PORT": str(port)}
    with (folder / "pages.log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "serve.pages"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    wait_for(port)
    yield Pages(made=made, url=f"http://127.0.0.1:{port}", api_url=server.url, request_id=request.id)
    running.terminate()
    running.wait(timeout=30)
    stopped.set()
    worker.join()
    server.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium. It ends with each file of tests: its event loop is in the way of others."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-dev-shm-usage", f"--host-resolver-rules=MAP {HOST} 127.0.0.1"],
        )
        yield browser
        browser.close()
