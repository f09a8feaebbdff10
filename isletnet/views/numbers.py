"""How numbers are written for people: grouped digits, units with their signs, intervals."""

from __future__ import annotations

import math
import re

from isletnet.schemas import Estimate

# The SI groups digits by a thin space: a comma or a point reads as a decimal sign to half of the readers.
GROUP = "\u202f"
SPACE = "\u00a0"
UNKNOWN = "\u2013"


def shown_unit(unit: str) -> str:
    """Write a unit with its signs: ``um`` as µm, ``uL`` as µL, ``fraction`` as %."""
    signs = {"um": "µm", "um2": "µm²", "um3": "µm³", "mm2": "mm²", "uL": "µL", "ul": "µL", "nl": "nL", "fraction": "%"}
    return signs.get(unit, unit)


def shown_value(value: float | None, unit: str = "") -> str:
    """Write a number without its unit: whole from 100 on, else with three digits, at most three of them decimals.

    Parameters
    ----------
    value
        None and NaN are shown as a dash.
    unit
        ``fraction`` makes a percentage of one decimal, without the sign; ``islets`` a whole number.

    Returns
    -------
    str
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if unit == "fraction":
        return f"{100 * value:.1f}"
    if unit == "islets":
        return f"{value:,.0f}".replace(",", GROUP)
    size = abs(value)
    decimals = 0 if size >= 99.95 or value == int(value) else 1 if size >= 9.995 else 2 if size >= 0.9995 else 3
    return f"{value:,.{decimals}f}".replace(",", GROUP)


def shown(estimate: Estimate) -> str:
    """Write an estimate's value with its unit."""
    value = shown_value(estimate.value, estimate.unit)
    return value if value == UNKNOWN or not estimate.unit else f"{value}{SPACE}{shown_unit(estimate.unit)}"


def shown_interval(estimate: Estimate) -> str:
    """Write an estimate's interval with its level, or say nothing where there is none."""
    interval = estimate.interval
    if interval is None or estimate.value is None:
        return ""
    low, high = shown_value(interval.low, estimate.unit), shown_value(interval.high, estimate.unit)
    percent = f"{GROUP}%" if estimate.unit == "fraction" else ""
    return f"{100 * interval.level:g}{GROUP}% interval {low} to {high}{percent}"


def shown_text(text: str) -> str:
    """Write ``um`` and ``uL`` in a method's text with their signs."""
    return re.sub(r"\b(um[23]?|uL)\b", lambda found: shown_unit(found[0]), text)


def shown_title(name: str) -> str:
    """Turn the name of a number into words: ``small_islet_fraction`` into Small islet fraction."""
    words = shown_text(name.replace("_", " ")).replace("ieq", "IEQ")
    return words[:1].upper() + words[1:] if not words.startswith("µ") else words
