"""A pipeline of studies: steps that need each other, run side by side, taken up again where they stopped.

::

    title: From a folder of images to all figures and tables
    about: ...
    inputs:
      images: {kind: folder, about: Micrographs.}
    steps:
      results:
        analyse: ${images}
      correlations:
        study: correlations
        needs: [results]
        parameters: {results: "${results}", level: 0.95}

``${name}`` stands for an input or for the folder of a needed step. A step with ``when: name`` is left out where that
input is empty. A step is done again only if its parameters, the content of its inputs, or code changed.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from isletnet.errors import ParameterError
from isletnet.studies.declaration import NAME, Declaration, Parameter, Strict, checked
from isletnet.studies.keep import write_json
from isletnet.studies.page import write_page
from isletnet.studies.steps import StepOrder, StepOutcome, run_step

PIPELINE_FILE = "pipeline.json"
_REFERENCE = re.compile(r"\$\{([a-z][a-z0-9_]*)\}")

StepState = Literal["done", "skipped", "failed", "not_run", "left_out"]


class Step(Strict):
    """A step: the analysis of a folder of images, or a study."""

    analyse: str | None = None
    study: str | None = None
    needs: list[str] = []
    when: str | None = None
    parameters: dict[str, str | bool | int | float | list[str]] = {}


class Pipeline(Strict):
    """A pipeline, as its file tells it."""

    title: str
    about: str
    inputs: dict[str, Parameter]
    steps: dict[str, Step]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRun:
    """How every step ended, in the order of the file; ``outcomes`` lacks steps that were not run."""

    states: dict[str, StepState]
    outcomes: dict[str, StepOutcome]

    @property
    def is_whole(self) -> bool:
        """Whether no step failed or had to be passed over."""
        return not set(self.states.values()) & {"failed", "not_run"}


def read_pipeline(path: Path) -> Pipeline:
    """Read a pipeline and check that it can run.

    Raises
    ------
    ParameterError
        The file is no pipeline; a step is neither analysis nor study; a reference leads to nothing or to a step that
        is not needed; steps need each other in a circle.
    """
    try:
        found = Pipeline.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ParameterError(f"a pipeline was expected: {error}", subject=str(path)) from error
    for name, step in found.steps.items():
        _check_step(name, step, found, str(path))
    in_order(found)
    return found


def check_inputs(pipeline: Pipeline, values: Mapping[str, object], *, from_text: bool = False) -> dict[str, Any]:
    """Check the inputs of a pipeline as those of a study; see `declaration.checked`."""
    declared = Declaration(
        name="pipeline",
        title=pipeline.title,
        about=pipeline.about,
        notebook=Path(),
        parameters=pipeline.inputs,
    )
    return checked(declared, values, from_text=from_text)


def in_order(pipeline: Pipeline) -> tuple[str, ...]:
    """List the steps so that each comes after those it needs.

    Raises
    ------
    ParameterError
        Steps need each other in a circle.
    """
    order: list[str] = []
    while len(order) < len(pipeline.steps):
        ready = [name for name, step in pipeline.steps.items() if name not in order and set(step.needs) <= set(order)]
        if not ready:
            circle = ", ".join(name for name in pipeline.steps if name not in order)
            raise ParameterError(f"steps must not need each other in a circle, but {circle} do")
        order += ready
    return tuple(order)


def run_pipeline(
    pipeline: Pipeline,
    inputs: Mapping[str, Any],
    out: Path,
    *,
    executor: Executor,
    studies: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> PipelineRun:
    """Run what is not done yet.

    Parameters
    ----------
    pipeline
        From `read_pipeline`.
    inputs
        From `check_inputs`.
    out
        Each step has a folder of its name there. ``pipeline.json`` and ``index.html`` are written after each step.
    executor
        Where steps run side by side: threads here (each step is a process of its own), or the tasks of a cluster
        that shares ``out``.
    studies
        Folder of the studies; None takes the installed ones.
    report
        Is told how each step ended.

    Returns
    -------
    PipelineRun
        A failed step stops only those that need it.

    Raises
    ------
    ParameterError
        A step's parameters are not allowed (told before anything runs), or another run works in ``out``.
    """
    home = out.absolute()
    orders = {name: _order(name, step, inputs, home, studies) for name, step in pipeline.steps.items()}
    left_out = {name for name, step in pipeline.steps.items() if step.when and not inputs[step.when]}
    for name, order in orders.items():
        if name not in left_out:
            order.check()
    states: dict[str, StepState] = dict.fromkeys(left_out, "left_out")
    outcomes: dict[str, StepOutcome] = {}
    running: dict[Future[StepOutcome], str] = {}
    with _alone(home):
        while True:
            _start_ready(pipeline, orders, states, running, executor)
            if not running:
                break
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                name = running.pop(future)
                outcomes[name] = future.result()
                states[name] = outcomes[name].state
                report(outcomes[name].line())
                _write_state(pipeline, states, outcomes, home)
        _write_state(pipeline, states, outcomes, home)
    return PipelineRun(states={name: states[name] for name in pipeline.steps}, outcomes=outcomes)


def _start_ready(
    pipeline: Pipeline,
    orders: Mapping[str, StepOrder],
    states: dict[str, StepState],
    running: dict[Future[StepOutcome], str],
    executor: Executor,
) -> None:
    for name in in_order(pipeline):
        if name in states or name in running.values():
            continue
        needed = [states.get(need) for need in pipeline.steps[name].needs]
        if set(needed) & {"failed", "not_run", "left_out"}:
            states[name] = "not_run"
        elif None not in needed:
            running[executor.submit(run_step, orders[name])] = name


def _order(name: str, step: Step, inputs: Mapping[str, Any], out: Path, studies: Path | None) -> StepOrder:
    known = {**inputs, **{need: str(out / need) for need in step.needs}}
    values = {key: _filled(value, known) for key, value in step.parameters.items()}
    later = {key for key, value in step.parameters.items() if set(_references(value)) & set(step.needs)}
    return StepOrder(
        name=name,
        folder=out / name,
        study=step.study,
        images=None if step.analyse is None else str(_filled(step.analyse, known)),
        values=values,
        later=frozenset(later),
        studies=studies,
    )


def _references(value: Any) -> list[str]:
    return _REFERENCE.findall(value) if isinstance(value, str) else []


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    if not isinstance(value, str):
        return value
    alone = _REFERENCE.fullmatch(value)
    # A value that is nothing but a reference keeps its type.
    return known[alone[1]] if alone else _REFERENCE.sub(lambda match: str(known[match[1]]), value)


def _check_step(name: str, step: Step, pipeline: Pipeline, path: str) -> None:
    if not NAME.fullmatch(name) or name in pipeline.inputs:
        raise ParameterError(f"{name!r} cannot name a step: use a-z, 0-9, _, and no input's name", subject=path)
    if (step.analyse is None) == (step.study is None):
        raise ParameterError(f"the step {name} must have either `analyse` or `study`", subject=path)
    for need in step.needs:
        if need not in pipeline.steps:
            raise ParameterError(f"the step {name} needs {need}, but there is no such step", subject=path)
    if step.when is not None and step.when not in pipeline.inputs:
        raise ParameterError(f"the step {name} asks for the input {step.when}, but there is none", subject=path)
    values = (step.analyse, *step.parameters.values())
    for reference in sorted({found for value in values for found in _references(value)}):
        if reference not in pipeline.inputs and reference not in step.needs:
            raise ParameterError(f"the step {name} uses {reference}, which is no input and is not needed", subject=path)


def _write_state(
    pipeline: Pipeline, states: Mapping[str, StepState], outcomes: Mapping[str, StepOutcome], out: Path
) -> None:
    steps = [
        {"step": name, "state": states.get(name, "not_run"), **(outcomes[name].plain() if name in outcomes else {})}
        for name in pipeline.steps
    ]
    write_json(out / PIPELINE_FILE, {"title": pipeline.title, "steps": steps})
    write_page(out, title=pipeline.title, about=pipeline.about, steps=steps)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep others out of a folder; the lock goes with the process, however it ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / ".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        raise ParameterError("another run of a pipeline works there; wait for its end", subject=str(out)) from error
