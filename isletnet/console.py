"""What the terminal shows: results on standard output, progress and troubles on standard error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from isletnet.networks.card import Card
from isletnet.resume import Outcome
from isletnet.schemas import Estimate, QualityWarning, Summary
from isletnet.views.numbers import UNKNOWN, shown_unit, shown_value

MARKS = {"info": "dim", "warning": "yellow", "severe": "bold red"}
ENDS = {"skipped": "done already", "failed": "failed"}
VERDICTS = {True: "[green]passed[/green]", False: "[bold red]not passed[/bold red]", None: "unknown"}


def followed(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
    """Hand outcomes through, with a bar that moves and a line for each file that failed.

    A last line counts those and what was done already.

    Parameters
    ----------
    outcomes
        As `resume.run` gives them.
    total
        How many will come.

    Yields
    ------
    Outcome
        Unchanged.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Analysing", total=total)
        ends: Counter[str] = Counter()
        for outcome in outcomes:
            ends[outcome.status] += 1
            if outcome.status == "failed":
                console.print(f"[red]{escape(outcome.job.path.name)}[/red]: {escape(outcome.message or '')}")
            progress.advance(task)
            yield outcome
    told = [f"{ends[status]} {words}" for status, words in ENDS.items() if ends[status]]
    if told:
        console.print(f"{total} {'image' if total == 1 else 'images'}: {', '.join(told)}")


def show(summaries: Sequence[Summary], pooled: Summary, files: Iterable[Path]) -> None:
    """Print the result of a batch.

    Parameters
    ----------
    summaries
        One for each image.
    pooled
        All of them together.
    files
        What a person may want to open.
    """
    console = Console(highlight=False)
    console.print(_results(summaries, pooled))
    for line in (*_preparation(pooled), *_warnings(summaries, pooled)):
        console.print(line, soft_wrap=True)
    for path in files:
        console.print(escape(str(path)), soft_wrap=True)


def show_networks(cards: Iterable[Card], *, default: str) -> None:
    """Print networks with their figures; ``default`` is the name of the one that is taken where none is named."""
    console = Console(highlight=False)
    for card in cards:
        mark = " (default)" if card.name == default else ""
        console.print(f"[bold]{escape(card.name)}[/bold] {escape(card.version)}{mark}")
        for line in _figures(card):
            console.print(f"  {escape(line)}", soft_wrap=True)


def _results(summaries: Sequence[Summary], pooled: Summary) -> Table:
    level = pooled.count.interval.level if pooled.count.interval else None
    caption = None if level is None else f"Below each number its {100 * level:g} % interval."
    # Narrow gaps: names of files want the room in a terminal of 80 columns.
    table = Table(title=escape(pooled.name), caption=caption, box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.title_justify = table.caption_justify = "left"
    table.add_column("image", overflow="fold")
    for heading in ("islets", f"IEQ\n{pooled.ieq_method}", "purity %\nby area", "islet\nindex", "small\nparticles"):
        table.add_column(heading, justify="right", no_wrap=True)
    for summary in summaries:
        table.add_row(escape(summary.name), *_cells(summary))
    if len(summaries) > 1:
        table.add_section()
        table.add_row(f"all {len(summaries)} images", *_cells(pooled), style="bold")
    return table


def _cells(summary: Summary) -> tuple[str, ...]:
    estimates = (summary.count, summary.ieq, summary.purity_area, summary.islet_index)
    return (*(_stacked(estimate) for estimate in estimates), str(summary.small_particles_n))


def _stacked(estimate: Estimate) -> str:
    value = shown_value(estimate.value, estimate.unit)
    bounds = _bounds(estimate)
    return f"{value}\n[dim]{bounds}[/dim]" if bounds else value


def _bounds(estimate: Estimate) -> str:
    if estimate.value is None or estimate.interval is None:
        return ""
    low, high = (shown_value(bound, estimate.unit) for bound in (estimate.interval.low, estimate.interval.high))
    return f"{low} to {high}"


def _preparation(pooled: Summary) -> Iterator[str]:
    whole = pooled.preparation
    if whole is not None:
        totals = {
            "Whole preparation": whole.total_ieq,
            "For the recipient": whole.ieq_per_kg,
            "From the pancreas": whole.ieq_per_g_pancreas,
        }
        for label, estimate in totals.items():
            if estimate is not None:
                bounds = _bounds(estimate)
                interval = f" ({bounds})" if bounds else ""
                value = shown_value(estimate.value, estimate.unit)
                yield f"{label}: [bold]{value} {shown_unit(estimate.unit)}[/bold]{interval}"
    for result in pooled.criteria:
        asked = result.criterion
        limit = f"{asked.comparison} {shown_value(asked.limit, asked.unit)} {escape(shown_unit(asked.unit))}"
        found = UNKNOWN if result.value is None else shown_value(result.value, asked.unit)
        yield f"{escape(asked.name)} {limit}: {found}, {VERDICTS[result.passed]}"


def _warnings(summaries: Sequence[Summary], pooled: Summary) -> Iterator[str]:
    told: set[str] = set()
    for summary in summaries:
        told.update(warning.code for warning in summary.warnings)
        for warning in summary.warnings:
            yield _warning(summary.name, warning)
    for warning in pooled.warnings:
        if warning.code not in told:
            yield _warning(pooled.name, warning)


def _warning(name: str, warning: QualityWarning) -> str:
    mark = MARKS[warning.severity]
    return f"[{mark}]{warning.severity}[/{mark}] {escape(name)}: {escape(warning.message)}"


def _figures(card: Card) -> Iterator[str]:
    yield f"works at {card.working_um_per_px:g} um per pixel; weights {card.weights_sha256[:12]}"
    if second := card.content.get("second_opinion"):
        yield f"second opinion: {second}"
    metrics = card.content.get("metrics", {})
    if folds := metrics.get("real_left_out"):
        yield f"real micrographs left out of training: {_dice(folds)}"
    if scenes := metrics.get("synthetic_unseen_seeds"):
        yield f"{scenes['pictures_n']} synthetic micrographs of unseen seeds: {_dice([scenes])}"


def _dice(scores: Sequence[dict[str, Any]]) -> str:
    """Dice of both tissues, one number a set of pictures; a set without a tissue says nothing of it."""
    numbers = {
        name: [f"{one[name]['dice']:.3f}" for one in scores if one[name]["recall"] is not None]
        for name in ("islet", "exocrine")
    }
    return ", ".join(f"{name} Dice {' and '.join(values)}" for name, values in numbers.items() if values)
