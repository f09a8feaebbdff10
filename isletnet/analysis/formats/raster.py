"""What every format reader gives, and the gates that stand before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isletnet.errors import ImageTooLargeError, UnsupportedImageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALLEST_SIDE_PX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScale:
    """The pixel size that a file states. Both sizes are None where it states none that can be trusted.

    ``detail`` says where the size comes from, or why there is none. It holds no free text of the file.
    """

    x_um: float | None = None
    y_um: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Raster:
    """Decoded samples of one picture: uint8 or uint16 ``(height, width, channels)``.

    Channels are 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha). ``orientation`` is that of EXIF, 1 to 8.
    """

    samples: NDArray[np.uint8] | NDArray[np.uint16]
    file_format: str
    scale: FileScale
    orientation: int = 1
    white_is_zero: bool = False


def check_size(width_px: int, height_px: int, max_pixels: int) -> None:
    """Refuse a picture by the size in its header, before memory is taken for it.

    Readers let at most four channels of two bytes through, so this bounds the bytes too: ``max_pixels * 8``.

    Raises
    ------
    UnsupportedImageError
        A side is shorter than `SMALLEST_SIDE_PX`.
    ImageTooLargeError
        The picture has more than ``max_pixels`` pixels.
    """
    if min(width_px, height_px) < SMALLEST_SIDE_PX:
        raise UnsupportedImageError(
            f"a micrograph has at least {SMALLEST_SIDE_PX} px a side, this is {width_px} x {height_px} px; "
            "send the whole picture"
        )
    if width_px * height_px > max_pixels:
        raise ImageTooLargeError(
            f"expected at most {max_pixels / 1e6:.6g} megapixels, the header says {width_px} x {height_px} px "
            f"= {width_px * height_px / 1e6:.6g}; crop or scale the picture, or raise the limit (max_pixels)"
        )
