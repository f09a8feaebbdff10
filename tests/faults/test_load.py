"""Too much at once: too many calls, the same call many times, large uploads, a very large picture, hours of work."""

import json
import os
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from isletnet.synthetic.scene import make_scene
from tests.faults.calls import PARAMETERS, Sender, picture, tiff
from tests.faults.conftest import IS_LONG, Sizes
from tests.faults.live_platform import Platform
from tests.faults.table import Table, percentiles
from tests.load.overload import overload, peak_memory

pytestmark = pytest.mark.slow

UPLOAD_MB = 200
UPLOADERS_N = 4


def test_the_same_submission_fifty_times_is_one_request(platform: Platform, sender: Sender, table: Table):
    key = f"same {time.time_ns()}"
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: sender.try_submit([picture(1)], key=key), range(50)))
    accepted = {answer.request_id for answer in answers if answer.status == 202}
    statuses = sorted({answer.status for answer in answers})
    other = sender.try_submit([picture(2)], key=key)
    table.add(
        "50 times the same key",
        "1 request; other body 409",
        f"{len(accepted)} request, {statuses}; then {other.status}",
    )
    assert len(accepted) == 1
    # Those that met the first one on its way may be told to come again, and nothing else.
    assert set(statuses) <= {202, 409, 429, 503}
    assert other.status == 409
    assert sender.wait(accepted.pop())["state"] == "done"


def test_overload_is_answered_and_every_promise_kept(platform: Platform, sizes: Sizes, table: Table):
    found = overload(platform, seconds=sizes.overload_s, seed=sizes.seed, table=table)
    assert found.unfit == {}
    assert set(found.states) == {"done"}
    assert {"202"} < set(found.statuses) <= {"202", "429", "503"}
    assert found.status_p99_s <= 0.5


def test_what_computes_steps_back_for_what_answers(platform: Platform):
    answering = max(platform.niceness(kind) for kind in ("ingress", "shepherd"))
    assert answering == os.getpriority(os.PRIO_PROCESS, 0)
    assert min(platform.niceness(kind) for kind in ("worker", "segmenter")) >= answering + 10


def test_large_uploads_leave_memory_alone(platform: Platform, sender: Sender, sizes: Sizes, table: Table):
    def upload(number: int) -> float:
        request_id = opened[number]
        begun_s = time.monotonic()
        answer = httpx.put(
            f"{platform.url}/requests/{request_id}/images/0?name=large.tif",
            content=_noise(number),
            headers={"Content-Length": str(UPLOAD_MB << 20)},
            timeout=300,
        )
        seconds = time.monotonic() - begun_s
        assert answer.status_code == 201, answer.text
        assert answer.json()["size_bytes"] == UPLOAD_MB << 20
        assert httpx.delete(f"{platform.url}/requests/{request_id}", timeout=60).status_code == 202
        return seconds

    opened = [
        httpx.post(f"{platform.url}/requests", json=dict(PARAMETERS), timeout=60).json()["request_id"]
        for _ in range(sizes.uploads_n)
    ]
    before_mb = platform.memory_mb()["ingress"]
    with peak_memory(platform) as peak_mb, ThreadPoolExecutor(UPLOADERS_N) as pool:
        seconds = list(pool.map(upload, range(sizes.uploads_n)))
    growth_mb = peak_mb["ingress"] - before_mb
    half = len(seconds) // 2
    drift = statistics.median(seconds[half:]) / statistics.median(seconds[:half])
    left = [path for path in Path(platform.store, ".unfinished").glob("*")]
    table.add(
        f"{sizes.uploads_n} uploads of {UPLOAD_MB} MB, {UPLOADERS_N} at once",
        "growth <= 1500 MB, no slowing, nothing left",
        f"growth {growth_mb:.0f} MB, later/earlier {drift:.2f}, {len(left)} left, " + percentiles(seconds),
    )
    assert growth_mb <= 1500
    assert left == []


def _noise(number: int) -> Iterator[bytes]:
    block = np.random.default_rng(number).bytes(1 << 20)
    # What it is not turns out when it is analysed, which it never is.
    yield b"II*\0" + block[4:]
    for _ in range(UPLOAD_MB - 1):
        yield block


def test_an_image_that_kills_its_worker_fails_alone(platform: Platform, sender: Sender, table: Table):
    # Long enough at work to be found there.
    large = tiff(np.tile(make_scene(5, (750, 1000), 2.0).pixels, (8, 8, 1)))
    request_id = sender.submit([picture(1), large, picture(2)], key=f"poison {time.time_ns()}")
    begun_s = time.monotonic()
    deaths_n = 0
    while (told := sender.status(request_id))["state"] not in {"done", "dead"}:
        states = [image["state"] for image in told["images"]]
        if states[1] == "running" and states.count("running") == 1:
            platform.kill("worker")
            deaths_n += 1
        assert time.monotonic() - begun_s < 240
        time.sleep(0.5)
    states = [image["state"] for image in told["images"]]
    poisoned = told["images"][1]
    table.add(
        "image that kills its worker",
        "fails after 3 tries, others done",
        f"{deaths_n} deaths, images {states}, code {poisoned['code']}, {time.monotonic() - begun_s:.0f} s",
    )
    assert (told["state"], states, poisoned["code"]) == ("done", ["done", "failed", "done"], "worker_lost")
    assert poisoned["message"]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG"] if IS_LONG else ["JPEG"])
def test_a_hundred_megapixels(platform: Platform, sender: Sender, table: Table, kind: str):
    tile = make_scene(7, (1000, 1250), 0.5).pixels
    pixels = np.tile(tile, (10, 8, 1))
    assert pixels.shape == (10_000, 10_000, 3)
    buffer = BytesIO()
    if kind == "TIFF":
        buffer.write(tiff(pixels))
    else:
        Image.fromarray(pixels).save(buffer, kind, quality=90)
    peak_mb = 0.0
    is_over = threading.Event()

    def watch() -> None:
        nonlocal peak_mb
        while not is_over.wait(0.2):
            for process in platform.processes("worker"):
                try:
                    peak_mb = max(peak_mb, process.memory_info().rss / 1e6)
                except psutil.Error:
                    continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        begun_s = time.monotonic()
        parameters = {**PARAMETERS, "um_per_px": 0.5}
        request_id = sender.submit([buffer.getvalue()], key=f"large {kind} {time.time_ns()}", parameters=parameters)
        told = sender.wait(request_id)
        seconds = time.monotonic() - begun_s
    finally:
        is_over.set()
        thread.join()
    table.add(f"100 MPx {kind}", "done, worker <= 4000 MB", f"{told['state']} in {seconds:.0f} s, {peak_mb:.0f} MB")
    assert told["state"] == "done", json.dumps(told)
    assert peak_mb <= 4000
