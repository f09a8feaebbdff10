"""Who asks for a large file and does not read it costs little, and keeps nothing when it leaves."""

import hashlib
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.faults.calls import PARAMETERS
from tests.faults.live_platform import Platform, wait_for
from tests.faults.table import Table
from tests.load.overload import peak_memory

pytestmark = pytest.mark.slow

FILE_MB = 200
STOPPED_N = 6
MOST_GROWTH_MB = 150
# Memory that Ray's processes share counts for each once it was touched, by whoever read.
MOST_LEFT_MB = 300
# Nothing more comes by then if anything waits for anybody.
WATCHED_S = 6.0
_ROUTE = "/api/requests/{request_id}/images/{number}/original"
_BLOCK = bytes(range(256)) * 4096


def _file() -> Iterator[bytes]:
    yield b"II*\0" + _BLOCK[4:]
    for _ in range(FILE_MB - 1):
        yield _BLOCK


@pytest.fixture(scope="module")
def sha256() -> str:
    digest = hashlib.sha256()
    for block in _file():
        digest.update(block)
    return digest.hexdigest()


@pytest.fixture
def address(platform: Platform) -> Iterator[str]:
    """Of a large file."""
    request_id = httpx.post(f"{platform.url}/requests", json=dict(PARAMETERS), timeout=60).json()["request_id"]
    request = f"{platform.url}/requests/{request_id}"
    size = {"Content-Length": str(FILE_MB << 20)}
    answer = httpx.put(f"{request}/images/0?name=large.tif", content=_file(), headers=size, timeout=300)
    assert answer.status_code == 201, answer.text
    yield f"{request}/images/0/original"
    assert httpx.delete(request, timeout=60).status_code == 202


def _read(address: str) -> tuple[str, float]:
    """Read all of a file; gives its hash, and the seconds until the first of it came."""
    digest, first_s, begun_s = hashlib.sha256(), 0.0, time.monotonic()
    with httpx.stream("GET", address, timeout=60) as answer:
        for piece in answer.iter_raw():
            first_s = first_s or time.monotonic() - begun_s
            digest.update(piece)
    return digest.hexdigest(), first_s


def _stop_reading(platform: Platform, address: str) -> socket.socket:
    """Ask for a file, and read no more of it than that it comes."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    line.settimeout(60)
    line.connect(("127.0.0.1", platform.port))
    path = address[address.index("/api/") :]
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{platform.port}\r\n\r\n".encode())
    assert line.recv(100).startswith(b"HTTP/1.1 200 ")
    return line


def _ended_n(platform: Platform) -> int:
    """Count the calls for such a file that have ended, by the access log."""
    logs = platform.run_folder.rglob("worker-*.err")
    return sum(log.read_text(errors="replace").count(f'"action": "GET {_ROUTE}"') for log in logs)


def test_readers_that_stop_cost_little(platform: Platform, table: Table, address: str, sha256: str):
    # What a first download takes is kept for the next one.
    for _ in range(4):
        assert _read(address)[0] == sha256
    before_mb, ended_n = platform.memory_mb()["ingress"], _ended_n(platform)
    with ExitStack() as lines:
        with peak_memory(platform) as peak_mb:
            for _ in range(STOPPED_N):
                lines.enter_context(_stop_reading(platform, address))
            time.sleep(WATCHED_S)
        read, first_s = _read(address)
        wait_for(lambda: _ended_n(platform) == ended_n + 1, longest_s=30, what="the call of who read has ended")
    all_n = ended_n + 1 + STOPPED_N
    wait_for(lambda: _ended_n(platform) == all_n, longest_s=30, what="the calls of who left have ended")
    growth_mb = peak_mb["ingress"] - before_mb
    left_mb = platform.memory_mb()["ingress"] - before_mb
    table.add(
        f"{STOPPED_N} readers that stop in {FILE_MB} MB",
        f"growth <= {MOST_GROWTH_MB} MB, others read",
        f"growth {growth_mb:.0f} MB, {left_mb:.0f} MB after they left; another one's file began after {first_s:.2f} s",
    )
    assert growth_mb <= MOST_GROWTH_MB
    assert left_mb <= MOST_LEFT_MB
    assert read == sha256
    assert first_s <= 5
