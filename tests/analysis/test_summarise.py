"""Counts, IEQ, classes, purity and integrity of one image."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from islet_tables import class_picture, islet_table, numbers, published_sizes_um, ricordi

from isletnet.analysis.summarise import flat_row, pool, summarise_image
from isletnet.errors import ParameterError
from isletnet.exports.records import to_json
from isletnet.schemas import IEQ_METHODS, VOLUME_METHODS, AnalysisParameters, QualityWarning, Summary

COUNT = AnalysisParameters()
EXCLUDE = AnalysisParameters(border="exclude")
sizes_um = st.lists(st.floats(10.0, 600.0), max_size=30)
laws = settings(max_examples=25, derandomize=True, deadline=None)


def summary_of(diameter_um, parameters: AnalysisParameters = COUNT, **details) -> Summary:
    return pool([numbers(diameter_um, **details)], name="image", parameters=parameters)


def test_purity_of_the_worked_example():
    """20 islets of 150 um and 60 exocrine parts of 80 um (domain facts, section 3)."""
    table = islet_table(np.full(20, 150.0))
    summary = summarise_image(
        table,
        name="example",
        classes=class_picture(round(20 * math.pi * 75**2), [round(math.pi * 40**2)] * 60, side_px=1600),
        um_per_px=1.0,
        parameters=COUNT,
        disagreement=None,
        warnings=(),
        exocrine_volume_um3=60 * math.pi * 80**3 / 6,
    )
    assert summary.purity_area.value == pytest.approx(0.540, abs=0.0005)
    assert summary.purity_volume.value == pytest.approx(0.687, abs=0.0005)
    assert summary.ieq.value == pytest.approx(20.0)
    assert summary.image_area_mm2 == pytest.approx(1600**2 * 1e-6)


def test_exocrine_parts_are_told_apart_for_the_interval():
    """One clump instead of 60 parts: the same purity, a far wider interval."""
    many, one = (
        summary_of(np.full(60, 100.0), exocrine_parts_px=parts).purity_area for parts in ([1000] * 60, [60_000])
    )
    assert many.value == one.value
    # 60 equal parts on each side: the log odds have the standard error sqrt(1/60 + 1/60) and 240 degrees of freedom.
    half = 1.9699 * math.sqrt(2 / 60)
    odds = many.value / (1 - many.value)
    assert many.interval.high / (1 - many.interval.high) == pytest.approx(odds * math.exp(half), rel=0.002)
    assert one.interval.high - one.interval.low > 3 * (many.interval.high - many.interval.low)


def test_published_sizes_give_the_published_numbers():
    """Mean 129 um, median 111 um, islet index about 1.3, Ricordi 2.5-3.3 % too high (sections 1 and 4)."""
    exceeded = (np.arange(100_000) + 0.5) / 100_000
    summary = summary_of(50.0 + 84.0 * (-np.log(exceeded)) ** (1.0 / 1.18), um_per_px=100.0)
    assert summary.mean_diameter.value == pytest.approx(129.0, abs=0.6)
    assert summary.median_diameter.value == pytest.approx(111.0, abs=0.6)
    assert summary.islet_index.value == pytest.approx(1.3, abs=0.02)
    assert 1.025 < summary.ieq_by_method["ricordi_long"].value / summary.ieq.value < 1.033


def test_the_fit_finds_the_published_shape_again():
    summary = summary_of(published_sizes_um((np.arange(100_000) + 0.5) / 100_000), um_per_px=100.0)
    assert summary.weibull.shape == pytest.approx(1.31, rel=0.002)
    assert summary.weibull.scale_um == pytest.approx(104.0, rel=0.002)
    assert summary.mean_diameter.value == pytest.approx(129.0, abs=1.0)
    assert summary.islet_index.value == pytest.approx(1.3, abs=0.02)


def test_size_classes_are_half_open_and_add_up():
    diameter_um = np.array([30.0, 49.99, 50.0, 99.99, 100.0, 149.99, 150.0, 250.0, 399.99, 400.0, 612.0])
    summary = summary_of(diameter_um, um_per_px=2.0)
    classes = summary.size_classes
    assert [(row.lower_um, row.upper_um) for row in classes][:2] == [(50.0, 100.0), (100.0, 150.0)]
    assert (classes[-1].lower_um, classes[-1].upper_um) == (400.0, None)
    assert [row.islets_n for row in classes] == [2, 2, 1, 0, 1, 0, 1, 2]
    assert (summary.islets_n, summary.small_particles_n, summary.oversize_islets_n) == (9, 2, 2)
    seen = diameter_um[2:]
    assert sum(row.ieq_ricordi for row in classes) == pytest.approx(ricordi(seen).sum())
    assert sum(row.ieq_continuous for row in classes) == pytest.approx(((seen / 150) ** 3).sum())
    assert sum(row.count_fraction for row in classes) == pytest.approx(1.0)
    assert sum(row.ieq_fraction for row in classes) == pytest.approx(1.0)
    assert classes[0].ieq_ricordi == pytest.approx(2 * 294_525 / 1_767_146, rel=1e-5)


def test_ricordi_jumps_between_classes_and_the_continuous_ieq_does_not():
    below, above = summary_of([149.99]), summary_of([150.0])
    assert below.ieq_by_method["ricordi_long"].value == pytest.approx(0.648, abs=0.0005)
    assert above.ieq_by_method["ricordi_long"].value == pytest.approx(1.685, abs=0.0005)
    assert above.ieq.value / below.ieq.value == pytest.approx(1.0, abs=0.001)


def test_a_lower_cut_opens_a_class_below_50_um():
    parameters = AnalysisParameters(smallest_islet_um=30.0)
    table = islet_table([20.0, 35.0, 60.0], smallest_islet_um=30.0)
    details = {"name": "low", "um_per_px": 1.0, "disagreement": None, "warnings": (), "exocrine_volume_um3": None}
    summary = summarise_image(table, classes=class_picture(4000), parameters=parameters, **details)
    assert [row.islets_n for row in summary.size_classes][:2] == [1, 1]
    assert summary.size_classes[0].lower_um == 30.0
    assert flat_row(summary)["islets_below_50_um_n"] == 1


def test_border_islets_are_counted_but_left_out_of_size_statistics():
    details = {"touches_border": [True, False, False, True], "um_per_px": 1.0}
    counted = summary_of([300.0, 100.0, 120.0, 30.0], COUNT, **details)
    excluded = summary_of([300.0, 100.0, 120.0, 30.0], EXCLUDE, **details)
    whole = (100 / 150) ** 3 + (120 / 150) ** 3
    assert (counted.islets_n, counted.small_particles_n, counted.border_islets_n) == (3, 1, 1)
    assert (excluded.islets_n, excluded.small_particles_n, excluded.border_islets_n) == (2, 0, 1)
    assert counted.ieq.value == pytest.approx(whole + 8.0)
    assert excluded.ieq.value == pytest.approx(whole)
    for summary in (counted, excluded):
        assert summary.mean_diameter.value == pytest.approx(110.0)
        assert summary.median_diameter.value == pytest.approx(110.0)
        assert summary.islet_index.value == pytest.approx(whole / 2)
        assert summary.purity_area.value == 1.0
    assert "counted" in counted.ieq.method
    assert "left out" in excluded.ieq.method


def test_every_islet_cut_by_the_border():
    summary = summary_of([100.0, 200.0], COUNT, touches_border=True)
    assert (summary.islets_n, summary.border_islets_n) == (2, 2)
    assert summary.mean_diameter.value is None
    assert summary.islet_index.value is None
    assert summary_of([100.0, 200.0], EXCLUDE, touches_border=True).ieq.value == 0.0
    assert summary.contact["free_fraction"].value is None


def test_nothing_found_is_a_result():
    summary = summary_of([])
    assert (summary.islets_n, summary.ieq.value, summary.weibull) == (0, 0.0, None)
    assert summary.ieq.interval is None
    assert summary.count.interval.high == pytest.approx(3.689, abs=0.001)
    assert summary.purity_area.value is None
    assert summary.purity_volume.value is None
    assert all(number.value is None for number in summary.contact.values())
    assert sum(row.islets_n for row in summary.size_classes) == 0


def test_without_calibration_there_are_counts_and_purity_but_no_micrometres():
    summary = summary_of([20.0, 60.0], um_per_px=None, exocrine_parts_px=[500], exocrine_volume_um3=None)
    assert (summary.islets_n, summary.small_particles_n) == (2, 0)
    assert summary.count.value == 2.0
    assert "pixel size is unknown" in summary.count.method
    area_px = round(math.pi * (20**2 + 60**2) / 4)
    assert summary.purity_area.value == pytest.approx(area_px / (area_px + 500))
    in_um = [
        summary.ieq,
        summary.purity_volume,
        summary.islet_index,
        summary.mean_diameter,
        summary.median_diameter,
        *summary.ieq_by_method.values(),
        *summary.volume_by_method_nl.values(),
        summary.fragmentation["small_islet_fraction"],
        summary.fragmentation["small_particles_per_islet"],
        summary.fragmentation["small_particles_ieq"],
    ]
    assert all(number.value is None and number.interval is None for number in in_um)
    assert (summary.size_classes, summary.weibull, summary.image_area_mm2) == ((), None, None)
    assert summary.fragmentation["low_solidity_fraction"].value == 0.0


def test_fragmentation_numbers():
    table = islet_table([20.0, 40.0, 60.0, 99.0, 100.0, 200.0], solidity=[0.5, 0.5, 0.95, 0.89, 0.95, 0.8])
    details = {"name": "f", "um_per_px": 1.0, "disagreement": None, "warnings": (), "exocrine_volume_um3": None}
    found = summarise_image(table, classes=class_picture(100), parameters=COUNT, **details).fragmentation
    assert found["small_islet_fraction"].value == 0.5
    assert found["low_solidity_fraction"].value == 0.5
    assert found["small_particles_per_islet"].value == 0.5
    assert found["small_particles_ieq"].value == pytest.approx((20**3 + 40**3) / 150**3)
    assert found["islet_index"].value == pytest.approx((60**3 + 99**3 + 100**3 + 200**3) / 150**3 / 4)


def test_contact_shares_have_closed_bounds_for_mantled_islets():
    table = islet_table(np.full(5, 100.0), contact=[0.0, 0.25, 0.75, 0.76, np.nan])
    details = {"name": "c", "um_per_px": 1.0, "disagreement": None, "warnings": (), "exocrine_volume_um3": None}
    found = summarise_image(table, classes=class_picture(100), parameters=COUNT, **details).contact
    assert [found[f"{kind}_fraction"].value for kind in ("free", "mantled", "embedded")] == [0.25, 0.5, 0.25]


def test_a_method_that_fails_on_one_islet_gives_no_total():
    table = islet_table([100.0, 200.0])
    table.loc[1, ["ieq_nucleator", "volume_nucleator_um3"]] = np.nan
    before = table.copy()
    details = {"name": "n", "um_per_px": 1.0, "disagreement": None, "warnings": (), "exocrine_volume_um3": None}
    summary = summarise_image(table, classes=class_picture(100), parameters=COUNT, **details)
    assert summary.ieq_by_method["nucleator"].value is None
    assert summary.volume_by_method_nl["nucleator"].value is None
    assert summary.ieq_by_method["sphere"].value == pytest.approx((100**3 + 200**3) / 150**3)
    assert table.equals(before)


def test_every_method_stands_beside_the_chosen_one():
    summary = summary_of([150.0], AnalysisParameters(ieq_method="vext"))
    assert tuple(summary.ieq_by_method) == IEQ_METHODS
    assert tuple(summary.volume_by_method_nl) == VOLUME_METHODS
    assert summary.ieq == summary.ieq_by_method["vext"]
    assert summary.volume_by_method_nl["sphere"].value == pytest.approx(1.767146, abs=1e-6)
    assert len({number.method for number in summary.ieq_by_method.values()}) == len(IEQ_METHODS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ieq_method": "cube"},
        {"border": "mirror"},
        {"uncertainty": "flip"},
        {"smallest_islet_um": 0.0},
        {"smallest_islet_um": math.nan},
        {"confidence_level": 95.0},
    ],
)
def test_wrong_parameters_are_refused_by_name(wrong):
    with pytest.raises(ParameterError) as caught:
        summary_of([100.0], AnalysisParameters(**wrong))
    assert caught.value.subject == next(iter(wrong))


@laws
@given(sizes_um, st.booleans())
def test_plain_data_holds_only_what_json_can(diameter_um, is_calibrated):
    warning = QualityWarning(code="focus", message="soft", evidence={"blur": math.nan})
    summary = summary_of(diameter_um, um_per_px=2.0 if is_calibrated else None, warnings=(warning,))
    again = json.loads(to_json(summary))
    assert again["islets_n"] == summary.islets_n
    assert again["ieq"]["value"] == summary.ieq.value
    assert again["warnings"][0]["evidence"] == {"blur": None}
    row = flat_row(summary)
    json.dumps(row, allow_nan=False)
    assert list(row) == list(flat_row(summary_of([])))
    assert row["warnings"] == "focus"


@laws
@given(sizes_um)
def test_twice_the_size_gives_eight_times_the_ieq(diameter_um):
    diameter_um = [size + 50.0 for size in diameter_um]
    once = summary_of(diameter_um, um_per_px=4.0)
    twice = summary_of([2.0 * size for size in diameter_um], um_per_px=8.0)
    assert twice.ieq.value == pytest.approx(8.0 * once.ieq.value)
    assert (twice.islets_n, twice.islet_area_px) == (once.islets_n, once.islet_area_px)
    if once.ieq.interval:
        assert twice.ieq.interval.low == pytest.approx(8.0 * once.ieq.interval.low)
