"""Measures isolated pancreatic islets in micrographs.

``isletnet.analyse(image, um_per_px=...)`` is the way in. What it hands back is a record of `isletnet.schemas`;
what can go wrong is in `isletnet.errors`. Names are loaded when they are first used, so that importing the
package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isletnet.analysis.pipeline import Analysis, analyse
    from isletnet.errors import ExportError, InputError, IsletnetError, NetworkError
    from isletnet.schemas import AnalysisParameters, Criterion, Micrograph, SampleParameters, Summary

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "AnalysisParameters",
    "Criterion",
    "ExportError",
    "InputError",
    "IsletnetError",
    "Micrograph",
    "NetworkError",
    "SampleParameters",
    "Summary",
    "__version__",
    "analyse",
]

_HOMES = {
    "isletnet.analysis.pipeline": ("Analysis", "analyse"),
    "isletnet.errors": ("ExportError", "InputError", "IsletnetError", "NetworkError"),
    "isletnet.schemas": ("AnalysisParameters", "Criterion", "Micrograph", "SampleParameters", "Summary"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name on its first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'isletnet' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(set(globals()) | set(__all__))
