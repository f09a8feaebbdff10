"""Every warning fires on a table of islets made for it, and keeps quiet on good ones."""

import math

import numpy as np
import pandas as pd
import pytest

from isletnet.analysis import quality
from isletnet.analysis.checks import result
from isletnet.schemas import Disagreement, Interval, QualityWarning


def table(
    diameters_um: list[float], *, cut_n: int = 0, contact: float = 0.0, smallest_um: float = 50.0
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "equal_area_diameter_um": np.array(diameters_um, dtype=np.float64),
            "is_islet": np.array(diameters_um, dtype=np.float64) >= smallest_um,
            "touches_border": np.arange(len(diameters_um)) < cut_n,
            "exocrine_contact_fraction": np.full(len(diameters_um), contact, dtype=np.float64),
        }
    )


def result_codes(frame: pd.DataFrame, um_per_px: float | None = 2.0) -> set[str]:
    return {warning.code for warning in quality.check_result(frame, um_per_px=um_per_px)}


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (table([120.0] * 10), set()),
        (table([]), {"nothing_found"}),
        (table([30.0] * 5), {"nothing_found"}),
        (table([120.0] * 10, cut_n=4), {"many_cut_by_border"}),
        (table([120.0] * 10, cut_n=2), set()),
        (table([120.0] * 3, cut_n=3), set()),
        (table([120.0] * 9 + [620.0]), {"oversize_islets"}),
        (table([700.0] * 5), {"oversize_islets", "calibration_implausible"}),
        (table([8.0] * 5), {"nothing_found", "calibration_implausible"}),
        (table([120.0] * 6, contact=0.7), {"very_high_exocrine_contact"}),
        (table([120.0] * 2, contact=0.7), set()),
    ],
)
def test_each_table_gets_the_warnings_it_was_made_for(frame: pd.DataFrame, expected: set[str]) -> None:
    assert result_codes(frame) == expected


def test_without_calibration_no_size_is_judged() -> None:
    frame = table([math.nan] * 6).assign(is_islet=True)
    assert result_codes(frame, None) == set()


def test_too_few_islets_asks_for_the_number_that_narrows_the_interval() -> None:
    wide = Interval(low=400.0, high=1600.0, level=0.95, method="test")
    warning = result.too_few_islets(10, wide)
    assert warning is not None
    assert warning.evidence["relative_half_width"] == pytest.approx(1.0)
    # A factor of 2 must become 1.5, so the number grows by (log 2 / log 1.5)^2 = 2.92.
    assert warning.evidence["needed_n"] == 30
    assert result.too_few_islets(100, Interval(low=700.0, high=1400.0, level=0.95, method="test")) is None
    assert result.too_few_islets(0, wide) is None
    assert warning.message.startswith("10 islets give IEQ only within a factor of 2.0;")


def test_a_single_islet_is_spoken_of_in_the_singular() -> None:
    few = result.too_few_islets(1, Interval(low=1.0, high=25.0, level=0.95, method="test"))
    assert few is not None
    assert few.message.startswith("1 islet gives IEQ only within a factor of 5.0;")
    one, two = (result.oversize_islets(np.full(n, 600.0)) for n in (1, 2))
    assert one is not None
    assert two is not None
    assert one.message.startswith("1 islet is larger than 500 um;")
    assert two.message.startswith("2 islets are larger")


def test_networks_that_disagree_are_told_by_the_worst_number() -> None:
    def disagreement(ieq: float, count: float) -> Disagreement:
        return Disagreement(
            members=("a", "b"),
            # As large as the errors that a network is known to have on any picture.
            ieq_relative=0.5,
            count_relative=0.4,
            islet_area_relative=0.3,
            exocrine_area_relative=9.0,
            between_members={"ieq": ieq, "count": count, "islet_area": 0.01, "exocrine_area": 9.0},
        )

    assert result.networks_disagree(disagreement(0.05, 0.08)) is None
    assert result.networks_disagree(None) is None
    warning = result.networks_disagree(disagreement(0.05, 0.3))
    assert warning is not None
    assert (warning.severity, warning.message) == (
        "severe",
        "The networks disagree by 30% in count; check the outlines by eye.",
    )
    warning = result.networks_disagree(disagreement(0.15, 0.05))
    assert warning is not None
    assert (warning.severity, warning.message) == (
        "warning",
        "The networks disagree by 15% in IEQ; check the outlines by eye.",
    )


def test_severe_warnings_come_first() -> None:
    warnings: tuple[QualityWarning, ...] = quality.check_result(table([700.0] * 5), um_per_px=2.0)
    assert [warning.severity for warning in warnings] == ["severe", "warning"]
