"""A service to speak with."""

from collections.abc import Iterator

import pytest

from tests.client.contract import Memory
from tests.client.live import Server


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def server(memory: Memory) -> Iterator[Server]:
    made = Server(memory.app)
    made.start()
    yield made
    made.stop()
