"""What the page of results says of requests that a real service did, without a browser."""

from __future__ import annotations

import re
from typing import Any

import ipywidgets as widgets
from service_in_process import Service

from isletnet.client import Client
from isletnet.ui.analyse import build
from isletnet.ui.bits import Page
from isletnet.ui.i18n import set_language
from isletnet.ui.request.results import show_results
from isletnet.ui.session import Place, Session
from tests.serve.requests_at_work import picture


def texts(widget: widgets.Widget) -> list[str]:
    if isinstance(widget, widgets.HTML):
        return [re.sub(r"<[^>]+>", " ", widget.value)]
    return [text for child in getattr(widget, "children", ()) for text in texts(child)]


def said(made: Service, client: Client, parameters: dict[str, Any]) -> str:
    set_language("en")
    request = client.submit([("a.png", picture()), ("b.png", picture(3))], parameters)
    made.work()
    session = Session(place=Place(api_url="", browser_api_url="", query={}, language="en"), client=client)
    return " ".join(" ".join(texts(show_results(session, request.results()))).split())


def test_images_that_cannot_be_one_sample_are_shown_each(made: Service, client: Client):
    told = said(made, client, {"images": {"0": {"um_per_px": 2.0}}})

    assert "could not be added up to one sample" in told
    assert told.count("Islets counted") == 2
    assert "2 µm/px (given by you)" in told
    assert "pixel size unknown" in told


def test_criteria_are_judged_by_what_is_known(made: Service, client: Client):
    told = said(made, client, {"um_per_px": 2.0, "viability_fraction": 0.65})

    assert "Viability 65 % ≥ 70 % not met" in told
    assert "Endotoxin – ≤ 5 EU/kg unknown" in told
    assert "Total IEQ" not in told


def test_islets_are_counted_from_the_size_that_was_asked_for(made: Service, client: Client):
    assert "of at least 60 µm" in said(made, client, {"um_per_px": 2.0, "smallest_islet_um": 60})


def test_too_few_islets_is_told_of_the_sample_and_not_of_each_image(made: Service, client: Client):
    assert said(made, client, {"um_per_px": 2.0}).count("Few islets were counted (5)") == 1


def test_a_request_that_failed_says_once_why(made: Service, client: Client):
    set_language("en")
    request = client.submit([("torn.png", picture()[:200])])
    made.work()
    place = Place(api_url="", browser_api_url="", query={"request": request.id}, language="en")
    told = " ".join(texts(build(Page(Session(place=place, client=client), "Analyse", "analyse"))))

    assert "torn.png: This file is damaged" in told
    assert told.count("damaged") == 1
