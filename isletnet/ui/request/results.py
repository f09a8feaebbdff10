"""What a request found, as a page: headline numbers, criteria, warnings, tables, and each image with its islets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import anywidget
import ipywidgets as widgets
import traitlets

from isletnet.client import Results
from isletnet.ui import friendly
from isletnet.ui.bits import cards, esm, html, notice_html, section, warnings_html
from isletnet.ui.i18n import _, language, ngettext, number, percent, when
from isletnet.ui.request.tables import (
    all_numbers_html,
    criteria_html,
    headline,
    methods_html,
    size_classes_html,
)
from isletnet.ui.session import Session


class Viewer(anywidget.AnyWidget):
    """An image with its outlines, table and histogram, all linked; it fetches its data from the service itself."""

    _esm = esm("bits.js", "viewer.js")
    api_url = traitlets.Unicode().tag(sync=True)
    headers: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    texts: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    problems: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    language = traitlets.Unicode().tag(sync=True)
    request_id = traitlets.Unicode().tag(sync=True)
    number = traitlets.Int().tag(sync=True)
    version = traitlets.Int().tag(sync=True)
    um_per_px = traitlets.Float(None, allow_none=True).tag(sync=True)
    ieq_method = traitlets.Unicode().tag(sync=True)
    width_px = traitlets.Int().tag(sync=True)
    height_px = traitlets.Int().tag(sync=True)


class Downloads(anywidget.AnyWidget):
    """Files of a request to save."""

    _esm = esm("bits.js", "downloads.js")
    api_url = traitlets.Unicode().tag(sync=True)
    headers: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    problems: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    files: traitlets.List[Any] = traitlets.List().tag(sync=True)
    print_text = traitlets.Unicode().tag(sync=True)


def show_results(session: Session, results: Results) -> widgets.Widget:
    """Make the page of a request's results.

    Parameters
    ----------
    session
        Of the person who looks.
    results
        As the client gives them.
    """
    parts: list[widgets.Widget] = [
        html(notice_html(f"{one['name']}: {friendly.problem(one.get('code'), one.get('message'))}", "severe"))
        for one in results.failed
    ]
    if results.versions:
        parts.append(html(notice_html(_correction(results), "info")))
    parts += [_sample(sample, _smallest_um(results.images[0]["record"])) for sample in results.samples]
    saving = section(_files(session, results.request_id), title=_("Save and print"))
    saving.add_class("islet-no-print")
    parts.append(saving)
    parts += [_image(session, results, image) for image in results.images]
    return widgets.VBox(parts)


def _sample(sample: Mapping[str, Any], smallest_um: float) -> widgets.Widget:
    summary = sample["summary"]
    about = ngettext("{n} image", "{n} images", len(sample["images"]))
    title = f"{sample['name'] or _('Sample without a name')} · {about}"
    if summary is None:
        return section(html(notice_html(_not_joined(), "warning")), title=title)
    parts = [html(warnings_html(summary["warnings"])), cards(*headline(summary, smallest_um))]
    if summary["criteria"]:
        parts += [html(f"<h3>{escape(_('Release criteria'))}</h3>{criteria_html(summary)}")]
    replicates = (summary["preparation"] or {}).get("replicate_cv_fraction")
    if replicates is not None:
        parts.append(html(f"<p>{escape(_('Repeated counts vary by {cv} (CV).', cv=percent(replicates, 1)))}</p>"))
    if summary["um_per_px"]:
        parts.append(_folded(_("Size classes"), size_classes_html(summary), is_open=True))
        parts.append(_folded(_("Volume methods side by side"), methods_html(summary)))
    parts.append(_folded(_("All numbers, with their methods"), all_numbers_html(summary)))
    return section(*parts, title=title)


def _not_joined() -> str:
    return _(
        "These images could not be added up to one sample: either each of them needs a pixel size or none, and what "
        "you write about the sample must be the same for all. The numbers of each image are below."
    )


def _smallest_um(record: Mapping[str, Any]) -> float:
    return float(record["provenance"]["parameters"]["smallest_islet_um"])


def _folded(title: str, content: str, *, is_open: bool = False) -> widgets.HTML:
    state = " open" if is_open else ""
    return html(f'<details class="islet-folded"{state}><summary>{escape(title)}</summary>{content}</details>')


def _correction(results: Results) -> str:
    last = results.versions[-1]
    return _(
        "Corrected by {who}, {when} (version {version}).", who=last.actor, when=when(last.utc), version=last.version
    )


def _image(session: Session, results: Results, image: Mapping[str, Any]) -> widgets.Widget:
    record = image["record"]
    summary = record["summary"]
    place = f"/requests/{results.request_id}/images/{image['number']}"
    viewer = Viewer(
        api_url=session.place.browser_api_url,
        headers=session.browser_headers,
        texts=_viewer_texts(),
        problems=friendly.problems(),
        language=language(),
        request_id=results.request_id,
        number=image["number"],
        version=results.version,
        um_per_px=summary["um_per_px"],
        ieq_method=summary["ieq_method"],
        width_px=record["image"]["width_px"],
        height_px=record["image"]["height_px"],
    )
    stem = image["name"].rsplit(".", 1)[0]
    files: Sequence[tuple[str, str, str]] = (
        ("overlay.png", _("Picture with outlines"), "png"),
        ("islets.csv", _("Table of islets"), "csv"),
        ("rois.zip", "ImageJ", "zip"),
        ("contours.geojson", "QuPath", "geojson"),
        ("labels.tif", _("Labels"), "tif"),
    )
    downloads = Downloads(
        api_url=session.place.browser_api_url,
        headers=session.browser_headers,
        problems=friendly.problems(),
        files=[{"path": f"{place}/{path}", "text": text, "name": f"{stem}.{end}"} for path, text, end in files],
    )
    query = f"request={results.request_id}&amp;image={image['number']}&amp;lang={quote(language())}"
    doors = ((f"correct?{query}", _("Correct the outlines")), (f"view3d?{query}", _("View in 3D")))
    links = "".join(f'<a class="islet-button" href="{href}">{escape(text)}</a>' for href, text in doors)
    onward = html(f'<div class="islet-row islet-no-print">{links}</div>')
    parts: list[widgets.Widget] = []
    # The numbers of the only image stand above, as those of its sample.
    if len(results.images) > 1:
        parts = [html(warnings_html(_of_the_image(summary))), cards(*headline(summary, _smallest_um(record)))]
    return section(*parts, viewer, downloads, onward, html(_made_by(record)), title=image["name"])


def _of_the_image(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the warnings that concern one image of several; whether islets are enough is a question for the sample."""
    return [one for one in summary["warnings"] if one["code"] != "too_few_islets"]


