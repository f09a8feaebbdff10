"""Fixtures that every wing's tests share."""

import atexit
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
# Seeded, and never failed by a slow machine.
settings.register_profile("isletnet", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("isletnet")

REAL = ROOT.parent / "shared" / "data" / "real"
# Debian keeps servers where only root's path leads.
PROGRAM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


def find_program(name: str) -> str:
    """Find a program of the system; a test that needs it is skipped where it is absent (.ci/run installs all)."""
    path = shutil.which(name, path=PROGRAM_PATH)
    if path is None:
        pytest.skip(f"{name} is not on this machine; install it to run this test")
    return path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real annotated micrographs (``images/``, ``labels/``, ``calibration.csv``)."""
    if not (REAL / "calibration.csv").is_file():
        pytest.skip("the shared real micrographs are not here: ../shared/data/real")
    return REAL


_SESSION = pytest.StashKey[pytest.Session]()


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[_SESSION] = session


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End without the destructors of two LLVMs, TensorFlow's and that of VTK's driver: together they crash."""
    session = config.stash.get(_SESSION, None)
    if session is not None and "tensorflow" in sys.modules and any(name.startswith("vtk") for name in sys.modules):
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(session.exitstatus))
