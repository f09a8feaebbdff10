"""A table as CSV, XLSX and LaTeX: the same content gives the same bytes."""

from __future__ import annotations

import datetime
import math
from io import BytesIO
from typing import TYPE_CHECKING

from isletnet.exports.folder import csv_bytes
from isletnet.exports.text import formula_safe, printable

if TYPE_CHECKING:
    import pandas as pd

# A workbook must say when it was made; this moment keeps its bytes the same.
_NO_MOMENT = datetime.datetime(2000, 1, 1)
_TEX_SIGNS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "µ": r"\textmu{}",
    "–": "--",
    "²": r"\textsuperscript{2}",
    "³": r"\textsuperscript{3}",
    "−": "$-$",
    "×": r"$\times$",
    "∞": r"$\infty$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def table_files(frame: pd.DataFrame, *, name: str, caption: str) -> dict[str, bytes]:
    """Write a table in every format.

    Parameters
    ----------
    frame
        Columns are written, the index is not.
    name
        Label of the LaTeX table.
    caption
        What it shows.

    Returns
    -------
    dict
        ``csv``, ``xlsx`` and ``tex`` to bytes.
    """
    return {
        "csv": csv_bytes(frame),
        "xlsx": _xlsx(frame, name=name, caption=caption),
        "tex": tex_table(frame, name=name, caption=caption).encode(),
    }


def tex_table(frame: pd.DataFrame, *, name: str, caption: str) -> str:
    r"""Write a LaTeX table for the package booktabs; numbers have four significant digits, undefined ones a dash."""
    import pandas as pd

    kinds = "".join("r" if pd.api.types.is_numeric_dtype(frame[column]) else "l" for column in frame.columns)
    heads = " & ".join(_tex(str(column).replace("_", " ")) for column in frame.columns)
    rows = [" & ".join(_cell(value) for value in row) + r" \\" for row in frame.itertuples(index=False)]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_tex(caption)}}}",
            rf"\label{{tab:{name}}}",
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            rf"{heads} \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _cell(value: object) -> str:
    number = _number(value)
    if number is None:
        return "--" if value is None else _tex(str(value))
    if not math.isfinite(number):
        return "--"
    if number == int(number) and abs(number) < 1e7:
        return f"{int(number)}".replace("-", "$-$")
    text = f"{number:.4g}"
    if "e" in text:
        digits, power = text.split("e")
        return rf"${digits} \times 10^{{{int(power)}}}$"
    return text.replace("-", "$-$")


def _number(value: object) -> float | None:
    import numpy as np

    if isinstance(value, bool | np.bool_) or value is None:
        return None
    return float(value) if isinstance(value, int | float | np.number) else None


def _tex(text: str) -> str:
    return "".join(_TEX_SIGNS.get(sign, sign) for sign in printable(text))


def _xlsx(frame: pd.DataFrame, *, name: str, caption: str) -> bytes:
    import xlsxwriter

    stream = BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": False}
    with xlsxwriter.Workbook(stream, options) as book:
        book.set_properties({"title": name, "comments": caption, "created": _NO_MOMENT})
        sheet = book.add_worksheet(name[:31])
        head, wrapped = book.add_format({"bold": True, "bottom": 1}), book.add_format({"italic": True})
        sheet.write_string(0, 0, printable(caption), wrapped)
        for column, title in enumerate(frame.columns):
            sheet.write_string(2, column, formula_safe(str(title)), head)
            width = max([len(str(title)), *(min(len(_text(value)), 40) for value in frame[title].head(200))])
            sheet.set_column(column, column, width + 2)
            for row, value in enumerate(frame[title], start=3):
                number = _number(value)
                if number is not None and math.isfinite(number):
                    sheet.write_number(row, column, number)
                elif number is None and value is not None and value == value:
                    sheet.write_string(row, column, formula_safe(str(value)))
        sheet.freeze_panes(3, 0)
        sheet.autofilter(2, 0, 2 + len(frame), max(len(frame.columns) - 1, 0))
    return stream.getvalue()


def _text(value: object) -> str:
    number = _number(value)
    return str(value) if number is None else f"{number:.6g}"
