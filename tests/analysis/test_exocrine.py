"""Exocrine volume against formulas."""

import numpy as np
import pytest

from isletnet.analysis.shapes.exocrine import exocrine_volume_um3
from isletnet.schemas import EXOCRINE, ISLET


def discs(*places: tuple[int, int, int], code: int = EXOCRINE) -> np.ndarray:
    y, x = np.ogrid[:200, :300]
    classes = np.zeros((200, 300), np.uint8)
    for row, column, radius in places:
        classes[(y - row) ** 2 + (x - column) ** 2 < radius**2] = code
    return classes


def test_discs_weigh_as_spheres_in_um() -> None:
    classes = discs((60, 60, 40), (120, 200, 50))
    expected_um3 = 4 / 3 * np.pi * (40**3 + 50**3) * 2.0**3
    assert exocrine_volume_um3(classes, um_per_px=2.0) == pytest.approx(expected_um3, rel=0.03)


def test_one_clump_weighs_as_its_parts() -> None:
    apart = exocrine_volume_um3(discs((60, 60, 30), (60, 130, 30)), um_per_px=1.0)
    touching = exocrine_volume_um3(discs((60, 60, 30), (60, 119, 30)), um_per_px=1.0)
    assert touching == pytest.approx(apart, rel=0.03)


def test_islets_do_not_count() -> None:
    assert exocrine_volume_um3(discs((60, 60, 40), code=ISLET), um_per_px=1.0) == 0
