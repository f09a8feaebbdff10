"""Fixtures that every wing's tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
# Seeded, and never failed by a slow machine.
settings.register_profile("isletnet", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("isletnet")

REAL = ROOT.parent / "shared" / "data" / "real"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real annotated micrographs (``images/``, ``labels/``, ``calibration.csv``)."""
    if not (REAL / "calibration.csv").is_file():
        pytest.skip("the shared real micrographs are not here: ../shared/data/real")
    return REAL
