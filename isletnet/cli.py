"""The command line: what a person may ask, and how the answer is given.

Heavy modules are imported in the commands, so that ``isletnet --help`` answers at once.
"""

from __future__ import annotations

import json
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Literal

import typer

import isletnet
from isletnet.door import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NOTHING_DONE, need, plain_errors, read_settings
from isletnet.schemas import IEQ_METHODS, AnalysisParameters, SampleParameters
from isletnet.service_commands import app as service_app
from isletnet.study_commands import app as study_app

app = typer.Typer(
    name="isletnet",
    help="Measure isolated pancreatic islets in micrographs. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(study_app)
# Without a name: its commands stand beside the others.
app.add_typer(service_app)

PICTURE, SAMPLE = "The picture and how it is measured", "The sample and its preparation"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"isletnet {isletnet.__version__}")
        raise typer.Exit


def _known_method(name: str) -> str:
    if name not in IEQ_METHODS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(IEQ_METHODS)}.")
    return name


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    # A terminal that cannot show a letter gets a question mark instead of an error; JSON is ASCII anyway.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


@app.command()
def analyse(
    images: Annotated[list[Path], typer.Argument(exists=True, show_default=False, help="Micrographs, or folders.")],
    out: Annotated[Path, typer.Option(file_okay=False, show_default=False, help="Folder for the results.")],
    um_per_px: Annotated[
        float | None,
        typer.Option(min=0.01, max=100, help="Size of a pixel in um; wins over the file's.", rich_help_panel=PICTURE),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="A name from `isletnet networks`, or a folder.", rich_help_panel=PICTURE)
    ] = None,
    engine: Annotated[
        Literal["auto", "openvino", "tensorflow"] | None,
        typer.Option(help="What runs the network.", rich_help_panel=PICTURE),
    ] = None,
    precision: Annotated[
        Literal["auto", "f32", "bf16"] | None, typer.Option(help="The network's arithmetic.", rich_help_panel=PICTURE)
    ] = None,
    smallest_islet_um: Annotated[
        float, typer.Option(min=1, help="Smaller particles are no islets.", rich_help_panel=PICTURE)
    ] = 50.0,
    border: Annotated[
        Literal["count", "exclude"],
        typer.Option(help="Count islets that the border cuts, or leave them out.", rich_help_panel=PICTURE),
    ] = "count",
    ieq_method: Annotated[
        str,
        typer.Option(
            callback=_known_method,
            help=f"How an outline becomes a volume: {', '.join(IEQ_METHODS)}.",
            rich_help_panel=PICTURE,
        ),
    ] = "sphere",
    uncertainty: Annotated[
        Literal["networks", "flips", "none"],
        typer.Option(help="What is asked how sure the outlines are.", rich_help_panel=PICTURE),
    ] = "networks",
    sample: Annotated[str, typer.Option(help="Name of the sample.", rich_help_panel=SAMPLE)] = "",
    aliquots: Annotated[
        Literal["all", "folder", "file"], typer.Option(help="Which images share an aliquot.", rich_help_panel=SAMPLE)
    ] = "all",
    sample_volume_ul: Annotated[
        float | None, typer.Option(help="Volume of an aliquot.", rich_help_panel=SAMPLE)
    ] = None,
    dilution: Annotated[float, typer.Option(help="Dilution before sampling.", rich_help_panel=SAMPLE)] = 1.0,
    preparation_volume_ml: Annotated[
        float | None, typer.Option(help="Volume of the whole suspension.", rich_help_panel=SAMPLE)
    ] = None,
    recipient_kg: Annotated[float | None, typer.Option(help="Weight of the recipient.", rich_help_panel=SAMPLE)] = None,
    pancreas_g: Annotated[float | None, typer.Option(help="Weight of the pancreas.", rich_help_panel=SAMPLE)] = None,
    settled_tissue_ml: Annotated[
        float | None, typer.Option(help="Volume of the settled tissue.", rich_help_panel=SAMPLE)
    ] = None,
    viability: Annotated[float | None, typer.Option(help="Viable fraction, 0 to 1.", rich_help_panel=SAMPLE)] = None,
    endotoxin_eu_per_ml: Annotated[
        float | None, typer.Option(help="Endotoxin in the suspension.", rich_help_panel=SAMPLE)
    ] = None,
    criteria: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Own release criteria.", rich_help_panel=SAMPLE)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Analyse again what is done already.")] = False,
) -> None:
    """Analyse micrographs: labels, tables and an overlay for each, a workbook and a report for all.

    What was done already in the same way is skipped. Exit codes: 0 all done, 1 some files failed, 2 nothing to do.
    """
    from isletnet import batch, console, resume

    settings = read_settings()
    jobs = resume.plan(resume.find_images(images), out)
    if not jobs:
        names = ", ".join(str(path) for path in images)
        typer.echo(f"isletnet: nothing to do: no TIFF, PNG, JPEG or BMP directly in {names}", err=True)
        raise typer.Exit(EXIT_NOTHING_DONE)
    with plain_errors():
        order = batch.Order(
            out=out,
            parameters=AnalysisParameters(
                network=network or settings.network,
                um_per_px=um_per_px,
                smallest_islet_um=smallest_islet_um,
                border=border,
                ieq_method=ieq_method,
                uncertainty=uncertainty,
            ),
            engine=engine or settings.engine,
            precision=precision or settings.precision,
            threads=settings.threads,
            max_pixels=settings.max_pixels,
            sample=SampleParameters(
                sample_name=sample,
                sample_volume_ul=sample_volume_ul,
                dilution_factor=dilution,
                preparation_volume_ml=preparation_volume_ml,
                recipient_kg=recipient_kg,
                pancreas_g=pancreas_g,
                settled_tissue_ml=settled_tissue_ml,
                viability_fraction=viability,
                endotoxin_eu_per_ml=endotoxin_eu_per_ml,
                criteria=() if criteria is None else batch.read_criteria(criteria),
            ),
            aliquots=aliquots,
            overwrite=overwrite,
        )
        try:
            done = batch.analyse_files(jobs, order, follow=lambda outcomes: console.followed(outcomes, len(jobs)))
        except KeyboardInterrupt:
            typer.echo("isletnet: stopped; give the same command again to go on from here", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None
    if as_json:
        typer.echo(json.dumps(batch.document(done), indent=1))
    elif done.pooled is not None:
        summaries = [image.record.summary for image in done.images]
        folder = done.images[0].folder if len(done.images) == 1 else out / "*"
        console.show(summaries, done.pooled, [*done.files, folder / "overlay.png", folder / "islets.csv"])
    if any(outcome.status == "failed" for outcome in done.outcomes):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def networks(
    as_json: Annotated[bool, typer.Option("--json", help="Print the cards as one JSON document.")] = False,
) -> None:
    """List the networks with their figures; --json gives their whole cards."""
    from isletnet import console
    from isletnet.networks.catalogue import find_network, network_names

    with plain_errors():
        cards = [find_network(name) for name in network_names()]
    if as_json:
        typer.echo(json.dumps([card.content for card in cards], indent=1))
    else:
        console.show_networks(cards, default=read_settings().network)


@app.command()
def synth(
    out: Annotated[Path, typer.Option(file_okay=False, show_default=False, help="Folder for the micrographs.")],
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first; the others follow.")] = 1,
    light: Annotated[
        Literal["yellow", "white", "blue", "dark"] | None, typer.Option(help="Kind of light; drawn if not given.")
    ] = None,
    um_per_px: Annotated[float, typer.Option(min=0.1, max=20, help="Size of a pixel in um.")] = 2.0,
    width_px: Annotated[int, typer.Option(min=64, max=10_000, help="Width.")] = 1600,
    height_px: Annotated[int, typer.Option(min=64, max=10_000, help="Height.")] = 1200,
) -> None:
    """Draw synthetic micrographs whose truth is known exactly.

    Writes images/ and, of the same names, labels/ (classes) and islets/ (islet numbers), calibration.csv, and truth.csv
    with the volume of each islet. The same seed gives the same files.
    """
    from isletnet.outputs import write_scenes
    from isletnet.synthetic.scene import make_scene

    scenes = (make_scene(number, (height_px, width_px), um_per_px, light=light) for number in range(seed, seed + count))
    with plain_errors():
        for path in write_scenes(scenes, out):
            typer.echo(path)


@app.command()
def export(
    program: Annotated[Literal["imagej", "qupath", "coco"], typer.Argument(help="Who shall read the outlines.")],
    results: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A folder that `analyse` wrote.")],
) -> None:
    """Write the outlines of results for ImageJ (rois.zip), QuPath (contours.geojson) or as COCO (coco.json).

    The files for ImageJ and QuPath go beside each result, the one of COCO into the folder given.
    """
    from isletnet import resume
    from isletnet.outputs import write_outlines

    folders = resume.result_folders(results)
    if not folders:
        typer.echo(f"isletnet: nothing to do: no result of `isletnet analyse` in {results}", err=True)
        raise typer.Exit(EXIT_NOTHING_DONE)
    with plain_errors():
        for path in write_outlines(program, folders, results):
            typer.echo(path)


@app.command()
def train(
    names: Annotated[
        list[str] | None, typer.Argument(show_default="all", help="Networks to make, such as islet-unet.")
    ] = None,
    work: Annotated[Path, typer.Option(file_okay=False, help="Folder for scenes and checkpoints.")] = Path("runs"),
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the networks.")] = Path("networks"),
    real: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Annotated micrographs: images/, labels/, calibration.csv."),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(help="Names joined by commas that one more run must not see and is scored on; repeatable."),
    ] = None,
    version: Annotated[str, typer.Option(help="Version of the networks.")] = "1",
) -> None:
    """Make networks from seeded synthetic scenes and annotated micrographs (hours; stopped, it goes on there).

    The result is a folder OUT/<name>/<version>/ that `analyse --network` takes.
    """
    need("tensorflow", "training")
    with plain_errors():
        from isletnet.training.recipes import RECIPES, find_recipe

        recipes = [find_recipe(name) for name in names or RECIPES]
        from isletnet.training.workflow import train_network

        for recipe in recipes:
            card = train_network(
                recipe,
                work,
                out,
                real_folder=real,
                folds=[tuple(group.split(",")) for group in leave_out or ()],
                version=version,
                report=lambda line: typer.echo(line, err=True),
            )
            typer.echo(card.folder)


if __name__ == "__main__":
    app()
