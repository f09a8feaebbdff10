"""Clocks that are wrong: nothing is deleted early, and nobody's work is taken away."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from isletnet.storage import leases, retention
from isletnet.storage.backends.local import LocalStore
from isletnet.storage.verify import verify
from tests.conftest import ROOT
from tests.faults.table import Table
from tests.storage.actors import Clock, ended, submit

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


def skewed(what: str, store: Path, offset: str) -> dict[str, Any]:
    """Run `tests.faults.skewed` with a wrong clock."""
    assert LIBRARY.is_file(), "libfaketime is missing: install it to run with wrong clocks"
    wrong = {"LD_PRELOAD": str(LIBRARY), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ISLETNET_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.skewed", what, str(store)],
        cwd=ROOT,
        env={**kept, **wrong},
        check=True,
        capture_output=True,
        text=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture
def now() -> Clock:
    return Clock(now=datetime.now(UTC))


@pytest.mark.parametrize(
    ("offset", "code"), [("+23h", None), ("-23h", None), ("+25h", "clock_jumped"), ("-25h", "clock_jumped")]
)
def test_a_pruner_with_a_wrong_clock_deletes_nothing_early(
    tmp_path: Path, now: Clock, offset: str, code: str | None, table: Table
):
    store = LocalStore(tmp_path / "store")
    ended(store, now)
    retention.check_clock(store, now=now.now)
    told = skewed("prune", tmp_path / "store", offset)
    off_h = (datetime.fromisoformat(told["utc"]) - datetime.now(UTC)) / timedelta(hours=1)
    assert off_h == pytest.approx(float(offset.removesuffix("h")), abs=0.1)
    table.add(f"pruner's clock {offset}", "nothing early; > 24 h refused", f"removed {told['removed']}, {told['code']}")
    assert (told["code"], told["removed"]) == (code, {})


@pytest.mark.parametrize("offset", ["+1h", "-1h"])
def test_a_worker_with_a_wrong_clock_takes_nobody_s_work(tmp_path: Path, now: Clock, offset: str, table: Table):
    store = LocalStore(tmp_path / "store")
    submit(store, now)
    lease = leases.Dispatcher(store, "here", monotonic=time.monotonic).take(now=now.now)
    assert lease is not None
    lease = leases.beat(store, lease, now=now.now)
    told = skewed("take", tmp_path / "store", offset)
    assert told["taken"] is False
    table.add(f"worker's clock {offset}", "takes nobody's work", "took nothing")
    leases.release(store, lease, now=now.now)
    assert skewed("take", tmp_path / "store", offset)["taken"] is True
    assert {problem.kind for problem in verify(store).problems} <= {"unfinished"}
