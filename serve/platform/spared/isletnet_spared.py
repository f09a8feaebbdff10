"""What the packages of this folder share, each of which stands before one of the same name."""

import importlib.util
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def find_real(name: str) -> ModuleSpec:
    """Find a package as if this folder were not there; raises ``ModuleNotFoundError``."""
    spec = PathFinder.find_spec(name, [path for path in sys.path if Path(path or ".").resolve() != _HERE])
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return spec


def load_when_used(name: str) -> None:
    """Have a package loaded by who first takes something out of it, not by who imports it in case."""
    spec = find_real(name)
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    # The import system hands out what stands here in the end.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
