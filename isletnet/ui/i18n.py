"""Words, numbers and dates in the language of the person who looks.

A kernel serves one page of one person, so the language is one for the process. Catalogues are the ``.po`` files under
``locale/<language>/LC_MESSAGES``, compiled when a language is first used; English sentences are the keys.
"""

from __future__ import annotations

import gettext
import io
from datetime import datetime
from functools import cache
from pathlib import Path

LANGUAGES = {"en": "English", "cs": "Čeština"}
DEFAULT_LANGUAGE = "en"
ABSENT = "–"

_LOCALE = Path(__file__).parent / "locale"
_chosen = [DEFAULT_LANGUAGE]


def set_language(language: str | None) -> str:
    """Choose the language of this page; what is not known becomes English. Returns the choice."""
    _chosen[0] = language if language in LANGUAGES else DEFAULT_LANGUAGE
    return _chosen[0]


def language() -> str:
    """Tell the language of this page: ``en`` or ``cs``."""
    return _chosen[0]


def _(message: str, **values: object) -> str:
    """Translate a sentence and fill in its ``{names}``."""
    text = catalogue(_chosen[0]).gettext(message)
    return text.format(**values) if values else text


def ngettext(one: str, many: str, n: int, **values: object) -> str:
    """Translate a sentence that depends on a number, which it shows as ``{n}``."""
    return catalogue(_chosen[0]).ngettext(one, many, n).format(n=n, **values)


def number(value: float | None, decimals: int | None = None) -> str:
    """Write a number as people of this language do; None is a dash.

    Parameters
    ----------
    decimals
        Digits after the point; without it, three significant digits and no decimals from 100 on.
    """
    from babel.numbers import format_decimal

    if value is None:
        return ABSENT
    if decimals is None:
        size = abs(value)
        decimals = 0 if size >= 100 or float(value).is_integer() else 1 if size >= 10 else 2 if size >= 1 else 3
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return str(format_decimal(round(value, decimals), format=pattern, locale=_chosen[0]))


def percent(fraction: float | None, decimals: int = 0) -> str:
    """Write a fraction 0..1 as a percentage; None is a dash."""
    return ABSENT if fraction is None else f"{number(100 * fraction, decimals)}\u00a0%"


def when(moment: datetime | None) -> str:
    """Write a moment in UTC as date and time of this machine's zone; None is a dash."""
    from babel.dates import format_datetime

    if moment is None:
        return ABSENT
    return str(format_datetime(moment.astimezone(), format="medium", locale=_chosen[0]))


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """Compile all sentences of a language into one catalogue."""
    from babel.messages.catalog import Catalog
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    joined: Catalog | None = None
    for path in sorted((_LOCALE / language / "LC_MESSAGES").glob("*.po")):
        with path.open("rb") as file:
            read = read_po(file, locale=language)
        if joined is None:
            joined = read
            continue
        for message in read:
            if message.id:
                joined[message.id] = message
    if joined is None:
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, joined)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
