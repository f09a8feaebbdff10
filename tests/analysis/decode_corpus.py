"""Pictures in files, written by Pillow and tifffile, for the tests of the decoder."""

import io
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from isletnet.analysis.decode import decode
from isletnet.errors import InputError
from isletnet.schemas import Micrograph

HEIGHT_PX, WIDTH_PX = 40, 56


def picture(dtype: type = np.uint8, channels: int = 3, *, most: int | None = None) -> NDArray[Any]:
    """Seeded noise ``(height, width, channels)`` that uses the whole range up to ``most``."""
    top = np.iinfo(dtype).max if most is None else most
    samples = np.random.default_rng(7).integers(0, top + 1, (HEIGHT_PX, WIDTH_PX, channels), dtype=dtype)
    samples[:4] = top
    return samples


def smooth_picture() -> NDArray[np.uint8]:
    """Slow ramps that JPEG keeps within a few levels; every side differs from every other."""
    across, down = np.meshgrid(np.linspace(0, 1, WIDTH_PX), np.linspace(0, 1, HEIGHT_PX))
    return np.rint(np.dstack([60 + 150 * across, 40 + 120 * down, 200 - 100 * across * down])).astype(np.uint8)


def by_pillow(image: Image.Image | NDArray[Any], file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, file_format, **options)
    return buffer.getvalue()


def by_tifffile(samples: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(
        buffer,
        bigtiff=options.pop("bigtiff", False),
        byteorder=options.pop("byteorder", "<"),
        imagej=options.pop("imagej", False),
        ome=options.pop("ome", False),
    ) as writer:
        writer.write(samples, **options)
    return buffer.getvalue()


NAME = "plate 7.tif"


def read(data: bytes, **options: Any) -> Micrograph:
    return decode(data, name=NAME, **options)


def read_or_refuse(data: bytes, **options: Any) -> Micrograph | InputError:
    """What came out, where both are right; any other exception passes through."""
    try:
        return read(data, **options)
    except InputError as error:
        return error
