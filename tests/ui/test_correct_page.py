"""The page to correct against a real service, without a browser; and colour stacks by way of the service."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from service_in_process import Service

from isletnet.client import Client, Request, UnreachableError
from isletnet.ui.bits import Page
from isletnet.ui.correct import Corrector, asked_image, choice_html, consent_text
from isletnet.ui.i18n import set_language
from isletnet.ui.session import Place, Session
from isletnet.ui.space.stack_view import found_by_service
from tests.serve.requests_at_work import picture


@pytest.fixture
def request_at_hand(made: Service, client: Client) -> Request:
    request = client.submit(
        [("a.png", picture()), ("b.png", picture(3))], {"um_per_px": 2.0, "sample_name": "<b>Donor</b>"}
    )
    made.work()
    request.refresh()
    return request


def session(client: Client, **query: str) -> Session:
    set_language("en")
    return Session(place=Place(api_url="", browser_api_url="http://api", query=query, language="en"), client=client)


@pytest.fixture
def corrector(client: Client, request_at_hand: Request) -> Corrector:
    return Corrector(Page(session(client), "Correct", "correct"), request_at_hand, request_at_hand.results(), image=0)


def notice(corrector: Corrector) -> str:
    return str(corrector._page._notices.value)


def edit(corrector: Corrector, **message: Any) -> None:
    canvas = corrector._canvas
    canvas._hear(canvas, {"kind": "edit", **message}, [])


def test_an_edit_is_counted_at_once_and_measured_when_saved(corrector: Corrector, request_at_hand: Request) -> None:
    assert '<span class="islet-card-value">2</span>' in corrector._cards.value
    edit(corrector, tool="delete", numbers=[2])
    assert '<span class="islet-card-value">1</span>' in corrector._cards.value
    assert "was 2" in corrector._cards.value
    corrector._note.value = " <i>dust</i> "
    corrector.save()
    assert "Saved as version 1" in notice(corrector)
    assert request_at_hand.results().images[0]["record"]["summary"]["count"]["value"] == 1
    assert "&lt;i&gt;dust&lt;/i&gt;" in corrector._history.value
    assert corrector._versions.value == 1
    assert "was" not in corrector._cards.value
    corrector.save()
    assert "nothing to save" in notice(corrector)
    assert request_at_hand.refresh().version == 1


def test_what_is_not_saved_is_not_left_behind(corrector: Corrector) -> None:
    edit(corrector, tool="delete", numbers=[2])
    corrector._images.value = 1
    assert corrector._images.value == 0
    assert "not saved" in notice(corrector)
    corrector.discard()
    assert '<span class="islet-card-value">2</span>' in corrector._cards.value
    corrector._images.value = 1
    assert '<span class="islet-card-value">3</span>' in corrector._cards.value
    assert corrector._canvas.picture_url.endswith("/images/1/picture.jpg")


def test_an_earlier_version_can_be_taken_up_again(corrector: Corrector, request_at_hand: Request) -> None:
    edit(corrector, tool="delete", numbers=[2])
    corrector.save()
    corrector._versions.value = 0
    assert corrector._drawing.numbers.islets_n == 2
    edit(corrector, tool="delete", numbers=[3])
    corrector.save()
    assert corrector._versions.value == 2
    assert [one.version for one in request_at_hand.results().versions] == [1, 2]


def test_a_lost_line_loses_no_edit(corrector: Corrector, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(corrector, tool="delete", numbers=[2])

    def fail(*_args: object, **_more: object) -> None:
        raise UnreachableError("no answer")

    with monkeypatch.context() as broken:
        broken.setattr(corrector._request, "correct", fail)
        corrector._page.guarded(corrector.save)()
    assert "does not answer" in notice(corrector)
    assert not corrector._drawing.is_saved
    corrector.save()
    assert corrector._drawing.is_saved


def test_an_image_is_given_for_training_and_taken_back(corrector: Corrector, request_at_hand: Request) -> None:
    corrector._given.value = True
    assert request_at_hand.refresh().images[0].training
    corrector._given.value = False
    assert not request_at_hand.refresh().images[0].training
    assert "donor" in consent_text()


def test_an_edit_that_cannot_be_is_told_to_the_canvas(corrector: Corrector) -> None:
    told: list[Any] = []
    corrector._canvas.send = lambda content, buffers=None: told.append(content)
    edit(corrector, tool="delete", numbers=[99])
    edit(corrector, tool="split")
    assert [one["kind"] for one in told] == ["refused", "refused"]
    assert told[0]["said"] == "This islet is not there any more."
    assert corrector._drawing.is_saved


def test_requests_are_offered_and_the_address_names_an_image(client: Client, request_at_hand: Request) -> None:
    offered = choice_html(session(client), "correct")
    assert f'href="correct?request={request_at_hand.id}&lang=en"' in offered
    assert "&lt;b&gt;Donor&lt;/b&gt;" in offered
    results = request_at_hand.results()
    asked = [asked_image(session(client, image=text), results) for text in ("1", "7", "-1", "x", "")]
    assert asked == [1, 0, 0, 0, 0]


def test_slices_are_found_by_the_service_which_keeps_none(made: Service, client: Client, tmp_path: Path) -> None:
    (tmp_path / "slices").mkdir()
    for number in range(2):
        (tmp_path / "slices" / f"{number:04d}.png").write_bytes(picture(seed=number))
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        made.work()

    before_n = len(client.requests().requests)
    found_by_service(client, tmp_path, 2.0, 50.0, say)
    labels = [np.asarray(Image.open(io.BytesIO(one.read_bytes()))) for one in sorted((tmp_path / "found").iterdir())]
    assert [int(one.max()) for one in labels] == [2, 2]
    assert said[0].startswith("Sending 2 slices")
    assert len(client.requests().requests) == before_n
