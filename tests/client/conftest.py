"""The real service in this process, behind a real server, and somebody who does its work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from service_in_process import Service, service

from tests.client.live import Server


@pytest.fixture(scope="session")
def network_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks") / "colour"


@pytest.fixture
def settings() -> dict[str, Any]:
    """Settings other than the defaults, for a test to replace."""
    return {}


@pytest.fixture
def made(tmp_path: Path, network_folder: Path, settings: dict[str, Any]) -> Service:
    return service(tmp_path / "store", network_folder, **settings)


@pytest.fixture
def server(made: Service) -> Iterator[Server]:
    running = Server(lambda: made.app)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def work(made: Service) -> Iterator[Callable[[], None]]:
    """Starts the work on what is submitted; it ends with the test."""
    stopped = threading.Event()
    worker = threading.Thread(target=made.work_until, args=(stopped,))
    yield worker.start
    stopped.set()
    if worker.ident:
        worker.join()
