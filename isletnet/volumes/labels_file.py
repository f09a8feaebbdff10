"""Labels of a stack as OME-TIFF."""

from __future__ import annotations

import hashlib
import uuid
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import tifffile

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LABELS = uuid.UUID("5a1f9b0e-3f57-5d0b-8a4e-1c2d3e4f5a6b")


def labels_ome_tiff(labels: NDArray[np.int32], *, um_per_px: float, um_per_slice: float) -> bytes:
    """Write the numbers of solids as OME-TIFF with the size of a voxel; the same labels give the same bytes.

    Parameters
    ----------
    labels
        int32 ``(slices, height, width)``, 0 for none.
    um_per_px, um_per_slice
        Size of a voxel.

    Returns
    -------
    bytes
        uint16, or uint32 where a number is larger.
    """
    dtype = np.uint16 if int(labels.max(initial=0)) <= np.iinfo(np.uint16).max else np.uint32
    numbers = np.ascontiguousarray(labels.astype(dtype))
    stream = BytesIO()
    tifffile.imwrite(
        stream,
        numbers,
        ome=True,
        compression="zlib",
        software="isletnet",
        metadata={
            "axes": "ZYX",
            "PhysicalSizeX": um_per_px,
            "PhysicalSizeY": um_per_px,
            "PhysicalSizeZ": um_per_slice,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeYUnit": "µm",
            "PhysicalSizeZUnit": "µm",
            # By itself the format asks for a random one.
            "UUID": f"urn:uuid:{uuid.uuid5(_LABELS, hashlib.sha256(numbers.tobytes()).hexdigest())}",
        },
    )
    return stream.getvalue()
