"""The GPUs of a machine: what its driver says, however it fails, beside what Ray counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serve.upkeep import accelerators as looked_at
from serve.upkeep.accelerators import NodeGpus, accelerators, nodes_of_ray
from tests.serve import nvidia_stand_in as nvidia

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a stand-in of the driver's program on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def install(*gpus: Any, **told: Any) -> None:
        nvidia.install(tmp_path, *gpus, **told)

    return install


def node(gpus_n: int, *, host: str = "here", is_here: bool = True) -> NodeGpus:
    return NodeGpus(host=host, is_here=is_here, gpus_n=gpus_n)


def test_a_machine_without_the_driver_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert accelerators(()) == {"state": "ok", "list": [], "counted_by_ray_n": None, "elsewhere": []}


def test_each_gpu_is_told(install: Install):
    install(nvidia.A100, nvidia.T4)
    told = accelerators([node(2), node(0, host="desk", is_here=False), node(4, host="rack", is_here=False)])
    # 8192 MiB are 8 * 1.073741824 GB.
    assert told["list"][0] == {
        "name": "NVIDIA A100-SXM4-40GB",
        "busy_fraction": 0.43,
        "memory_used_mb": 8590,
        "memory_total_mb": 42950,
        "temperature_c": 61.0,
        "needs_reset": False,
    }
    assert (told["list"][1]["name"], told["list"][1]["busy_fraction"]) == ("Tesla T4", 0.0)
    assert (told["state"], told["counted_by_ray_n"]) == ("ok", 2)
    assert told["elsewhere"] == [{"host": "rack", "gpus_n": 4}]


def test_what_the_driver_cannot_tell_is_not_zero(install: Install):
    install(nvidia.GB10)
    told = accelerators([node(1)])
    (gpu,) = told["list"]
    assert (gpu["memory_used_mb"], gpu["memory_total_mb"], gpu["busy_fraction"]) == (None, None, 0.02)
    assert told["state"] == "ok"


def test_a_name_may_hold_a_comma(install: Install):
    install({**nvidia.T4, "name": "Tesla T4, Rev. A"})
    assert accelerators(())["list"][0]["name"] == "Tesla T4, Rev. A"


def test_a_gpu_that_needs_a_reset_is_a_warning(install: Install):
    install(nvidia.A100, nvidia.FAULTY)
    told = accelerators([node(2)])
    assert [gpu["needs_reset"] for gpu in told["list"]] == [False, True]
    assert (told["state"], told["list"][1]["busy_fraction"]) == ("warning", None)


@pytest.mark.parametrize(
    ("gpus", "counted_n", "state"),
    [((), 0, "ok"), ((), 1, "warning"), ((nvidia.T4,), 2, "warning"), ((nvidia.T4, nvidia.T4), 1, "ok")],
)
def test_gpus_that_ray_counts_on_and_the_driver_does_not_show(install: Install, gpus: Any, counted_n: int, state: str):
    install(*gpus)
    assert accelerators([node(counted_n)])["state"] == state


def test_no_devices_are_none(install: Install):
    install(exit_code=6, said=nvidia.NO_DEVICES)
    assert accelerators(()) == {"state": "ok", "list": [], "counted_by_ray_n": None, "elsewhere": []}


@pytest.mark.parametrize(("exit_code", "said"), [(9, nvidia.NO_DRIVER), (18, nvidia.MISMATCH), (255, "")])
def test_a_driver_that_fails_is_told_with_its_words(install: Install, exit_code: int, said: str):
    install(exit_code=exit_code, said=said)
    told = accelerators([node(1)])
    assert (told["state"], told["code"], told["list"]) == ("warning", "gpu_driver_failed", [])
    assert told["counted_by_ray_n"] == 1
    assert said.strip() in told["message"]


def test_a_driver_that_hangs_is_not_waited_for(install: Install, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(looked_at, "DRIVER_ANSWERS_WITHIN_S", 0.2)
    install(nvidia.T4, seconds=60)
    told = accelerators(())
    assert (told["state"], told["code"]) == ("warning", "no_answer")


@pytest.mark.parametrize("content", ["\x7fELF nonsense", "#!/bin/sh\necho '43, 8192'\n"])
def test_a_program_that_is_none_of_nvidia_is_told(tmp_path: Path, install: Install, content: str):
    install()
    (tmp_path / "nvidia-smi").write_text(content)
    assert accelerators(())["code"] == "gpu_driver_failed"


def test_without_ray_nothing_is_counted():
    assert nodes_of_ray() == ()
