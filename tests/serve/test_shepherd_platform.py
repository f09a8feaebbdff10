"""The work on a real Ray: bad pictures, pictures beyond the memory, workers that are killed, requests nobody wants."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from ray import serve
from ray_house import RayHouse, ray_house, wait_until
from requests_at_work import picture

from isletnet.networks.model import load_network
from isletnet.storage import jobs, sweep, verify
from isletnet.storage.layout import Outcome
from isletnet.storage.leases import Dispatcher
from serve import ingress
from serve.work.parameters import RequestParameters
from serve.work.tasks import NowDone, NowTask, Refused

WORKER_MEMORY_MB = 700


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHouse]:
    with ray_house(tmp_path_factory.mktemp("store"), worker_memory_mb=WORKER_MEMORY_MB) as running:
        yield running


def huge_picture(side_px: int = 12_000) -> bytes:
    """A black PNG that takes no space in a file, and 430 MB once decoded: within the limit of pixels."""
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(1)
    line = bytes(1 + 3 * side_px)
    pixels = b"".join([*(packer.compress(line) for _ in range(side_px)), packer.flush()])
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    body = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def hashes(outcome: Outcome) -> dict[str, str]:
    return {file.path: file.sha256 for file in outcome.files if file.path.startswith("images/")}


def problems(house: RayHouse) -> list[object]:
    sweep.sweep(house.store, now=datetime.now(UTC))
    return list(verify.verify(house.store).problems)


def test_bad_pictures_and_those_beyond_the_memory_fail_alone(house: RayHouse) -> None:
    outcome = house.wait(house.submit(picture(2), b"no picture", huge_picture(), picture(3), um_per_px=2.0))
    assert outcome.state == "done"
    assert [one.code for one in outcome.images] == [None, "image_unsupported", "image_too_large", None]
    assert not problems(house)


def test_a_killed_worker_costs_nothing_but_time(house: RayHouse) -> None:
    pictures = [picture(2, shape=(600, 800), seed=seed) for seed in range(4)]
    calm = house.wait(house.submit(*pictures, um_per_px=2.0))
    request_id = house.submit(*pictures, um_per_px=2.0)
    wait_until(lambda: jobs.state_of(house.store, request_id) == "running", 30)
    before = house.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    outcome = house.wait(request_id)
    assert [one.state for one in outcome.images] == ["done"] * 4
    assert hashes(outcome) == hashes(calm)
    wait_until(lambda: len(house.workers()) == 2, 60)
    assert not set(before) & set(house.workers())
    assert not problems(house)


@pytest.mark.slow
def test_a_killed_segmenter_costs_nothing_but_time(house: RayHouse) -> None:
    request_id = house.submit(*(picture(1, shape=(600, 800), seed=seed) for seed in range(3)), um_per_px=2.0)
    wait_until(lambda: jobs.state_of(house.store, request_id) == "running", 30)
    killed = [process for process in psutil.process_iter(["cmdline"]) if _is_segmenter_of_ours(process, house)]
    assert len(killed) == 1
    killed[0].kill()
    outcome = house.wait(request_id)
    assert [one.state for one in outcome.images] == ["done"] * 3


def _is_segmenter_of_ours(process: psutil.Process, house: RayHouse) -> bool:
    """Whether it is a replica of the segmenter, started by the same raylet as a worker of ours."""
    try:
        is_replica = "Segmenter" in " ".join(process.info["cmdline"] or [])
        return is_replica and process.ppid() == psutil.Process(house.workers()[0]).ppid()
    except psutil.NoSuchProcess:
        return False


def test_a_cancelled_request_makes_way_at_once(house: RayHouse) -> None:
    slow = [_large_picture(seed) for seed in range(4)]
    cancelled = house.submit(*slow, um_per_px=2.0)
    wait_until(lambda: jobs.state_of(house.store, cancelled) == "running", 30)
    jobs.cancel(house.store, cancelled, actor="ann", now=datetime.now(UTC))
    outcome = house.wait(house.submit(picture(1), um_per_px=2.0))
    assert outcome.state == "done"
    assert jobs.state_of(house.store, cancelled) == "cancelled"
    wait_until(lambda: not house.shepherd.report.remote().result()["requests"], 30)
    assert not problems(house)


def _large_picture(seed: int) -> bytes:
    buffer = BytesIO()
    grey = np.random.default_rng(seed).integers(150, 200, (1500, 2000, 1)).astype(np.uint8)
    Image.fromarray(np.repeat(grey, 3, axis=2)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def test_an_answer_at_once_is_what_the_library_says(house: RayHouse) -> None:
    from isletnet.analysis.pipeline import analyse

    content = picture(3)
    task = NowTask(content=content, name="x", parameters=RequestParameters(um_per_px=2.0))
    answer = house.shepherd.ask.remote(task).result()
    assert isinstance(answer, NowDone)
    here = analyse(content, name="x", um_per_px=2.0, load=load_network)
    record = answer.record
    assert record["summary"]["ieq"]["value"] == pytest.approx(here.summary.ieq.value)
    assert record["provenance"]["network"]["engine"] == here.provenance.network.engine


class Watched:
    """The shepherd, which counts what it is asked by way of Ray Serve."""

    def __init__(self, shepherd: Any) -> None:
        self.address, self._shepherd = shepherd.address, shepherd
        self.asked_n = 0

    @property
    def ask(self) -> Any:
        self.asked_n += 1
        return self._shepherd.ask


def test_a_small_image_goes_over_the_line_and_a_large_one_by_reference(
    house: RayHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    shepherd = Watched(house.shepherd)
    ask = ingress.Asking(shepherd)  # type: ignore[arg-type]
    task = NowTask(content=picture(3), name="x", parameters=RequestParameters(um_per_px=2.0))
    answers = [asyncio.run(ask(task))]
    assert shepherd.asked_n == 0
    monkeypatch.setattr(ingress, "SENT_BYTES", 100)
    answers.append(asyncio.run(ask(task)))
    assert shepherd.asked_n == 1
    refused = asyncio.run(ask(NowTask(content=b"no picture", name="x", parameters=RequestParameters())))
    assert isinstance(refused, Refused)
    assert [isinstance(answer, NowDone) for answer in answers] == [True, True]
    assert answers[0] == answers[1]


def test_who_waits_for_an_answer_gets_it_though_the_shepherd_dies(house: RayHouse) -> None:
    ask = ingress.Asking(house.shepherd)
    task = NowTask(content=_large_picture(1), name="x", parameters=RequestParameters(um_per_px=2.0))
    tiles_n = house.desk().tiles_n
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(lambda: asyncio.run(ask(task)))
        wait_until(lambda: house.desk().tiles_n > tiles_n, 30)
        assert not asked.done()
        os.kill(house.shepherd.report.remote().result()["pid"], signal.SIGKILL)
        assert isinstance(asked.result(120), NowDone)
    # Its successor is found, too.
    assert isinstance(asyncio.run(ask(task)), NowDone)


def test_a_shepherd_that_is_stopped_hands_its_requests_back(house: RayHouse) -> None:
    # The last test: there is no shepherd afterwards.
    request_id = house.submit(*(_large_picture(seed) for seed in range(4)), um_per_px=2.0)
    wait_until(lambda: jobs.state_of(house.store, request_id) == "running", 30)
    serve.delete("isletnet")
    lease = Dispatcher(house.store, "another", monotonic=time.monotonic).take(now=datetime.now(UTC))
    assert lease is not None
    assert (lease.request.request_id, lease.attempt) == (request_id, 2)
