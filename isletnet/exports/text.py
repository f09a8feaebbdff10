"""Make text from outside safe for tables: file and sample names are data, never formulas."""

from __future__ import annotations

import unicodedata

_FORMULA_STARTS = ("=", "+", "-", "@")
_PADDING = " \u00a0\ufffd"


def printable(text: str) -> str:
    """Replace control, surrogate and text-direction characters by the replacement character.

    Spreadsheets and XML refuse most of them, and direction marks can make a name read as another.
    """
    return "".join("\ufffd" if unicodedata.category(sign) in ("Cc", "Cf", "Cs") else sign for sign in text)


def formula_safe(text: str) -> str:
    """Make text safe for a CSV cell: an apostrophe goes before what a spreadsheet would run as a formula.

    For text only: a negative number is no text and stays as it is.
    """
    clean = printable(text)
    return f"'{clean}" if clean.lstrip(_PADDING).startswith(_FORMULA_STARTS) else clean
