"""Labels that a person drew: bytes of a TIFF or PNG to the numbers in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isletnet.analysis.formats.png import SIGNATURE as PNG_SIGNATURE
from isletnet.analysis.formats.png import read_png
from isletnet.analysis.formats.tiff import SIGNATURES as TIFF_SIGNATURES
from isletnet.analysis.formats.tiff_pixels import read_tiff_labels
from isletnet.errors import DamagedImageError, ImageTooLargeError, InputError, ParameterError, UnsupportedImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_labels(data: bytes, *, shape_px: tuple[int, int]) -> NDArray[Any]:
    """Decode a label picture; nothing larger than the micrograph is decoded.

    Parameters
    ----------
    data
        A TIFF of whole numbers of 8, 16 or 32 bits, or a grey PNG of 8 or 16 bits.
    shape_px
        Height and width of the micrograph.

    Returns
    -------
    numpy.ndarray
        Integers ``(height, width)``; what they may be is for `isletnet.analysis.remeasure.remeasure` to say.

    Raises
    ------
    ParameterError
        Another size than the micrograph's.
    UnsupportedImageError
        Another format, or colours.
    DamagedImageError
        Empty, cut short or broken.
    """
    height, width = shape_px
    wrong_size = f"the labels must have the size of the picture, {width} x {height} px"
    try:
        labels = _read(data, height * width)
    except ImageTooLargeError as error:
        raise ParameterError(f"{wrong_size}; they are larger", subject="labels") from error
    except InputError as error:
        raise type(error)(error.message, subject="labels") from error
    except Exception as error:  # codecs raise whatever they like
        raise DamagedImageError(
            f"expected a whole label picture, its data cannot be decoded ({type(error).__name__}); export it again",
            subject="labels",
        ) from error
    if labels.shape != shape_px:
        raise ParameterError(f"{wrong_size}, but have {labels.shape[1]} x {labels.shape[0]} px", subject="labels")
    return labels


def _read(data: bytes, max_pixels: int) -> NDArray[Any]:
    if data.startswith(TIFF_SIGNATURES):
        return read_tiff_labels(data, max_pixels)
    if not data.startswith(PNG_SIGNATURE):
        raise UnsupportedImageError(f"expected a TIFF or PNG, came {len(data)} bytes that begin with {data[:4].hex()}")
    samples = read_png(data, max_pixels).samples
    if samples.shape[2] != 1:
        raise UnsupportedImageError("expected a grey PNG, came colours or a palette; save the numbers, not their view")
    return samples[:, :, 0]
