"""What the terminal shows: results as a table on standard output, progress and troubles on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from isletnet.resume import Outcome
from isletnet.schemas import Estimate, Summary
from isletnet.views.numbers import UNKNOWN, shown_unit, shown_value


def errors() -> Console:
    """Make the console for everything that is no result."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def followed(outcomes: Iterable[Outcome], total: int, console: Console) -> Iterator[Outcome]:
    """Hand outcomes through, with a bar that moves and a line for each file that could not be done.

    Parameters
    ----------
    outcomes
        As `resume.run` gives them.
    total
        How many will come.
    console
        Where the bar and the lines go.

    Yields
    ------
    Outcome
        Unchanged.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Analysing", total=total)
        for outcome in outcomes:
            if outcome.status == "failed":
                console.print(f"[red]{escape(outcome.job.path.name)}[/red]: {escape(outcome.message or '')}")
            progress.advance(task)
            yield outcome


def results_table(summaries: Sequence[Summary], pooled: Summary) -> Table:
    """Lay out one row per image, and one for all together where there are several.

    Parameters
    ----------
    summaries
        One for each image.
    pooled
        All of them together.

    Returns
    -------
    rich.table.Table
    """
    table = Table(title=escape(pooled.name) or None, title_justify="left")
    table.add_column("image")
    for heading in ("islets", f"IEQ ({pooled.ieq_method})", "purity by area %", "islet index", "warnings"):
        table.add_column(heading, justify="right")
    for summary in summaries:
        table.add_row(*_row(summary, summary.name))
    if len(summaries) > 1:
        table.add_section()
        table.add_row(*_row(pooled, f"all {len(summaries)}"), style="bold")
    return table


def warning_lines(summaries: Sequence[Summary]) -> list[str]:
    """Write one line for each warning, with the image that it is about; passing remarks are left out."""
    return [
        f"{escape(summary.name)}: {escape(warning.message)}"
        for summary in summaries
        for warning in summary.warnings
        if warning.severity != "info"
    ]


def preparation_lines(pooled: Summary) -> list[str]:
    """Write what is known of the whole preparation and its criteria, one line each."""
    whole = pooled.preparation
    lines = []
    if whole is not None:
        lines = [
            f"{label}: {amount(estimate)} {shown_unit(estimate.unit)}"
            for label, estimate in (
                ("Whole preparation", whole.total_ieq),
                ("Per body weight", whole.ieq_per_kg),
                ("Per pancreas weight", whole.ieq_per_g_pancreas),
            )
            if estimate is not None
        ]
    verdicts = {True: "passed", False: "not passed", None: "unknown"}
    for result in pooled.criteria:
        criterion = result.criterion
        found = "" if result.value is None else f", found {shown_value(result.value)}"
        limit = f"{criterion.comparison} {shown_value(criterion.limit)} {criterion.unit}"
        lines.append(f"{escape(criterion.name)} {limit}{found}: {verdicts[result.passed]}")
    return lines


def file_lines(files: Iterable[Path]) -> list[str]:
    """Write one line for each file that a person may want to open."""
    return [f"  {escape(str(path))}" for path in files]


def amount(estimate: Estimate) -> str:
    """Write a value with its interval, as ``1 234 (1 100 to 1 380)``; a fraction in per cent."""
    value = shown_value(estimate.value, estimate.unit)
    if estimate.value is None or estimate.interval is None:
        return value
    low, high = (shown_value(bound, estimate.unit) for bound in (estimate.interval.low, estimate.interval.high))
    return f"{value} ({low} to {high})"


def _row(summary: Summary, name: str) -> tuple[str, ...]:
    return (
        escape(name),
        amount(summary.count),
        amount(summary.ieq),
        amount(summary.purity_area),
        shown_value(summary.islet_index.value),
        str(len(summary.warnings)) if summary.warnings else UNKNOWN,
    )
