"""Very many people at the pages: each gets a page or a plain word, and what they leave behind goes away."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import httpx
import psutil
import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from serve.pages import PAGES
from tests.conftest import ROOT
from tests.faults.impatient_pages import CAP
from tests.faults.live_platform import free_port, wait_for
from tests.faults.table import Table

pytestmark = pytest.mark.slow

GETS_N, SESSIONS_N, VISITORS_N = 200, 20, 8
LATEST_S = 120.0


class Server:
    """The pages' server: its address, its kernels, its memory."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._root = psutil.Process(process.pid)
        self.address = f"127.0.0.1:{port}"
        self.most_kernels_n = 0

    def kernels_n(self) -> int:
        """Count the kernels that run."""
        found = 0
        for process in self._root.children(recursive=True):
            with suppress(psutil.Error):
                found += "ipykernel_launcher" in process.cmdline()
        self.most_kernels_n = max(self.most_kernels_n, found)
        return found

    def memory_mb(self) -> float:
        """Sum the resident memory of the server and of what it started."""
        return sum(one.memory_info().rss for one in (self._root, *self._root.children(recursive=True))) / 1e6

    def get(self, number: int) -> httpx.Response:
        """Ask for a page as a person does whose browser closes at once."""
        page = PAGES[number % len(PAGES)]
        return httpx.get(f"http://{self.address}/{page}", timeout=LATEST_S, trust_env=False)

    def is_empty(self) -> bool:
        """Whether no kernel is left."""
        return self.kernels_n() == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    port = free_port()
    with (tmp_path / "pages.log").open("wb") as log:
        command = [sys.executable, "-m", "tests.faults.impatient_pages", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    made = Server(process, port)

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "pages.log").read_text()
        with suppress(httpx.TransportError):
            return httpx.get(f"http://{made.address}/look/favicon.svg", trust_env=False).status_code == 200
        return False

    try:
        wait_for(answers, longest_s=LATEST_S, what="the pages are up")
        yield made
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def watched(server: Server) -> Iterator[None]:
    """Count kernels all the time."""
    is_over = Event()

    def watch() -> None:
        while not is_over.wait(0.1):
            server.kernels_n()

    thread = Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


async def _sit(server: Server, number: int) -> WebSocketClientConnection:
    """Open a page and stay connected, without a word."""
    answer = await asyncio.to_thread(server.get, number)
    assert answer.status_code == 200
    config = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', answer.text, re.DOTALL)
    assert config is not None
    kernel = json.loads(config[1])["kernelId"]
    return await websocket_connect(f"ws://{server.address}/api/kernels/{kernel}/channels")


async def _sit_until_all_is_gone(server: Server) -> float:
    """Sit at many pages until none has a kernel any more; returns how many seconds that took."""
    lines = await asyncio.gather(*(_sit(server, number) for number in range(SESSIONS_N)))
    begun_s = time.monotonic()
    await asyncio.to_thread(wait_for, server.is_empty, longest_s=LATEST_S, what="the kernels of idle pages have ended")
    for line in lines:
        line.close()
    return time.monotonic() - begun_s


def test_kernels_stay_few_and_go_when_nobody_needs_them(server: Server, table: Table):
    begun_s = time.monotonic()
    with watched(server), ThreadPoolExecutor(VISITORS_N) as pool:
        answers = list(pool.map(server.get, range(GETS_N)))
    wait_for(server.is_empty, longest_s=LATEST_S, what="the kernels of closed pages have ended")
    statuses = Counter(answer.status_code for answer in answers)
    refusals = [answer for answer in answers if answer.status_code == 503]
    flood_s = time.monotonic() - begun_s
    # What a server loads and keeps for all pages is loaded by then.
    before_mb = server.memory_mb()

    with watched(server):
        idle_s = asyncio.run(_sit_until_all_is_gone(server))
    memory_change = server.memory_mb() / before_mb - 1
    table.add(
        f"{GETS_N} pages, {SESSIONS_N} idle sessions",
        f"kernels <= {CAP}, 503 above, 0 after cull, memory within 10 %",
        f"at most {server.most_kernels_n} kernels, answers {dict(statuses)}, 0 left; {flood_s:.0f} s; "
        f"idle ones gone after {idle_s:.0f} s; memory {memory_change:+.1%} of {before_mb:.0f} MB",
    )
    assert server.most_kernels_n <= CAP
    assert set(statuses) == {200, 503}
    assert all("Too many people" in answer.text and answer.headers["retry-after"] for answer in refusals)
    assert abs(memory_change) <= 0.1
