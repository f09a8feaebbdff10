"""A power cut forgets what was not forced to the disk: nothing is promised before that has happened."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT, find_program
from tests.faults.table import Table

CALLS = "fsync,fdatasync,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat,rename,renameat,renameat2,write"
_BEGUN = re.compile(r"^(?P<thread>\d+) +(?P<call>.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(?P<thread>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)$")
_CALL = re.compile(r"^\d+ +(?P<name>\w+)\((?P<arguments>.*)\) += 0$")
_PROMISE = re.compile(r'^\d+ +write\(1.*"PROMISE (?P<what>\w+)')
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was done to the disk, or a promise."""

    name: str
    paths: tuple[str, ...]


def steps_of(trace: str) -> Iterator[Step]:
    """Read what succeeded, in the order in which it was done."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        if (part := _BEGUN.match(line)) is not None:
            begun[part["thread"]] = f"{part['thread']} {part['call']}"
            continue
        if (part := _RESUMED.match(line)) is not None:
            line = begun.pop(part["thread"]) + part["rest"]
        if (promise := _PROMISE.match(line)) is not None:
            yield Step(name="promise", paths=(promise["what"],))
        elif (call := _CALL.match(line)) is not None:
            name, arguments = call["name"].removesuffix("2").removesuffix("at"), call["arguments"]
            if name in {"fsync", "fdatasync"}:
                yield Step(name="force", paths=(arguments.partition("<")[2].rpartition(">")[0],))
            else:
                yield Step(name=name, paths=tuple(_PATH.findall(arguments)))


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    folder = tmp_path_factory.mktemp("traced")
    strace = find_program("strace")
    command = [
        strace,
        "-f",
        "-y",
        "-s",
        "400",
        "-e",
        f"trace={CALLS}",
        "-e",
        "signal=none",
        "-o",
        str(folder / "trace"),
    ]
    subprocess.run(
        [*command, sys.executable, "-m", "tests.faults.traced", str(folder)],
        cwd=ROOT,
        check=True,
        env={"PATH": "/usr/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
    )
    # The folder of the store, and the one that it was made in.
    found = list(steps_of((folder / "trace").read_text()))
    return [
        step for step in found if step.name == "promise" or any(path.startswith(str(folder)) for path in step.paths)
    ]


def until(steps: list[Step], promise: str) -> list[Step]:
    """Cut the steps where a promise is given."""
    end = steps.index(Step(name="promise", paths=(promise,)))
    return steps[:end]


def is_forced(path: str, steps: list[Step]) -> bool:
    """Whether a folder, or where it is gone one above it, is forced to the disk in these steps."""
    above = {str(folder) for folder in Path(path).parents}
    gone = {step.paths[0] for step in steps if step.name == "rmdir"}
    nearest = next((str(folder) for folder in Path(path).parents if str(folder) not in gone), "")
    return any(step.name == "force" and step.paths[0] in above and step.paths[0] == nearest for step in steps)


@pytest.mark.parametrize("promise", ["submitted", "worked", "pruned"])
def test_what_is_promised_is_on_the_disk(steps: list[Step], promise: str, table: Table):
    before = until(steps, promise)
    links = [(at, step) for at, step in enumerate(before) if step.name == "link"]
    for at, step in links:
        source, target = step.paths
        assert any(one.name == "force" and one.paths[0] == source for one in before[:at]), f"{target}: content"
        assert is_forced(target, before[at:]), f"{target}: name"
    folders = [(at, step) for at, step in enumerate(before) if step.name == "mkdir"]
    for at, step in folders:
        if not step.paths[0].endswith("/.unfinished"):
            assert is_forced(step.paths[0], before[at:]), f"{step.paths[0]}: name of a folder"
    table.add(
        f"power cut when {promise}",
        "content and names on disk",
        f"{len(links)} objects and {len(folders)} folders forced to the disk before",
    )
    assert any(step.paths[1].endswith("/request.json") for _, step in links)


def test_what_is_said_to_be_deleted_is_gone_from_the_disk(steps: list[Step]):
    whole = until(steps, "pruned")
    start = len(until(steps, "worked"))
    told = next(
        at for at, step in enumerate(whole) if at > start and step.name == "link" and "/tombstones/" in step.paths[1]
    )
    removed = [
        (at, step.paths[0])
        for at, step in enumerate(whole[:told])
        if at > start and step.name == "unlink" and "/requests/" in step.paths[0]
    ]
    assert any(path.endswith("/original") for _, path in removed)
    for at, path in removed:
        assert is_forced(path, whole[at:told]), path
