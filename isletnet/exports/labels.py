"""Label pictures as calibrated TIFF: Fiji shows micrometres, and any TIFF reader the plain numbers."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

_STRIP_BYTES, _LEVEL = 2**18, 3


def classes_tiff(classes: NDArray[np.uint8], *, um_per_px: float | None) -> bytes:
    """Write the class mask.

    Parameters
    ----------
    classes
        uint8 ``(height, width)``: 0 background, 1 islet, 2 exocrine tissue.
    um_per_px
        Size of a pixel; None leaves the picture uncalibrated.

    Returns
    -------
    bytes
        A TIFF of the same pixels, compressed without loss.
    """
    return _calibrated_tiff(classes, um_per_px, largest=2)


def islets_tiff(islets: NDArray[np.int32], *, um_per_px: float | None) -> bytes:
    """Write the islet ids as uint16, or as uint32 when there are more than 65,535.

    Parameters
    ----------
    islets
        int32 ``(height, width)``, 0 where there is none.
    um_per_px
        Size of a pixel; None leaves the picture uncalibrated.

    Returns
    -------
    bytes
        A TIFF of the same numbers, compressed without loss.
    """
    largest = int(islets.max(initial=0))
    dtype = np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32
    return _calibrated_tiff(islets.astype(dtype), um_per_px, largest=max(1, largest))


def _calibrated_tiff(picture: NDArray[Any], um_per_px: float | None, *, largest: int) -> bytes:
    buffer = BytesIO()
    unit = "pixel" if um_per_px is None else "micron"
    pixels_per_unit = 1.0 if um_per_px is None else 1.0 / um_per_px
    height, width = picture.shape
    strip_rows = max(1, _STRIP_BYTES // (width * picture.itemsize))
    # Labels are mostly empty: zlib-ng skips over that several times as fast as what tifffile packs with.
    strips = (
        bytes(imagecodecs.zlibng_encode(picture[top : top + strip_rows].tobytes(), level=_LEVEL))
        for top in range(0, height, strip_rows)
    )
    tifffile.imwrite(
        buffer,
        strips,
        shape=picture.shape,
        dtype=picture.dtype,
        rowsperstrip=strip_rows,
        photometric="minisblack",
        compression="zlib",
        # ImageJ reads its own first line, the unit, and the range of grey values to show.
        description=f"ImageJ=1.54f\nunit={unit}\nmin=0.0\nmax={largest:.1f}\n",
        resolution=(pixels_per_unit, pixels_per_unit),
        resolutionunit="NONE",
        software="isletnet",
        metadata=None,
    )
    return buffer.getvalue()
