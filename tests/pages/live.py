"""The pages' real server beside a service in this process, and what a browser meets there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page
from service_in_process import Service, service

from tests.client.live import Server
from tests.deploy.one_host import free_ports

ROOT = Path(__file__).resolve().parents[2]
UP_WITHIN_S = 60.0
LOOK_MS = 60_000


@dataclass(kw_only=True)
class Pages:
    """Where the pages and the service are; ``made`` is the service itself."""

    url: str
    server: Server
    made: Service


@contextmanager
def live_pages(folder: Path, **settings: Any) -> Iterator[Pages]:
    """Start a service with somebody who does its work, and the pages beside it.

    Parameters
    ----------
    settings
        Of the service, other than the defaults.
    """
    (pages_port,) = free_ports(1)
    server = Server(lambda: made.app)
    made = service(folder / "store", folder / "network", port=server.port, pages_port=pages_port, **settings)
    server.start()
    stopped = threading.Event()
    worker = threading.Thread(target=made.work_until, args=(stopped,))
    worker.start()
    environment = {**os.environ, "ISLETNET_PORT": str(server.port), "ISLETNET_PAGES_PORT": str(pages_port)}
    with (folder / "pages.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "serve.pages"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        url = f"http://127.0.0.1:{pages_port}"
        try:
            _wait_until_up(url, process)
            yield Pages(url=url, server=server, made=made)
        finally:
            process.terminate()
            process.wait(timeout=30)
            stopped.set()
            worker.join()
            server.stop()


@dataclass(kw_only=True)
class Watch:
    """What a page asked for and complained about."""

    foreign: list[str]
    errors: list[str]


def watched(page: Page) -> Watch:
    """Note every request to another host, and every error that the page's scripts raise."""
    watch = Watch(foreign=[], errors=[])

    def ask(request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            watch.foreign.append(request.url)

    page.on("request", ask)
    page.on("pageerror", lambda error: watch.errors.append(str(error)))
    page.set_default_timeout(LOOK_MS)
    return watch


def kernel_of(page: Page) -> str:
    """Tell the id of the kernel that serves an open page."""
    return str(page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId"))


def _wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + UP_WITHIN_S
    pause = threading.Event()
    while time.monotonic() < until_s:
        assert process.poll() is None, "the pages' server ended"
        try:
            if httpx.get(f"{url}/look/favicon.svg", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pause.wait(0.2)
    raise AssertionError("the pages did not come up")
