"""Stands before pandas, which Ray Serve imports into each of its processes in case somebody answers with a table.

Nobody here does, and most of these processes never see one: without it, each is there sooner and takes less memory.
Whoever else imports pandas gets it.
"""

import importlib.util
import sys

from isletnet_spared import find_real  # type: ignore[import-not-found]


def _importer() -> str:
    """Name the module that imports this one."""
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith(("importlib", __name__)):
        if frame.f_back is None:
            return ""
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))


if _importer() == "ray.serve._private.utils":
    raise ImportError("the processes of the platform do without it")
_spec = find_real(__name__)
# The import system hands out what stands here in the end.
_pandas = sys.modules[__name__] = importlib.util.module_from_spec(_spec)
assert _spec.loader is not None
_spec.loader.exec_module(_pandas)
