"""Fixtures that every wing's tests share."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT.parent / "shared" / "data" / "real"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real annotated micrographs (``images/``, ``labels/``, ``calibration.csv``)."""
    if not (REAL / "calibration.csv").is_file():
        pytest.skip("the shared real micrographs are not here: ../shared/data/real")
    return REAL
