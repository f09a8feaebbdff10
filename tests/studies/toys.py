"""What tests of toy studies share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

ToyMaker = Callable[..., Path]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until a condition holds."""
    pause = threading.Event()
    if not any(condition() or pause.wait(0.05) for _ in range(int(seconds / 0.05))):
        raise AssertionError(f"{what} did not come within {seconds:g} s")
