"""Z-stacks: a TIFF of many pages, read from its bytes, with the size of its voxels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isletnet.analysis.decode import MAX_PIXELS
from isletnet.analysis.formats.tiff import Directory, Tag, read_directories
from isletnet.analysis.formats.tiff_calibration import (
    LARGEST_UM_PER_PX,
    MOST_TEXT_BYTES,
    SMALLEST_UM_PER_PX,
    imagej_fields,
    length_um,
    ome_pixels,
    read_scale,
)
from isletnet.analysis.formats.tiff_pixels import read_page
from isletnet.errors import CalibrationError, DamagedImageError, ImageTooLargeError, InputError, UnsupportedImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_VOXELS = 600_000_000
LEAST_SLICES_N = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """A decoded z-stack.

    ``samples`` is uint8 or uint16, ``(slices, height, width)`` for grey (or label numbers) and
    ``(slices, height, width, 3)`` for RGB. Slices run along z in the order of the file.
    """

    name: str
    samples: NDArray[np.uint8] | NDArray[np.uint16]
    um_per_px: float
    um_per_slice: float
    sha256: str

    @property
    def is_rgb(self) -> bool:
        """Whether slices are colour pictures."""
        return self.samples.ndim == 4


def read_stack(
    data: bytes,
    *,
    name: str,
    um_per_px: float | None = None,
    um_per_slice: float | None = None,
    max_voxels: int = MAX_VOXELS,
) -> Stack:
    """Decode a TIFF, OME-TIFF or ImageJ TIFF whose pages are the slices of one channel at one time.

    No other file is ever opened, whatever the text in this one says. Every page passes the gates of single pictures,
    and the size of all pages together is checked before any is decoded.

    Parameters
    ----------
    data
        The whole file.
    name
        What to call it.
    um_per_px, um_per_slice
        Size of a voxel across and along z; what the caller says wins over the file.
    max_voxels
        The largest stack that is decoded.

    Returns
    -------
    Stack
        White is the largest value whatever the file's photometric kind; alpha is dropped.

    Raises
    ------
    UnsupportedImageError
        No TIFF, a single page, several channels or times, or pages that differ.
    DamagedImageError
        Broken or cut short.
    ImageTooLargeError
        More than ``max_voxels``.
    CalibrationError
        The size of a voxel is not known, or cannot be.
    """
    if data[:4] not in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        raise UnsupportedImageError("a z-stack as TIFF or OME-TIFF was expected; export it as one", subject=name)
    try:
        pages = [page for page in read_directories(data) if page.is_picture]
        _check_pages(pages, max_voxels)
        slices = [_samples(page) for page in pages]
    except InputError as error:
        raise type(error)(error.message, subject=name) from error
    except Exception as error:  # codecs raise whatever they like
        raise DamagedImageError(
            f"expected a whole stack, its data cannot be decoded ({type(error).__name__}); export it again",
            subject=name,
        ) from error
    if len({(one.shape, one.dtype) for one in slices}) > 1:
        raise UnsupportedImageError("all pages of a stack must be of one size and kind; export it again", subject=name)
    scale = read_scale(pages[0])
    across = um_per_px or (
        None if scale.x_um is None or scale.y_um is None else float(np.sqrt(scale.x_um * scale.y_um))
    )
    along = um_per_slice or _file_um_per_slice(pages[0])
    return Stack(
        name=name,
        samples=np.stack(slices),
        um_per_px=_checked(across, "um_per_px", name),
        um_per_slice=_checked(along, "um_per_slice", name),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _check_pages(pages: list[Directory], max_voxels: int) -> None:
    if len(pages) < LEAST_SLICES_N:
        raise UnsupportedImageError(
            f"at least {LEAST_SLICES_N} slices were expected, came {len(pages)} page; save the stack with a page for "
            "each slice (ImageJ does not above 4 GB)"
        )
    text = pages[0].raw(Tag.DESCRIPTION, MOST_TEXT_BYTES).rstrip(b"\x00 \r\n")
    samples = pages[0].integer(Tag.SAMPLES_PER_PIXEL, 1)
    axes = {"channels": 1, "times": 1}
    if imagej := imagej_fields(text):
        axes = {"channels": _whole(imagej.get("channels")), "times": _whole(imagej.get("frames"))}
        axes["channels"] = 1 if samples > 1 else axes["channels"]
    elif b"OME" in text[:2000] and b"<" in text[:20]:
        ome = ome_pixels(text)
        axes = {"channels": _whole(ome.get("SizeC")) // samples, "times": _whole(ome.get("SizeT"))}
    for axis, count in axes.items():
        if count > 1:
            raise UnsupportedImageError(
                f"one channel at one time was expected, came {count} {axis}; export one of them"
            )
    voxels = sum(page.integer(Tag.WIDTH, 0) * page.integer(Tag.HEIGHT, 0) for page in pages)
    if voxels > max_voxels:
        raise ImageTooLargeError(
            f"expected at most {max_voxels / 1e6:.6g} million voxels, the headers say {voxels / 1e6:.6g}; crop it"
        )


def _samples(page: Directory) -> NDArray[Any]:
    raster = read_page(page, MAX_PIXELS)
    samples: NDArray[Any] = raster.samples[:, :, :3] if raster.samples.shape[2] >= 3 else raster.samples[:, :, 0]
    return np.iinfo(samples.dtype).max - samples if raster.white_is_zero else samples


def _file_um_per_slice(page: Directory) -> float | None:
    text = page.raw(Tag.DESCRIPTION, MOST_TEXT_BYTES).rstrip(b"\x00 \r\n")
    imagej, ome = imagej_fields(text), ome_pixels(text) if b"<" in text[:20] else {}
    stated = imagej.get("spacing") or ome.get("PhysicalSizeZ")
    unit = imagej.get("unit", "") if imagej else ome.get("PhysicalSizeZUnit", "um")
    try:
        return None if stated is None else length_um(float(stated), unit)
    except ValueError:
        return None


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else 1


def _checked(size_um: float | None, subject: str, name: str) -> float:
    if size_um is None:
        raise CalibrationError(f"{name} does not say how large its voxels are; give {subject}", subject=subject)
    if not SMALLEST_UM_PER_PX <= size_um <= LARGEST_UM_PER_PX:
        raise CalibrationError(
            f"expected {SMALLEST_UM_PER_PX} to {LARGEST_UM_PER_PX:.0f} um, came {size_um}", subject=subject
        )
    return size_um
