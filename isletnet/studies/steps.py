"""One step of a pipeline: is it done already, else do it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from isletnet.errors import ExportError, ParameterError
from isletnet.exports.folder import SUMMARY_FILE, read_image
from isletnet.networks.catalogue import find_network
from isletnet.studies import keep
from isletnet.studies.declaration import ADDRESS_KINDS, Declaration, checked, find_study, is_address
from isletnet.studies.runner import LONGEST_S, input_hashes, next_folder, read_run, run_key, run_study, spawn

STEP_FILE = "step.json"
EARLIER = "earlier"
# What `isletnet analyse` may be told by a pipeline.
ANALYSE_OPTIONS = frozenset(
    {"network", "um_per_px", "border", "ieq_method", "uncertainty", "sample", "engine", "precision"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """How a step ended; ``skipped`` means that it was done before."""

    name: str
    state: Literal["done", "skipped", "failed"]
    folder: Path
    seconds: float
    message: str = ""
    link: str | None = None

    def line(self) -> str:
        """Say it in a line."""
        return f"{self.name}: {self.state} in {self.seconds:.1f} s{f'; {self.message}' if self.message else ''}"

    def plain(self) -> dict[str, object]:
        """Give what JSON can hold."""
        return {**asdict(self), "folder": self.folder.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOrder:
    """What a step has to do: a study with its values, or the analysis of the images in a folder.

    ``later`` names the values that are folders of other steps.
    """

    name: str
    folder: Path
    study: str | None
    images: str | None
    values: Mapping[str, Any] = field(default_factory=dict)
    later: frozenset[str] = frozenset()
    studies: Path | None = None

    def check(self) -> None:
        """See that the step may run, as far as can be told before the steps that it needs are done.

        Raises
        ------
        ParameterError
            A parameter is unknown, mistyped or out of range.
        """
        if self.study is None:
            for name in self.values:
                if name not in ANALYSE_OPTIONS:
                    raise ParameterError(f"an analysis takes {', '.join(sorted(ANALYSE_OPTIONS))}", subject=name)
            return
        checked(find_study(self.study, self.studies), self.values, later=self.later)


def run_step(order: StepOrder) -> StepOutcome:
    """Do a step, unless the same has been done; what was there from another run is kept in ``earlier/``."""
    clock = time.monotonic()
    try:
        state, message, link = _analyse(order) if order.study is None else _study(order)
    except ParameterError as error:
        state, message, link = "failed", str(error), None
    seconds = round(time.monotonic() - clock, 2)
    return StepOutcome(name=order.name, state=state, folder=order.folder, seconds=seconds, message=message, link=link)


_Ending = tuple[Literal["done", "skipped", "failed"], str, str | None]


def _study(order: StepOrder) -> _Ending:
    declaration = find_study(str(order.study), order.studies)
    values = checked(declaration, order.values)
    key = run_key(declaration, values, input_hashes(declaration, values))
    before = read_run(order.folder)
    if before.get("key") == key and before.get("state") == "done" and not _asks_service(declaration, values):
        return "skipped", "", None
    if order.folder.exists():
        order.folder.rename(next_folder(order.folder.parent / EARLIER, order.name) / order.name)
    run = run_study(declaration, values, order.folder)
    if run.failure is None:
        return "done", "", None
    link = None if run.failure.link is None else f"{order.name}/{run.failure.link}"
    return "failed", run.failure.message, link


def _asks_service(declaration: Declaration, values: Mapping[str, Any]) -> bool:
    """What a service says may have changed since."""
    return any(one.kind in ADDRESS_KINDS and is_address(values[name]) for name, one in declaration.parameters.items())


def _analyse(order: StepOrder) -> _Ending:
    images = Path(str(order.images))
    hashes = keep.hashes(images)
    network = find_network(str(order.values.get("network", "islet-unet")))
    second = network.content.get("second_opinion")
    key = keep.digest(
        {
            "images": hashes,
            "options": dict(order.values),
            "networks": [one.weights_sha256 for one in (network, *([find_network(second)] if second else []))],
            "code": keep.code_sha256(),
        }
    )
    mark = order.folder / STEP_FILE
    if (keep.read_json(mark) or {}).get("key") == key:
        return "skipped", "", None
    mark.unlink(missing_ok=True)
    order.folder.mkdir(parents=True, exist_ok=True)
    options = [part for name, value in order.values.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-P", "-m", "isletnet.cli", "analyse", str(images), "--out", str(order.folder), *options]
    # It takes up its own work: only images that are not done are analysed.
    failure = spawn({"command": command}, order.folder, longest_s=24 * LONGEST_S)
    if failure is not None:
        return "failed", failure.message, None
    _set_aside(order, hashes)
    keep.write_json(mark, {"key": key})
    return "done", "", None


def _set_aside(order: StepOrder, hashes: Mapping[str, str]) -> None:
    """Move results of images that are not there any more, which no study must read, into ``earlier/``."""
    known = {(Path(name).name, sha256) for name, sha256 in hashes.items()}
    others = [path.parent for path in sorted(order.folder.glob(f"*/{SUMMARY_FILE}")) if _image_of(path) not in known]
    if others:
        place = next_folder(order.folder.parent / EARLIER, order.name)
        for home in others:
            home.rename(place / home.name)


def _image_of(summary: Path) -> tuple[str, str] | None:
    try:
        record = read_image(summary.parent).record
    except ExportError:
        return None
    return record.image.name, record.provenance.image_sha256
