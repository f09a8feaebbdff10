"""How a product shows itself in a notebook."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS_SHOWN_N = 30


@dataclass(frozen=True, slots=True)
class Shown:
    """HTML for the notebook; the product itself is in the run's folder."""

    # A notebook keeps the text form beside the HTML, and would hold every figure twice.
    html: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.html


def shown_figure(png: bytes, caption: str) -> Shown:
    """Show a figure with its caption below."""
    image = base64.b64encode(png).decode()
    return Shown(
        f'<figure><img alt="{escape(caption)}" style="max-width:640px;width:100%" src="data:image/png;base64,{image}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def shown_table(frame: pd.DataFrame, caption: str) -> Shown:
    """Show the first rows of a table with its caption above."""
    rest = len(frame) - MOST_ROWS_SHOWN_N
    body = frame.head(MOST_ROWS_SHOWN_N).to_html(index=False, border=0, float_format=lambda value: f"{value:.4g}")
    more = f"<p>and {rest} more rows</p>" if rest > 0 else ""
    return Shown(f"<p>{escape(caption)}</p>{body}{more}")


def shown_file(path: Path, caption: str) -> Shown:
    """Say where a product is."""
    return Shown(f"<p>{escape(caption)} <code>{escape(path.name)}</code></p>")
