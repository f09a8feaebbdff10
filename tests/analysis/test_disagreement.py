"""Disagreement: known differences between masks give known numbers."""

import numpy as np
import pandas as pd
import pytest

from isletnet.analysis.disagreement import disagreement
from isletnet.schemas import EXOCRINE, ISLET, LabelledIslets


def dish(*radii: int, exocrine_rows: int = 40) -> LabelledIslets:
    """Discs in a row (radius 0: an empty place), numbered from the left, and a slab of exocrine tissue."""
    y, x = np.ogrid[:300, : 150 * max(len(radii), 1)]
    islets = np.zeros((300, 150 * max(len(radii), 1)), np.int32)
    places = [(place, radius) for place, radius in enumerate(radii) if radius]
    for number, (place, radius) in enumerate(places, start=1):
        islets[(y - 100) ** 2 + (x - 150 * place - 75) ** 2 < radius**2] = number
    classes = np.where(islets > 0, ISLET, 0).astype(np.uint8)
    classes[300 - exocrine_rows :] = EXOCRINE
    return LabelledIslets(classes=classes, islets=islets, islets_n=len(places))


def table(labelled: LabelledIslets, *, large: bool = True) -> pd.DataFrame:
    areas = np.bincount(labelled.islets.ravel(), minlength=labelled.islets_n + 1)[1:]
    return pd.DataFrame({"area_px": areas, "is_islet": np.full(len(areas), large)})


def compare(own: LabelledIslets, *others: LabelledIslets, known: dict[str, float] | None = None):
    return disagreement(
        own,
        table(own),
        [(f"other {i}", other.classes) for i, other in enumerate(others)],
        name="own",
        known_relative_error=known or {},
    )


def test_equal_masks_agree() -> None:
    found = compare(dish(40, 50), dish(40, 50))
    assert found.members == ("own", "other 0")
    assert (found.ieq_relative, found.count_relative) == (0, 0)
    assert (found.islet_area_relative, found.exocrine_area_relative) == (0, 0)


def test_a_wider_contour_moves_volume_by_its_cube() -> None:
    found = compare(dish(40, 40), dish(42, 42))
    assert found.ieq_relative == pytest.approx(3 * np.log(42 / 40) / np.sqrt(2), rel=0.03)
    assert found.islet_area_relative == pytest.approx(2 * np.log(42 / 40) / np.sqrt(2), rel=0.03)
    assert found.count_relative == 0


def test_an_islet_that_only_one_sees_moves_the_count() -> None:
    less, more = compare(dish(40, 40, 40), dish(40, 40, 0)), compare(dish(40, 40, 0), dish(40, 40, 40))
    assert less.count_relative == pytest.approx(np.log(3.5 / 2.5) / np.sqrt(2), rel=1e-6)
    assert more.count_relative == pytest.approx(less.count_relative)
    assert more.ieq_relative == pytest.approx(np.log(3 / 2) / np.sqrt(2), rel=0.02)


def test_exocrine_area_is_compared() -> None:
    found = compare(dish(40, exocrine_rows=40), dish(40, exocrine_rows=60))
    assert found.exocrine_area_relative == pytest.approx(np.log(60 / 40) / np.sqrt(2), rel=0.05)


def test_known_errors_join_in_quadrature() -> None:
    known = {"ieq": 0.04, "count": 0.03, "islet_area": 0.02, "exocrine_area": 0.2}
    alone = compare(dish(40, 40), dish(42, 42))
    joined = compare(dish(40, 40), dish(42, 42), known=known)
    assert joined.ieq_relative == pytest.approx(np.hypot(alone.ieq_relative, 0.04))
    assert joined.count_relative == pytest.approx(0.03)
    # What the members differ by is told without the known errors.
    assert joined.between_members == alone.between_members
    assert joined.between_members["ieq"] == alone.ieq_relative
    assert joined.between_members["count"] == 0


def test_nothing_found_by_anyone_is_no_crash() -> None:
    found = compare(dish(), dish())
    assert found.ieq_relative == 0
    assert np.isfinite(compare(dish(0), dish(40)).ieq_relative)
