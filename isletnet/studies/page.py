"""The page of a pipeline's run: every step, its figures with their captions, its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from isletnet.exports.batch import REPORT_FILE, WORKBOOK_FILE
from isletnet.exports.folder import write_atomically
from isletnet.studies.keep import CAPTIONS_FILE, FIGURES, NOTEBOOK_FILE, TABLES, read_json

PAGE_FILE = "index.html"
_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em;color:#222}"
    "figure{display:inline-block;vertical-align:top;width:29em;max-width:100%;margin:0 1em 1.5em 0}"
    "img{max-width:100%}figcaption,td,th{font-size:13px;text-align:left;padding-right:1em}.failed{color:#b00020}"
)
# What a step may have besides figures and tables.
_PAPERS = {NOTEBOOK_FILE: "notebook", REPORT_FILE: "report", WORKBOOK_FILE: "workbook"}
_STATES = {
    "done": "done",
    "skipped": "done before",
    "failed": "failed",
    "not_run": "not run",
    "left_out": "left out: its input was not given",
}


def write_page(out: Path, *, title: str, about: str, steps: Sequence[Mapping[str, Any]]) -> Path:
    """Write ``index.html``, which needs nothing but the folder it is in.

    Parameters
    ----------
    out
        Folder of the pipeline.
    title, about
        Of the pipeline.
    steps
        ``step``, ``state`` and, if it ran, ``message`` and ``link``, in order.
    """
    body = "".join(_section(out, step) for step in steps)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1><p>{escape(about)}</p>{body}</html>\n"
    )
    return write_atomically(out / PAGE_FILE, page.encode())


def _section(out: Path, step: Mapping[str, Any]) -> str:
    name = str(step["step"])
    told = escape(_STATES[step["state"]])
    if step.get("message"):
        link = step.get("link")
        where = f' (<a href="{quote(link, safe="/#-.")}">the cell</a>)' if link else ""
        told = f'<span class="failed">{told}: {escape(str(step["message"]))}</span>{where}'
    papers = " ".join(
        f'<a href="{quote(name)}/{file}">{text}</a>' for file, text in _PAPERS.items() if (out / name / file).is_file()
    )
    captions = read_json(out / name / CAPTIONS_FILE) or []
    products = "".join(_product(name, entry) for entry in captions)
    return f"<h2>{escape(name)}</h2><p>{told} {papers}</p>{products}"


def _product(step: str, entry: Mapping[str, str]) -> str:
    room, _, _ = entry["product"].partition("/")
    path = quote(f"{step}/{entry['product']}")
    if room == FIGURES:
        links = " ".join(f'<a href="{path}.{kind}">{kind}</a>' for kind in ("svg", "pdf", "png"))
        text = escape(entry["caption"])
        return f'<figure><img src="{path}.png" alt="{text}"><figcaption>{text} {links}</figcaption></figure>'
    if room == TABLES:
        links = " ".join(f'<a href="{path}.{kind}">{kind}</a>' for kind in ("csv", "xlsx", "tex"))
        return f"<p>{escape(entry['caption'])} {links}</p>"
    return f'<p><a href="{path}">{escape(entry["caption"])}</a></p>'
