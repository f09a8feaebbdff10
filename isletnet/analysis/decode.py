"""Bytes of a file to a `Micrograph`: RGB of 8 bits, its pixel size and who says so."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from isletnet.analysis.formats.bmp import read_bmp
from isletnet.analysis.formats.jpeg import read_jpeg
from isletnet.analysis.formats.png import SIGNATURE as PNG_SIGNATURE
from isletnet.analysis.formats.png import read_png
from isletnet.analysis.formats.tiff import SIGNATURES as TIFF_SIGNATURES
from isletnet.analysis.formats.tiff_calibration import LARGEST_UM_PER_PX, SMALLEST_UM_PER_PX
from isletnet.analysis.formats.tiff_pixels import read_tiff
from isletnet.errors import (
    CalibrationError,
    DamagedImageError,
    ImageTooLargeError,
    InputError,
    UnsupportedImageError,
)
from isletnet.schemas import Calibration, Micrograph, QualityWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from isletnet.analysis.formats.raster import FileScale, Raster

MAX_PIXELS = 150_000_000
# Two pixel sizes are the same when they differ by less: 0.5 % of length is 1.5 % of volume.
SCALE_TOLERANCE = 0.005
CONFLICT = "calibration_conflict"
# Share of the samples that must fit into a camera's range; the rest are hot pixels and glare.
RANGE_QUANTILE = 0.999
_RANGE_SAMPLES = 1_000_000
_CAMERA_BITS = (8, 10, 12, 14, 16)

_READERS: tuple[tuple[bytes | tuple[bytes, ...], Callable[[bytes, int], Raster]], ...] = (
    (PNG_SIGNATURE, read_png),
    (b"\xff\xd8\xff", read_jpeg),
    (TIFF_SIGNATURES, read_tiff),
    (b"BM", read_bmp),
)
_OTHERS = (
    (b"GIF8", "a GIF picture"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"ZISRAWFILE", "a Zeiss CZI file"),
    (b"\xda\xce\xbe\n", "a Nikon ND2 file"),
    (b"\xd0\xcf\x11\xe0", "an Olympus OIB file or an old office document"),
    (b"p\x00\x00\x00", "a Leica LIF file"),
    (b"\x00\x00\x00\x0cjP", "a JPEG 2000 picture"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
)


def decode(data: bytes, *, name: str, um_per_px: float | None = None, max_pixels: int = MAX_PIXELS) -> Micrograph:
    """Decode TIFF, PNG, JPEG or BMP, told apart by their first bytes and never by ``name``.

    Grey becomes RGB, alpha is dropped, and the orientation of EXIF or TIFF is applied. Samples of 16 bits are divided
    by the range of the camera: the smallest of 8, 10, 12, 14 and 16 bits that holds 99.9 % of the samples, as many
    cameras store 12 bits in 16. Of the metadata only the pixel size is kept. The size in the header is checked before
    anything is decoded.

    The caller's ``um_per_px`` wins over the file's. PNG, JPEG and BMP densities are not trusted: they tell of screens
    and printers. Pixels that are not square count with the geometric mean of their sides.

    Parameters
    ----------
    data
        The whole file.
    name
        What to call it in messages and results.
    um_per_px
        Micrometres per pixel, if the caller knows it; 0.01 to 100.
    max_pixels
        The largest picture that is decoded. A sample takes at most 2 bytes and a pixel 4 samples.

    Returns
    -------
    Micrograph
        ``pixels`` uint8 ``(height, width, 3)``, C-contiguous, not writeable. Warnings: ``calibration_conflict``,
        ``pixels_not_square``.

    Raises
    ------
    UnsupportedImageError
        Another format or pixel type, a stack, or less than 16 px a side.
    DamagedImageError
        Empty, cut short or broken.
    ImageTooLargeError
        More than ``max_pixels``.
    CalibrationError
        ``um_per_px`` is outside 0.01 to 100.
    """
    _check_caller_scale(um_per_px)
    try:
        raster = _read(data, max_pixels)
        pixels = _orient(_to_rgb8(raster), raster.orientation)
    except InputError as error:
        raise type(error)(error.message, subject=name) from error
    except MemoryError as error:
        raise ImageTooLargeError("the picture does not fit into memory; crop or scale it", subject=name) from error
    except Exception as error:  # codecs raise whatever they like
        raise DamagedImageError(
            f"expected a whole picture, its data cannot be decoded ({type(error).__name__}); copy or export it again",
            subject=name,
        ) from error
    pixels.flags.writeable = False
    calibration, warnings = _file_calibration(raster.scale)
    micrograph = Micrograph(
        name=name,
        pixels=pixels,
        calibration=calibration,
        sha256=hashlib.sha256(data).hexdigest(),
        file_format=raster.file_format,
        bit_depth=raster.samples.dtype.itemsize * 8,
        warnings=warnings,
    )
    return micrograph if um_per_px is None else recalibrated(micrograph, um_per_px)


def recalibrated(micrograph: Micrograph, um_per_px: float) -> Micrograph:
    """Give a picture the pixel size of the caller, which wins over the file's.

    Parameters
    ----------
    micrograph
        The picture.
    um_per_px
        Micrometres per pixel, 0.01 to 100.

    Returns
    -------
    Micrograph
        With the warning ``calibration_conflict`` where the file says otherwise.

    Raises
    ------
    CalibrationError
        ``um_per_px`` is outside 0.01 to 100.
    """
    _check_caller_scale(um_per_px)
    before = micrograph.calibration
    return replace(
        micrograph,
        calibration=replace(before, um_per_px=float(um_per_px), source="caller"),
        warnings=(
            *(warning for warning in micrograph.warnings if warning.code != CONFLICT),
            *_conflict(before.file_um_per_px, um_per_px),
        ),
    )


def check_signature(start: bytes) -> None:
    """Tell from the first bytes of a file, 16 or more, that it may be a picture that is read.

    Raises
    ------
    UnsupportedImageError
        Another format.
    DamagedImageError
        No byte came.
    """
    _reader_of(start)


def _read(data: bytes, max_pixels: int) -> Raster:
    return _reader_of(data)(data, max_pixels)


def _reader_of(data: bytes) -> Callable[[bytes, int], Raster]:
    for magic, reader in _READERS:
        if data.startswith(magic):
            return reader
    if not data:
        raise DamagedImageError("expected a picture, the file is empty (0 bytes); copy it again")
    raise UnsupportedImageError(
        f"expected a TIFF, PNG, JPEG or BMP picture, came {_describe(data)}; export the micrograph as TIFF or PNG"
    )


def _describe(data: bytes) -> str:
    for magic, what in _OTHERS:
        if data.startswith(magic):
            return what
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "a WebP picture"
    if data[4:8] == b"ftyp":
        return "a HEIC or AVIF picture, or a film"
    start = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<"):
        return "an SVG drawing" if b"<svg" in start else "an XML or HTML text"
    return f"bytes that begin with {data[:4].hex(' ')}"


def _to_rgb8(raster: Raster) -> NDArray[np.uint8]:
    """Samples without alpha as C-contiguous RGB of 8 bits."""
    channels = 3 if raster.samples.shape[2] >= 3 else 1
    samples: NDArray[Any] = raster.samples[:, :, :channels]
    if samples.dtype == np.uint16:
        samples = _range_table(samples)[samples]
    if raster.white_is_zero:
        samples = 255 - samples
    if channels == 1:
        samples = np.repeat(samples, 3, axis=2)
    rgb: NDArray[np.uint8] = np.ascontiguousarray(samples)
    return rgb


def _range_table(samples: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Value of 8 bits for each value of 16."""
    step = max(1, math.isqrt(samples.size // _RANGE_SAMPLES))
    white = np.quantile(samples[::step, ::step], RANGE_QUANTILE, method="lower")
    bits = next(bits for bits in _CAMERA_BITS if white < 1 << bits)
    table: NDArray[np.uint8] = np.rint(np.arange(1 << 16) * (255 / ((1 << bits) - 1))).clip(0, 255).astype(np.uint8)
    return table


def _orient(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn a picture upright; ``orientation`` as in EXIF 2.32, tag 274."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _check_caller_scale(um_per_px: float | None) -> None:
    if um_per_px is not None and not SMALLEST_UM_PER_PX <= um_per_px <= LARGEST_UM_PER_PX:
        raise CalibrationError(
            f"expected {SMALLEST_UM_PER_PX} to {LARGEST_UM_PER_PX:.0f} micrometres per pixel, came {um_per_px}; "
            "measure a stage micrometer at the same zoom",
            subject="um_per_px",
        )


def _file_calibration(scale: FileScale) -> tuple[Calibration, tuple[QualityWarning, ...]]:
    if scale.x_um is None or scale.y_um is None:
        return Calibration(um_per_px=None, source="guess", detail=scale.detail), ()
    um_per_px = math.sqrt(scale.x_um * scale.y_um)
    calibration = Calibration(um_per_px=um_per_px, source="file", detail=scale.detail, file_um_per_px=um_per_px)
    if abs(scale.x_um / scale.y_um - 1) <= SCALE_TOLERANCE:
        return calibration, ()
    warning = QualityWarning(
        code="pixels_not_square",
        message=(
            f"The file says that a pixel is {scale.x_um:.6g} um wide and {scale.y_um:.6g} um high. "
            "The geometric mean of both is used; shapes and diameters are distorted."
        ),
        evidence={"x_um_per_px": scale.x_um, "y_um_per_px": scale.y_um},
    )
    return calibration, (warning,)


def _conflict(file_um_per_px: float | None, caller_um_per_px: float) -> tuple[QualityWarning, ...]:
    if file_um_per_px is None or abs(file_um_per_px / caller_um_per_px - 1) <= SCALE_TOLERANCE:
        return ()
    warning = QualityWarning(
        code=CONFLICT,
        message=(
            f"The file says {file_um_per_px:.6g} um per pixel, the caller {caller_um_per_px:.6g}. "
            f"The caller's is used; volumes differ by a factor of {(caller_um_per_px / file_um_per_px) ** 3:.3g}."
        ),
        evidence={"file_um_per_px": file_um_per_px, "caller_um_per_px": caller_um_per_px},
    )
    return (warning,)
