"""A crowd that does not wait for answers: calls come at a fixed pace, whatever the service does.

A process of its own: ``python -m tests.load.open_loop URL --per-second 20 --seconds 60`` prints one JSON document.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import Any

import httpx

from tests.faults.calls import PARAMETERS, picture

ALLOWED = {202, 429, 503}
_LATEST_S = 60.0


class Crowd:
    """Calls at a pace, and what came of them."""

    def __init__(self, url: str, *, per_second: float, seconds: float, seed: int) -> None:
        self._url, self._per_second, self._seconds = url, per_second, seconds
        self._generator = random.Random(seed)
        self._pictures = [picture(number) for number in range(1, 6)]
        self._statuses: Counter[str] = Counter()
        self._unfit: Counter[str] = Counter()
        self._submit_s: list[float] = []
        self._accepted: list[str] = []

    async def run(self) -> dict[str, Any]:
        """Send until the time is over, then wait for the answers."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
        async with httpx.AsyncClient(timeout=_LATEST_S, limits=limits) as senders, asyncio.TaskGroup() as group:
            begun_s = time.monotonic()
            sending = []
            while time.monotonic() - begun_s < self._seconds:
                sending.append(group.create_task(self._submit(senders, len(sending))))
                await asyncio.sleep(self._generator.expovariate(self._per_second))
        return {
            "sent": len(sending),
            "statuses": dict(self._statuses),
            "unfit": dict(self._unfit),
            "accepted": self._accepted,
            "submit_s": self._submit_s,
        }

    async def _submit(self, client: httpx.AsyncClient, number: int) -> None:
        content = self._pictures[number % len(self._pictures)]
        begun_s = time.monotonic()
        try:
            answer = await client.post(
                f"{self._url}/requests",
                data={"parameters": json.dumps(dict(PARAMETERS))},
                files=[("images", ("picture.tif", content, "image/tiff"))],
            )
        except httpx.HTTPError as error:
            self._statuses[type(error).__name__] += 1
            return
        self._submit_s.append(time.monotonic() - begun_s)
        self._statuses[str(answer.status_code)] += 1
        for fault in faults_of(answer):
            self._unfit[fault] += 1
        if answer.status_code == 202:
            self._accepted.append(answer.json()["request_id"])


def faults_of(answer: httpx.Response) -> list[str]:
    """Tell what is wrong with an answer to a submission."""
    faults = []
    if answer.status_code not in ALLOWED:
        faults.append(f"code {answer.status_code}")
    if not answer.headers.get("content-type", "").startswith("application/json"):
        faults.append("no JSON")
    if answer.status_code in {429, 503} and "retry-after" not in answer.headers:
        faults.append("no Retry-After")
    return faults


def main(arguments: list[str]) -> None:
    """Run a crowd."""
    parser = argparse.ArgumentParser(prog="tests.load.open_loop")
    parser.add_argument("url")
    parser.add_argument("--per-second", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    crowd = Crowd(given.url, per_second=given.per_second, seconds=given.seconds, seed=given.seed)
    sys.stdout.write(json.dumps(asyncio.run(crowd.run())) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
