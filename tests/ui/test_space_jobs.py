"""The jobs behind the page of three dimensions, and the process that does them."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from isletnet.schemas import IEQ_UM3
from isletnet.synthetic.stack import SyntheticStack, make_stack
from isletnet.ui.space import apart
from isletnet.ui.space.jobs import do_job
from isletnet.ui.space.widgets import Files, StackField

STACK_JOB = {
    "kind": "intensity",
    "name": "stack.tif",
    "um_per_px": None,
    "um_per_slice": None,
    "smallest_um": 50.0,
    "value_label": "volume (IEQ)",
}


@pytest.fixture(scope="module")
def grown() -> SyntheticStack:
    return make_stack(5, islets_n=4, um_per_px=5.0, um_per_slice=10.0)


def tiff(samples: np.ndarray, grown: SyntheticStack) -> bytes:
    stream = io.BytesIO()
    resolution = (1 / grown.um_per_px, 1 / grown.um_per_px)
    metadata = {"spacing": grown.um_per_slice, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(stream, samples, imagej=True, resolution=resolution, metadata=metadata)
    return stream.getvalue()


def done(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    (folder / "job.json").write_text(json.dumps(job))
    do_job(folder)
    return dict(json.loads((folder / "outcome.json").read_text()))


def test_a_stack_is_measured_and_drawn(tmp_path: Path, grown: SyntheticStack) -> None:
    (tmp_path / "stack.tif").write_bytes(tiff(grown.samples, grown))
    outcome = done(tmp_path, {"task": "stack", **STACK_JOB})
    assert outcome["code"] is None
    assert (outcome["shape"], outcome["um_per_slice"]) == (list(grown.samples.shape), 10.0)
    assert len(outcome["solids"]) == 4
    found_ieq = sum(one["ieq"] for one in outcome["solids"])
    assert found_ieq == pytest.approx(float(grown.volumes_um3.sum()) / IEQ_UM3, rel=0.06)
    assert all(0.7 < one["sphericity"] <= 1 for one in outcome["solids"])
    assert len(list((tmp_path / "shown").iterdir())) == len(grown.samples)
    [triangles] = struct.unpack("<I", (tmp_path / "islets.stl").read_bytes()[80:84])
    assert triangles == (tmp_path / "islets.obj").read_text().count("\nf ")
    assert tifffile.imread(tmp_path / "labels.ome.tif").shape == grown.samples.shape
    scene = (tmp_path / "scene.html").read_text()
    assert "/favicon" not in scene
    middle = np.asarray(Image.open(sorted((tmp_path / "shown").iterdir())[len(grown.samples) // 2])).astype(int)
    assert ((middle[..., 2] - middle[..., 0]) > 40).any()


def test_a_stack_of_numbers_keeps_them(tmp_path: Path, grown: SyntheticStack) -> None:
    (tmp_path / "stack.tif").write_bytes(tiff(grown.labels.astype(np.uint8), grown))
    outcome = done(tmp_path, {"task": "stack", **STACK_JOB, "kind": "labels"})
    voxel_um3 = grown.um_per_px**2 * grown.um_per_slice
    assert [one["volume_um3"] for one in outcome["solids"]] == [
        pytest.approx(np.count_nonzero(grown.labels == number) * voxel_um3) for number in (1, 2, 3, 4)
    ]


def test_colour_slices_go_to_the_service_and_come_back(tmp_path: Path, grown: SyntheticStack) -> None:
    colour = np.where(grown.labels[..., None] > 0, np.array([205, 60, 12]), np.array([195, 190, 5])).astype(np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", colour, photometric="rgb")
    job = {**STACK_JOB, "kind": "micrographs", "um_per_px": 5.0, "um_per_slice": 10.0}
    cut = done(tmp_path, {"task": "cut", **job})
    assert (cut["slices_n"], cut["um_per_px"]) == (len(colour), 5.0)
    (tmp_path / "found").mkdir()
    for number, path in enumerate(sorted((tmp_path / "slices").iterdir())):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), colour[number])
        tifffile.imwrite(tmp_path / "found" / f"{path.stem}.tif", grown.labels[number].astype(np.uint16))
    outcome = done(tmp_path, {"task": "stack", **job})
    assert len(outcome["solids"]) == 4


def test_islets_are_modelled_over_their_picture(tmp_path: Path) -> None:
    y, x = np.mgrid[:100, :140] + 0.5
    islets = ((x - 40) ** 2 + (y - 50) ** 2 < 30**2).astype(np.uint16)
    islets[10:20, 110:120] = 2
    tifffile.imwrite(tmp_path / "islets.tif", islets)
    Image.new("RGB", (140, 100), (195, 190, 5)).save(tmp_path / "picture.jpg")
    # The smaller one is a square of 20 µm, 22.6 µm across as a circle.
    job = {"task": "model", "um_per_px": 2.0, "size_px": [140, 100], "value_label": "µm", "smallest_um": 22.0}
    outcome = done(tmp_path, job)
    assert outcome["islets_n"] == 2
    assert outcome["largest"] == pytest.approx(120, rel=0.01)
    counted = done(tmp_path, {**job, "smallest_um": 50.0})
    assert (counted["islets_n"], counted["smallest"]) == (1, counted["largest"]), "as in the table: no small particles"
    assert done(tmp_path, {**job, "smallest_um": 50.0, "um_per_px": None})["islets_n"] == 2
    assert (tmp_path / "islets.stl").stat().st_size > 5000
    tifffile.imwrite(tmp_path / "islets.tif", np.zeros((100, 140), np.uint8))
    assert done(tmp_path, job) == {"code": None, "islets_n": 0}


def test_a_process_of_its_own_says_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "stack.tif").write_bytes(b"not a stack")
    with pytest.raises(apart.JobError, match="no z-stack that can be read"):
        asyncio.run(apart.run_apart(tmp_path, {"task": "stack", **STACK_JOB}))


def test_an_empty_stack_and_one_of_another_kind_are_told_plainly(tmp_path: Path, grown: SyntheticStack) -> None:
    for samples, kind in ((np.zeros_like(grown.samples), "intensity"), (grown.samples, "micrographs")):
        (tmp_path / "stack.tif").write_bytes(tiff(samples, grown))
        task = "cut" if kind == "micrographs" else "stack"
        with pytest.raises(apart.JobError, match=r"^No islet was found. Choose the kind"):
            asyncio.run(apart.run_apart(tmp_path, {"task": task, **STACK_JOB, "kind": kind}))


def test_a_process_that_dies_or_lasts_too_long_is_told_plainly(tmp_path: Path) -> None:
    with pytest.raises(apart.JobError, match="could not be computed"):
        asyncio.run(apart.run_apart(tmp_path, {"task": "no such task"}))
    with pytest.raises(apart.JobError, match="too long"):
        asyncio.run(apart.run_apart(tmp_path, {"task": "stack", **STACK_JOB}, longest_s=0.01))


def test_work_that_fails_becomes_a_sentence() -> None:
    told: list[str] = []

    async def fail() -> None:
        raise apart.JobError("It is too dark.")

    async def main() -> None:
        apart.start(fail(), told.append)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert told == ["It is too dark."]


def test_a_file_comes_piece_by_piece(tmp_path: Path) -> None:
    arrived: list[str] = []
    field = StackField(tmp_path / "stack.tif", arrived.append)
    sent: list[Any] = []
    field.send = lambda content, buffers=None: sent.append(content)
    content = bytes(range(256)) * 4

    def piece(at: int, data: bytes, size: int = len(content)) -> None:
        field._hear(field, {"kind": "piece", "name": "a.tif", "at": at, "size": size}, [memoryview(data)])

    piece(0, content[:600])
    piece(900, content[900:])
    assert (sent, arrived) == ([{"kind": "got", "at": 600}], [])
    piece(600, content[600:])
    assert arrived == ["a.tif"]
    assert (tmp_path / "stack.tif").read_bytes() == content
    piece(0, b"x" * 3_000_000, 3_000_000)
    assert (tmp_path / "stack.tif").read_bytes() == content


def test_only_the_offered_files_leave(tmp_path: Path) -> None:
    (tmp_path / "a.stl").write_bytes(b"solid")
    (tmp_path / "job.json").write_bytes(b"secret")
    files = Files(tmp_path, {"a.stl": "STL"}, stem="x")
    sent: list[Any] = []
    files.send = lambda content, buffers=None: sent.append((content, buffers))
    for name in ("job.json", "../job.json", "a.stl"):
        files._hear(files, {"name": name, "at": 0}, [])
    assert sent == [({"kind": "piece", "name": "a.stl", "at": 0, "size": 5}, [b"solid"])]
