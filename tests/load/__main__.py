"""``make load``: starts a platform, finds out what it can do, sends three times as much, and prints what came of it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.live_platform import USUAL, Platform
from tests.faults.table import Table
from tests.load.overload import overload


def main() -> int:
    """Measure, print, and tell by the exit code whether all goals were reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.load")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    table = Table(None)
    with tempfile.TemporaryDirectory(prefix="isletnet-load-") as folder:
        platform = Platform(str(Path(folder) / "store"), variables=USUAL)
        try:
            platform.start()
            found = overload(platform, seconds=given.seconds, seed=given.seed, table=table)
            platform.stop()
            problems = platform.verify().problems
        finally:
            platform.close()
    sys.stdout.write("\n".join([f"seed {given.seed}", *table.lines()]) + "\n")
    is_kept = not found.unfit and set(found.states) == {"done"} and found.status_p99_s <= 0.5 and not problems
    return 0 if is_kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
