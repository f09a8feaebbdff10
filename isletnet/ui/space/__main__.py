"""Do the job in a folder: ``python -m isletnet.ui.space <folder>``."""

from __future__ import annotations

import sys
from pathlib import Path

from isletnet.ui.space.jobs import do_job

do_job(Path(sys.argv[1]))
