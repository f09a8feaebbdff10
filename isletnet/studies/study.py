"""What a notebook holds: its parameters, checked, and a place for its figures and tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isletnet.errors import ParameterError
from isletnet.exports.folder import csv_bytes, write_atomically
from isletnet.studies import keep
from isletnet.studies.declaration import OUT, Declaration, checked, find_study
from isletnet.studies.shown import Shown, shown_figure, shown_file, shown_table
from isletnet.studies.tables import table_files

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from isletnet.studies.inputs.sources import Results

_NAME_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


class Study:
    """An open study.

    ``parameters`` maps names to checked values, also reached as ``study["level"]``. What `figure`, `table` and `file`
    write is the same, byte for byte, for the same content.
    """

    def __init__(self, declaration: Declaration, parameters: Mapping[str, Any], folder: Path) -> None:
        self.declaration = declaration
        self.parameters = dict(parameters)
        self.folder = folder

    @classmethod
    def open(cls, name: str, values: Mapping[str, object], *, studies: Path | None = None) -> Study:
        """Open a study in its notebook.

        Parameters
        ----------
        name
            Of the study.
        values
            The parameters by name, and ``out``, the folder of the run. ``globals()`` will do: what is not declared is
            not looked at.
        studies
            Folder of the studies; None takes the installed ones.

        Raises
        ------
        ParameterError
            A value that the declaration does not allow.
        """
        declaration = find_study(name, studies)
        given = {key: values[key] for key in declaration.parameters if key in values}
        folder = Path(str(values.get(OUT) or f"runs/{name}")).absolute()
        return cls(declaration, checked(declaration, given), folder)

    def __getitem__(self, name: str) -> Any:
        """Give a parameter."""
        return self.parameters[name]

    def rng(self, *key: int) -> np.random.Generator:
        """Give a source of randomness from the parameter ``seed`` (0 where there is none) and a key."""
        import numpy as np

        return np.random.default_rng([int(self.parameters.get("seed", 0)), *key])

    def results(self, name: str = "results") -> Results:
        """Read the analysed images that a parameter of kind ``results`` names; what was read goes into the inputs.

        Raises
        ------
        ParameterError
            There are no results.
        ServiceError
            The service does not give them.
        """
        from isletnet.studies.inputs.sources import read_results

        key_file = self.parameters.get("key_file") or None
        found = read_results(self.parameters[name], key_file=None if key_file is None else Path(key_file))
        keep.note_inputs(self.folder, found.read)
        return found

    def note_input(self, name: str, tables: Mapping[str, pd.DataFrame]) -> None:
        """Note by hash what a service answered, so that the run tells what it stood on."""
        read = {f"{name}/{key}": hashlib.sha256(csv_bytes(table)).hexdigest() for key, table in tables.items()}
        keep.note_inputs(self.folder, read)

    def figure(self, figure: Figure, name: str, *, caption: str) -> Shown:
        """Keep a figure as SVG, PDF and PNG of 300 dpi.

        Parameters
        ----------
        figure
            In the size of print.
        name
            Of its files: ``a-z``, ``0-9``, ``_`` and ``-``.
        caption
            What it shows, with units and methods.

        Returns
        -------
        Shown
            Shows itself in the notebook.
        """
        from isletnet.views.print_style import figure_files

        files = figure_files(figure)
        for kind, content in files.items():
            self._keep(keep.FIGURES, f"{_plain(name)}.{kind}", content)
        keep.note_caption(self.folder, f"{keep.FIGURES}/{name}", caption)
        return shown_figure(files["png"], caption)

    def table(self, frame: pd.DataFrame, name: str, *, caption: str) -> Shown:
        """Keep a table as CSV (full precision), XLSX and LaTeX (rounded, booktabs).

        Parameters
        ----------
        frame
            Its columns are written, its index is not.
        name, caption
            As for `figure`.
        """
        for kind, content in table_files(frame, name=_plain(name), caption=caption).items():
            self._keep(keep.TABLES, f"{name}.{kind}", content)
        keep.note_caption(self.folder, f"{keep.TABLES}/{name}", caption)
        return shown_table(frame, caption)

    def file(self, content: bytes, name: str, *, caption: str = "") -> Shown:
        """Keep another product, such as an HTML page; ``name`` has its suffix and may name a folder."""
        parts = name.split("/")
        for part in parts:
            _plain(part.replace(".", ""))
        self._keep(keep.FILES, name, content)
        if caption:
            keep.note_caption(self.folder, f"{keep.FILES}/{name}", caption)
        return shown_file(self.folder / keep.FILES / name, caption)

    def _keep(self, room: str, name: str, content: bytes) -> None:
        write_atomically(self.folder / room / name, content)


def _plain(name: str) -> str:
    if not name or set(name.lower()) - _NAME_SIGNS:
        raise ParameterError("a name of a-z, 0-9, _ and - was expected", subject=name)
    return name
