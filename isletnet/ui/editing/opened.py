"""An image of a request, opened at one of its versions."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isletnet.client import MissingError
from isletnet.ui.editing.regions import as_map
from isletnet.ui.i18n import _

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isletnet.client import Request, Results
    from isletnet.ui.editing.regions import Map


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opened:
    """What is known of the image; ``codes`` is its map, see `regions`, and ``record`` is as in ``results``."""

    record: Mapping[str, Any]
    codes: Map

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        return self.codes.shape[1], self.codes.shape[0]


def open_image(request: Request, results: Results, number: int) -> Opened:
    """Fetch the labels of an image.

    Parameters
    ----------
    request
        Where it is.
    results
        Of the version that is wanted.
    number
        Of the image.

    Raises
    ------
    ServiceError
        The service does not give them.
    MissingError
        There is no such image, or it has no result.
    """
    entry = next((one for one in results.images if one["number"] == number), None)
    if entry is None:
        raise MissingError(_("This image has no result."), code="no_such_image")
    record = entry["record"]
    shape_px = int(record["image"]["height_px"]), int(record["image"]["width_px"])
    with tempfile.TemporaryDirectory(prefix="isletnet-page-") as folder:
        classes, islets = (
            _fetch_labels(request, f"images/{number}/{file}.tif", Path(folder), shape_px, version=results.version)
            for file in ("labels", "islets")
        )
    return Opened(record=record, codes=as_map(classes, islets))


def _fetch_labels(
    request: Request, name: str, folder: Path, shape_px: tuple[int, int], *, version: int
) -> NDArray[Any]:
    from isletnet.analysis.formats.label_files import read_labels

    return read_labels(request.download(name, folder, version=version).read_bytes(), shape_px=shape_px)
