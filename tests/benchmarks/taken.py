"""What the benchmarks of the service take: the same pictures, and times by the same clock."""

import time
from collections.abc import Callable
from io import BytesIO

from PIL import Image

from isletnet.synthetic.scene import make_scene

SEED = 920_000


def pictures(number: int) -> list[bytes]:
    """Encode synthetic micrographs of 1600x1200 px as PNG."""
    contents = []
    for seed in range(SEED, SEED + number):
        buffer = BytesIO()
        Image.fromarray(make_scene(seed).pixels).save(buffer, "PNG", compress_level=1)
        contents.append(buffer.getvalue())
    return contents


def seconds_of(action: Callable[[], object]) -> float:
    """Time an action."""
    begun_s = time.perf_counter()
    action()
    return time.perf_counter() - begun_s
