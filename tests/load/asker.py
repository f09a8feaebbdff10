"""Somebody who looks at a request all the time, as a person does who waits.

A process of its own, so that it does not wait for a crowd's own work: ``python -m tests.load.asker ADDRESS --seconds
60`` prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter

import httpx

ASK_S = 0.1
_LATEST_S = 60.0


def main(arguments: list[str]) -> None:
    """Ask, and print how long each answer took."""
    parser = argparse.ArgumentParser(prog="tests.load.asker")
    parser.add_argument("address")
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args(arguments)
    took_s: list[float] = []
    statuses: Counter[str] = Counter()
    with httpx.Client(timeout=_LATEST_S) as client:
        until_s = time.monotonic() + given.seconds
        while (begun_s := time.monotonic()) < until_s:
            answer = client.get(given.address)
            took_s.append(time.monotonic() - begun_s)
            statuses[str(answer.status_code)] += 1
            time.sleep(ASK_S)
    sys.stdout.write(json.dumps({"took_s": took_s, "statuses": statuses}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
