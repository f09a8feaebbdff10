"""The two doors to analysed images: a folder that `isletnet analyse` wrote, or the service.

Both give the same records, so a study never asks where they came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isletnet.errors import ParameterError
from isletnet.exports.folder import SUMMARY_FILE, ImageRecord, read_image, read_labelled, read_table
from isletnet.studies.declaration import is_address
from isletnet.studies.keep import RESULT_FILES, sha256_of

if TYPE_CHECKING:
    import pandas as pd

    from isletnet.schemas import LabelledIslets


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class StudyImage:
    """One analysed image. Its table and labels are read when they are asked for.

    ``utc`` is when its request ended, where that is known. ``original`` gives the bytes of the picture, where the
    source keeps them.
    """

    name: str
    sample: str
    record: ImageRecord
    table: Callable[[], pd.DataFrame]
    labelled: Callable[[], LabelledIslets]
    utc: str | None = None
    original: Callable[[], bytes] | None = None

    @property
    def key(self) -> str:
        """Name without suffix: what tables of other origin call the image."""
        return Path(self.name).stem


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Results:
    """Analysed images in a fixed order; ``read`` maps what was read to its sha256."""

    images: tuple[StudyImage, ...]
    read: dict[str, str]

    def image_table(self) -> pd.DataFrame:
        """Give one row per image: ``image``, ``sample``, ``utc`` and the columns of a summary."""
        import pandas as pd

        from isletnet.analysis.summary.flat import flat_row

        rows: list[dict[str, Any]] = [
            {"image": one.key, "sample": one.sample, "utc": one.utc, **flat_row(one.record.summary)}
            for one in self.images
        ]
        return pd.DataFrame(rows)

    def islet_table(self) -> pd.DataFrame:
        """Give one row per islet-class particle: ``image``, ``sample`` and the columns of `measure.COLUMNS`."""
        import pandas as pd

        tables = [one.table() for one in self.images]
        filled = [
            table.assign(image=one.key, sample=one.sample)
            for one, table in zip(self.images, tables, strict=True)
            if len(table)
        ]
        whole = pd.concat(filled, ignore_index=True) if filled else tables[0].assign(image="", sample="")
        first = ["image", "sample"]
        return whole[[*first, *(name for name in whole.columns if name not in first)]]


def read_results(source: str | Path, *, key_file: Path | None = None) -> Results:
    """Read analysed images.

    Parameters
    ----------
    source
        A folder that `isletnet analyse` wrote, or the address of a service: ``http://host:8000`` for all ended
        requests, ``http://host:8000/requests/<id>,<id>`` for some.
    key_file
        File with the key to the service.

    Returns
    -------
    Results
        Images of a folder by the names of their folders, of a service by request and number.

    Raises
    ------
    ParameterError
        There is no result.
    ExportError
        A result is damaged.
    ServiceError
        The service does not give the results.
    """
    if is_address(source):
        from isletnet.studies.inputs.service import service_images

        pairs = list(service_images(str(source), key_file=key_file))
    else:
        pairs = list(_folder_images(Path(source)))
    if not pairs:
        raise ParameterError(
            "analysed images were expected, but there are none; run `isletnet analyse` first", subject=str(source)
        )
    read = {name: sha256 for _, hashes in pairs for name, sha256 in hashes.items()}
    return Results(images=tuple(image for image, _ in pairs), read=read)


def _folder_images(folder: Path) -> Iterator[tuple[StudyImage, dict[str, str]]]:
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    for home in [folder, *(path for path in inside if path.is_dir())]:
        if not (home / SUMMARY_FILE).is_file():
            continue
        record = read_image(home).record
        image = StudyImage(
            name=record.image.name,
            sample=folder.name,
            record=record,
            table=partial(read_table, home),
            labelled=partial(read_labelled, home),
        )
        place = "" if home == folder else f"{home.name}/"
        found = sorted(path for path in home.iterdir() if path.name in RESULT_FILES)
        yield image, {f"{place}{path.name}": sha256_of(path) for path in found}
