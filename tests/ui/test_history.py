"""The history page against a real service: what one sees, and what one does to what is chosen."""

from __future__ import annotations

import re

import pytest
from service_in_process import Service

from isletnet.client import Client, MissingError
from isletnet.ui.bits import Page
from isletnet.ui.earlier.past import Agreement
from isletnet.ui.history import History, _verdict, consent_text
from isletnet.ui.i18n import set_language
from isletnet.ui.session import Place, Session
from tests.serve.requests_at_work import picture


@pytest.fixture(scope="module")
def filled(made: Service, client: Client) -> Client:
    """Two finished requests of one donor and a third that failed."""
    known = {"um_per_px": 2.0, "sample_volume_ul": 100, "preparation_volume_ml": 250}
    for discs in (2, 3):
        client.submit([picture(discs), picture(discs, seed=2)], {"sample_name": "Donor 1", **known})
    client.submit([picture()[:200]], {"sample_name": "<i>Donor</i> 2"})
    made.work()
    return client


@pytest.fixture
def history(filled: Client) -> History:
    """The page, seen by a browser."""
    set_language("en")
    place = Place(api_url="", browser_api_url="", query={}, language="en")
    page = Page(Session(place=place, client=filled), "History", "history")
    made = History(page)
    made.load()
    made._table.is_seen = True
    return made


def cell(history: History, row: int, column: str) -> dict[str, object]:
    found: dict[str, object] = history._table.rows[row]["cells"][history._table.head.index(column)]
    return found


def choose(history: History, *rows: int) -> list[str]:
    history._table.chosen = [history._table.rows[row]["id"] for row in rows]
    return list(history._table.chosen)


def notice(history: History) -> str:
    return str(history._page._notices.value)


def test_rows_hold_state_and_numbers(history: History, client: Client):
    assert [row["name"] for row in history._table.rows] == ["<i>Donor</i> 2", "Donor 1", "Donor 1"]
    assert cell(history, 0, "State")["tone"] == "severe"
    assert cell(history, 0, "Islets")["text"] == "–"
    for row in (1, 2):
        summary = client.request(history._table.rows[row]["id"]).results().samples[0]["summary"]
        assert cell(history, row, "IEQ of the preparation")["sort"] == summary["preparation"]["total_ieq"]["value"]
        islets = cell(history, row, "Islets")
        assert islets["sort"] == summary["count"]["value"]
        assert re.fullmatch(r"\d+–\d+", str(islets["small"])), "islets are whole"


def test_search_narrows_table_and_trend(history: History):
    assert history._trend.value.count("<circle") == 2
    history._words.value = "donor 2"
    assert len(history._table.rows) == 1
    assert "<circle" not in history._trend.value


def test_chosen_ones_are_compared(history: History):
    choose(history, 0, 1)
    assert "Choose two or more" in history._compared.value
    choose(history, 1, 2)
    assert history._compared.value.count("<circle") == 2
    assert "they agree" in history._compared.value
    history._quantity.value = "ieq_per_kg"
    assert "Choose two or more" in history._compared.value


@pytest.mark.parametrize(
    ("p_value", "cv_fraction", "verdict", "tone"),
    [
        (0.5, 0.1, "they agree", "good"),
        (0.5, 0.7, "so wide that this may be chance", "info"),
        (0.01, 0.7, "more than their intervals explain", "warning"),
        (None, 0.1, "differ by 10.0", "info"),
    ],
)
def test_a_verdict_says_no_more_than_the_counts(p_value: float | None, cv_fraction: float, verdict: str, tone: str):
    set_language("en")
    text = _verdict(Agreement(counts_n=2, mean=100.0, cv_fraction=cv_fraction, p_value=p_value))
    assert verdict in text
    assert f"islet-{tone}" in text


def test_a_choice_that_the_search_hides_is_none(history: History):
    choose(history, 1, 2)
    history._words.value = "donor 2"
    assert history._table.chosen == []
    assert all(button.disabled for button in history._actions)


def test_images_are_given_and_taken_back(history: History, client: Client):
    (request_id,) = choose(history, 1)
    history.ask_training()
    assert consent_text() in history._question.children[0].value
    history._question.children[1].children[0].click()
    assert "2 images were given" in notice(history)
    assert all(image.training for image in client.request(request_id).status.images)
    history.withdraw()
    assert "2 images were taken back" in notice(history)
    assert not any(image.training for image in client.request(request_id).status.images)


def test_what_is_given_is_not_deleted_and_the_page_says_why(history: History, client: Client):
    (request_id,) = choose(history, 1)
    history.give()
    history.ask_delete()
    history._question.children[1].children[0].click()
    assert 'role="alert"' in notice(history)
    assert "training" in notice(history)
    assert client.request(request_id).status.state == "done"
    history.withdraw()


def test_deletion_asks_first(history: History, client: Client):
    (request_id,) = choose(history, 2)
    history.ask_delete()
    history._question.children[1].children[1].click()
    assert client.request(request_id).status.state == "done"
    history.ask_delete()
    assert "Delete 1 request with" in history._question.children[0].value
    history._question.children[1].children[0].click()
    with pytest.raises(MissingError):
        client.request(request_id)
    assert request_id not in [row["id"] for row in history._table.rows]
