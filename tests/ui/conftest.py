"""A real service for pages that are looked at without a browser; it works when a test says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from service_in_process import Service, service

from isletnet.client import Client
from tests.client.live import Server


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Service:
    folder = tmp_path_factory.mktemp("service")
    return service(folder / "store", folder / "network")


@pytest.fixture(scope="module")
def client(made: Service) -> Iterator[Client]:
    server = Server(lambda: made.app)
    server.start()
    with Client(server.url, patience_s=1.0) as client:
        yield client
    server.stop()
