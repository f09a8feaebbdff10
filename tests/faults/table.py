"""The table of what was promised and what was measured."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One promise: what must come out, and what did."""

    promise: str
    goal: str
    measured: str


class Table:
    """Collects rows; each is also appended to a file, which survives an interrupted run."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.rows: list[Row] = []

    def add(self, promise: str, goal: str, measured: str) -> None:
        """Add a row."""
        row = Row(promise=promise, goal=goal, measured=measured)
        self.rows.append(row)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")

    def lines(self) -> list[str]:
        """Write the table, with the machine that it was measured on."""
        memory_gb = psutil.virtual_memory().total / 1e9
        machine = f"{os.cpu_count()} cores, {memory_gb:.0f} GB, {platform.system()} {platform.machine()}"
        widths = [max(len(getattr(row, name)) for row in self.rows) for name in ("promise", "goal")]
        lines = [f"{row.promise:{widths[0]}}  {row.goal:{widths[1]}}  {row.measured}" for row in self.rows]
        return [machine, *lines]


def percentiles(seconds: Sequence[float]) -> str:
    """Tell p50, p95 and p99 of durations."""
    ordered = sorted(seconds)
    picked = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95, 0.99)]
    return "p50/p95/p99 " + "/".join(f"{value:.2f}" for value in picked) + " s"
