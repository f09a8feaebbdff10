"""How a run failed, and where in its notebook."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from isletnet.studies.keep import NOTEBOOK_FILE

# Papermill marks the failing cell of the executed notebook with this.
ERROR_ANCHOR = "papermill-error-cell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong; ``cell`` counts the study's cells from 1 (None: no cell), ``link`` leads to it."""

    code: str
    message: str
    cell: int | None = None
    link: str | None = None

    def plain(self) -> dict[str, object]:
        """Give what JSON can hold."""
        return asdict(self)


def cell_link() -> str:
    """Where the failing cell is, relative to the run's folder."""
    return f"{NOTEBOOK_FILE}#{ERROR_ANCHOR}"