def _made_by(record: Mapping[str, Any]) -> str:
    made, calibration = record["provenance"], record["calibration"]
    network = made["network"]
    source = {"caller": _("given by you"), "file": _("read from the file")}.get(calibration["source"])
    size = f"{number(calibration['um_per_px'])} µm/px ({source})" if source else _("pixel size unknown")
    text = f"{size} · {network['name']} {network['version']} · isletnet {made['package_version']}"
    return f'<p class="islet-quiet">{escape(text)}</p>'


def _files(session: Session, request_id: str) -> Downloads:
    files = (
        ("report.pdf", _("Report (PDF)")),
        ("results.xlsx", _("Tables (Excel)")),
        ("islets.csv", _("All islets (CSV)")),
        ("archive.zip", _("Everything (ZIP)")),
    )
    return Downloads(
        api_url=session.place.browser_api_url,
        headers=session.browser_headers,
        problems=friendly.problems(),
        print_text=_("Print this page"),
        files=[
            {"path": f"/requests/{request_id}/{name}", "text": text, "name": name, "main": name == "report.pdf"}
            for name, text in files
        ],
    )


def _viewer_texts() -> dict[str, str]:
    return {
        "viewer": _("Picture with islets: arrow keys move it, plus and minus zoom"),
        "viewer_how": _("Point at an islet to see its numbers; drag to move, turn the wheel to zoom."),
        "zoom_in": _("Zoom in"),
        "zoom_out": _("Zoom out"),
        "zoom_fit": _("Whole picture"),
        "outlines": _("Outlines"),
        "number": _("No."),
        "diameter": _("Diameter (µm)"),
        "diameter_px": _("Diameter (px)"),
        "area": _("Area (µm²)"),
        "area_px": _("Area (px)"),
        "ieq": _("IEQ"),
        "circularity": _("Circularity"),
        "table": _("Islets, the largest first"),
        "histogram": _("Islets by diameter (µm)"),
        "islet": _("Islet"),
        "particle": _("Small particle"),
        "exocrine": _("Exocrine tissue"),
    }
