"""The form for new images. The browser sends them to the service itself; this process learns the request's id only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import anywidget
import traitlets

from isletnet.ui import friendly
from isletnet.ui.bits import esm
from isletnet.ui.i18n import _, percent
from isletnet.ui.session import Session


class Intake(anywidget.AnyWidget):
    """Files, their calibration and consent, the sample, and what is wanted; ``request_id`` is set on submission.

    ``refused`` has a sentence for each file that the service did not take.
    """

    _esm = esm("bits.js", "tiff.js", "micrometer.js", "intake.js")
    api_url = traitlets.Unicode().tag(sync=True)
    headers: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    texts: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    problems: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    fields: traitlets.List[Any] = traitlets.List().tag(sync=True)
    networks: traitlets.List[Any] = traitlets.List().tag(sync=True)
    refused: traitlets.List[str] = traitlets.List().tag(sync=True)
    request_id = traitlets.Unicode().tag(sync=True)


def make_intake(session: Session) -> Intake:
    """Make the form, with the networks that answer just now.

    Parameters
    ----------
    session
        Of the person who will send images.

    Raises
    ------
    ServiceError
        The service does not answer.
    """
    return Intake(
        api_url=session.place.browser_api_url,
        headers=session.browser_headers,
        texts=_texts(),
        problems=friendly.problems(),
        fields=_fields(),
        networks=network_choices(session.client.networks()),
    )


def network_choices(networks: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Say of each network what a person chooses by: its name, version and how well it does on real micrographs."""
    return [
        {"name": one["name"], "label": _network_label(one), "isDefault": bool(one["is_default"])} for one in networks
    ]


def _network_label(network: Mapping[str, Any]) -> str:
    label = f"{network['name']} {network['version']}"
    runs = network.get("card", {}).get("metrics", {}).get("real_left_out", [])
    if not runs:
        return label
    weight = sum(run["pictures_n"] for run in runs)
    dice = sum(run["pictures_n"] * run["islet"]["dice"] for run in runs) / weight
    return label + " · " + _("{share} overlap with experts' outlines", share=percent(dice))


def _fields() -> list[dict[str, Any]]:
    def numeric(name: str, label: str, hint: str = "", **limits: str) -> dict[str, Any]:
        return {"name": name, "kind": "number", "label": label, "hint": hint, **limits}

    return [
        {"name": "sample_name", "kind": "text", "label": _("Name of the sample"), "hint": _("No names of patients.")},
        numeric("sample_volume_ul", _("Volume sampled (µL)"), _("What was counted, usually 100 µL"), value="100"),
        numeric("dilution_factor", _("Dilution"), _("Before sampling; the stain does not count"), value="1", min="1"),
        numeric("preparation_volume_ml", _("Volume of the preparation (mL)"), _("Gives the total IEQ")),
        numeric("recipient_kg", _("Weight of the recipient (kg)"), _("Gives IEQ per kg")),
        numeric("pancreas_g", _("Weight of the pancreas (g)"), _("Gives IEQ per gram")),
        numeric("settled_tissue_ml", _("Settled tissue (mL)")),
        numeric("viability_percent", _("Viability (%)"), max="100"),
        numeric("endotoxin_eu_per_ml", _("Endotoxin (EU/mL)"), _("In the preparation")),
        {
            "name": "mail_to",
            "kind": "email",
            "label": _("E-mail (optional)"),
            "hint": _("You get a link when it is done, no numbers"),
        },
    ]


def _texts() -> dict[str, str]:
    return {
        "images": _("Images"),
        "drop": _("Choose or drop images here"),
        "drop_kinds": _("TIFF, PNG, JPEG or BMP; many at once; 100 MB and more are fine"),
        "none_chosen": _("No images yet."),
        "chosen": _("Images chosen: {n}"),
        "um_per_px": _("µm per pixel"),
        "measure": _("Measure"),
        "for_all": _("Use for all"),
        "remove": _("Remove"),
        "from_file": _("read from the file"),
        "typed": _("typed"),
        "copied": _("taken from another image"),
        "measured": _("measured"),
        "uncalibrated": _("unknown: without it there is no IEQ"),
        "consent": _("I give this image for training; it shows no person and no name."),
        "consent_why": _(
            "Images that you give for training are kept, with their outlines, to improve the networks. You can take "
            "this back at any time. Without it an image is deleted after the usual time."
        ),
        "sample": _("Sample"),
        "sample_why": _("Everything here is optional. Without it you get the numbers of the images alone."),
        "several": _("The images show"),
        "several_hint": _("Decides the total IEQ"),
        "several_fields": _("parts of one sampled volume: they are added up"),
        "several_aliquots": _("a sampled volume each: they are averaged"),
        "options": _("How to measure"),
        "network": _("Network"),
        "network_hint": _("Finds the islets; each result says which one did"),
        "submit": _("Analyse the images"),
        "sent": _("Sent: {done} of {n}"),
        "arrived": _("Arrived."),
        "line_lost": _("The line is broken. It goes on by itself."),
        "nothing_sent": _("None of the images could be sent."),
        "cancel": _("Cancel"),
        "micrometer_title": _("Measure the size of a pixel"),
        "micrometer_how": _(
            "Take a picture of a stage micrometer with the same objective and camera settings. Draw a line along its "
            "scale, as long as possible, and say how long it is."
        ),
        "micrometer_picture": _("Picture"),
        "micrometer_file": _("Another picture, of the stage micrometer"),
        "micrometer_canvas": _("Draw a line here; arrow keys move its end"),
        "micrometer_length": _("Length of the line (µm)"),
        "micrometer_found": _("{um} µm per pixel"),
        "micrometer_use": _("Use this"),
    }
