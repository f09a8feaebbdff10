"""The commands of the studies: ``isletnet study list | show | run | pipeline``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isletnet.door import EXIT_FAILED, need, plain_errors

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from isletnet.studies.declaration import Parameter

app = typer.Typer(
    name="study",
    help="Run studies: figures and tables from analysed images, every run kept.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Studies = Annotated[Path | None, typer.Option("--studies", exists=True, file_okay=False, help="Folder of own studies.")]
Values = Annotated[list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Repeatable.")]


@app.callback()
def _root() -> None:
    need("papermill", "notebooks")


@app.command("list")
def list_studies(studies: Studies = None) -> None:
    """List the studies."""
    from isletnet.studies.declaration import find_study, study_names

    with plain_errors():
        for name in study_names(studies):
            typer.echo(f"{name:22}{find_study(name, studies).title}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(show_default=False, help="A name from `isletnet study list`.")],
    studies: Studies = None,
) -> None:
    """Say what a study does and which parameters it takes."""
    from isletnet.studies.declaration import find_study

    with plain_errors():
        study = find_study(name, studies)
    typer.echo(f"{study.title}\n{study.about}\n")
    for key, one in study.parameters.items():
        typer.echo(f"  {key} ({_kind(one)})\n      {one.about}")


@app.command()
def run(
    name: Annotated[str, typer.Argument(show_default=False, help="A name from `isletnet study list`.")],
    out: Annotated[Path, typer.Option(file_okay=False, show_default=False, help="Gets a new folder for each run.")],
    values: Values = None,
    timeout_s: Annotated[int, typer.Option(min=1, help="Longest time for a cell.")] = 3600,
    studies: Studies = None,
) -> None:
    """Run a study. Exit code 1 if it failed; the run is kept all the same."""
    from isletnet.studies.declaration import checked, find_study
    from isletnet.studies.runner import next_folder, run_study

    with plain_errors():
        study = find_study(name, studies)
        given = checked(study, _pairs(values or []), from_text=True)
        done = run_study(study, given, next_folder(out, name), timeout_s=timeout_s)
    typer.echo(done.folder)
    if done.failure is not None:
        where = "" if done.failure.link is None else f" ({done.folder}/{done.failure.link})"
        typer.echo(f"isletnet: {name} failed: {done.failure.message}{where}", err=True)
        raise typer.Exit(EXIT_FAILED)


@app.command()
def pipeline(
    out: Annotated[Path, typer.Option(file_okay=False, show_default=False, help="Gets a folder for each step.")],
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="The pipeline; if not given, for a publication.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="The input `images`: micrographs.")] = None,
    truth: Annotated[Path | None, typer.Option(help="The input `truth`: a table.")] = None,
    values: Values = None,
    jobs: Annotated[int, typer.Option(min=1, help="Steps that run side by side.")] = 2,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run steps on this Ray cluster, which must share --out.")
    ] = None,
    studies: Studies = None,
) -> None:
    """Run a pipeline of studies; what is done already is skipped. Exit code 1 if a step failed."""
    from isletnet.studies.declaration import studies_folder
    from isletnet.studies.pipeline import check_inputs, read_pipeline, run_pipeline

    given = {key: str(path) for key, path in (("images", images), ("truth", truth)) if path is not None}
    with plain_errors():
        plan = read_pipeline(file or (studies or studies_folder()) / "pipeline.yaml")
        inputs = check_inputs(plan, {**given, **_pairs(values or [])}, from_text=True)
        with _executor(jobs, ray) as executor:
            done = run_pipeline(plan, inputs, out, executor=executor, studies=studies, report=typer.echo)
    typer.echo(out / "index.html")
    if not done.is_whole:
        raise typer.Exit(EXIT_FAILED)


def _executor(jobs: int, ray: str | None) -> Executor:
    if ray is None:
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(jobs)
    from serve.pools.studies import RayPool

    return RayPool(ray)


def _pairs(texts: Iterable[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE.")
        pairs[key] = value
    return pairs


def _kind(one: Parameter) -> str:
    parts: list[str] = [one.kind.replace("_", " ")]
    if one.choices:
        parts = [f"{'some' if one.kind == 'texts' else 'one'} of {', '.join(one.choices)}"]
    parts += [f"at least {one.at_least:g}"] if one.at_least is not None else []
    parts += [f"at most {one.at_most:g}"] if one.at_most is not None else []
    parts += [one.unit] if one.unit else []
    default = ",".join(one.default) if isinstance(one.default, list) else one.default
    return ", ".join([*parts, "needed" if one.is_needed else f"default {default!r}"])
