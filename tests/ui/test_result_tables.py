from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from isletnet.ui.i18n import set_language
from isletnet.ui.request.tables import criteria_html, headline, interval, methods_html, size_classes_html


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    set_language("en")


def estimate(value: float | None, unit: str, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    given = None if low is None else {"low": low, "high": high, "level": 0.95, "method": "m"}
    return {"value": value, "unit": unit, "method": "m", "interval": given}


def summary(**more: Any) -> dict[str, Any]:
    return {
        "um_per_px": 2.0,
        "ieq_method": "sphere",
        "ieq": estimate(190.0, "IEQ", 100.0, 361.0),
        "count": estimate(82.0, "islets", 62.6, 106.2),
        "purity_area": estimate(0.54, "fraction", 0.4, 0.7),
        "mean_diameter": estimate(129.4, "um"),
        "preparation": None,
        "criteria": [],
        "size_classes": [],
        "ieq_by_method": {},
        "volume_by_method_nl": {},
        **more,
    }


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


def dose(value: float | None, passed: bool | None) -> dict[str, Any]:
    asked = {"name": "Islet dose", "quantity": "ieq_per_kg", "comparison": ">=", "limit": 5000.0, "unit": "IEQ/kg"}
    return {"criterion": asked, "value": value, "passed": passed}


def test_a_headline_number_has_its_unit_interval_and_level():
    ieq, count, purity, diameter = (text_of(card) for card in headline(summary(), 50.0))

    assert ieq == "IEQ in the pictures 190 IEQ 100 – 361 (95\xa0%) Sphere of equal area".replace("\xa0", " ")
    assert count == "Islets counted 82 63 – 106 (95 %) of at least 50 µm"
    assert purity.startswith("Purity 54 % 40 % – 70 % (95 %)")
    assert diameter == "Mean diameter 129 µm circle of equal area"


def test_without_calibration_there_is_a_dash_and_no_micrometre():
    unknown = summary(um_per_px=None, ieq=estimate(None, "IEQ"), mean_diameter=estimate(None, "um"))
    ieq, count, _purity, diameter = (text_of(card) for card in headline(unknown, 50.0))

    assert ieq.startswith("IEQ in the pictures –")
    assert "µm" not in count
    assert diameter.startswith("Mean diameter –")


@pytest.mark.parametrize(("passed", "tone"), [(True, "islet-good"), (False, "islet-severe"), (None, "islet-")])
def test_the_dose_shows_at_once_whether_it_is_enough(passed: bool | None, tone: str):
    prepared = {
        "total_ieq": estimate(475_000.0, "IEQ"),
        "ieq_per_kg": estimate(6786.0, "IEQ/kg"),
        "ieq_per_g_pancreas": None,
    }
    cards = headline(summary(preparation=prepared, criteria=[dose(6786.0, passed)]), 50.0)

    assert text_of(cards[0]).startswith("Total IEQ 475,000 IEQ")
    assert text_of(cards[1]) == "IEQ per kg 6,786 IEQ/kg"
    assert f'class="islet-card {tone}"' in cards[1]


@pytest.mark.parametrize(
    ("value", "passed", "row"),
    [
        (6786.0, True, "Islet dose 6,786 IEQ/kg ≥ 5,000 IEQ/kg met"),
        (4999.0, False, "Islet dose 4,999 IEQ/kg ≥ 5,000 IEQ/kg not met"),
        (None, None, "Islet dose – ≥ 5,000 IEQ/kg unknown"),
    ],
)
def test_a_criterion_says_what_was_found_and_what_is_asked(value: float | None, passed: bool | None, row: str):
    assert text_of(criteria_html(summary(criteria=[dose(value, passed)]))).endswith(row)


def test_a_criterion_of_somebody_cannot_write_into_the_page():
    mine = dose(1.0, True)
    mine["criterion"]["name"] = "<img src=x onerror=alert(1)>"

    assert "<img" not in criteria_html(summary(criteria=[mine]))


def test_size_classes_and_methods_are_tables():
    one = {
        "lower_um": 400.0,
        "upper_um": None,
        "islets_n": 3,
        "ieq_ricordi": 47.4,
        "ieq_continuous": 63.0,
        "count_fraction": 0.04,
        "ieq_fraction": 0.331,
    }
    assert text_of(size_classes_html(summary(size_classes=[one]))).endswith("≥ 400 3 4 % 63.0 47.4 33 %")

    vext = estimate(140.6, "IEQ", 70.0, 280.0)
    methods = summary(ieq_by_method={"vext": vext}, volume_by_method_nl={"vext": estimate(248.5, "nL")})
    assert text_of(methods_html(methods)).endswith("Extrusion (Vext) 141 70 – 280 248 0.74")


def test_an_interval_that_is_unknown_is_a_dash():
    assert interval(estimate(3.0, "IEQ")) == "–"
    assert interval(None) == "–"


def test_czech_cards_use_the_decimal_comma():
    set_language("cs")

    assert text_of(headline(summary(ieq=estimate(9.98, "IEQ")), 50.0)[0]).startswith("IEQ na snímcích 9,98 IEQ")
