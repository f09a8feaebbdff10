"""The report as PDF, set by Typst: no system fonts, no clock, so the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from isletnet.errors import ExportError
from isletnet.exports.folder import OVERLAY_FILE, StoredImage
from isletnet.exports.png import png_pixels
from isletnet.exports.records import to_json
from isletnet.exports.report import report_data
from isletnet.exports.samples import Sample

# A lone picture fills the page's width; one of many is printed at half of it. From two thirds of this to half as much
# again is sent to print: a whole number of pixels is averaged into one, which is several times as fast as any other
# scale.
_LONE_SIDE_PX, _SIDE_PX = 1800, 900
_JPEG_QUALITY = 85


def report_pdf(samples: Sequence[Sample]) -> bytes:
    """Set the report: a first page for each sample, then tables, images and provenance.

    Parameters
    ----------
    samples
        At least one, each with at least one image. Overlays are read from the images' folders, one by one.

    Returns
    -------
    bytes
        A tagged PDF in A4.

    Raises
    ------
    ExportError
        No image, an overlay that cannot be read, or a report that cannot be set.
    """
    images = [image for sample in samples for image in sample.images]
    if not images:
        raise ExportError("A report needs at least one analysed image, but none came.")
    side_px = _LONE_SIDE_PX if len(images) == 1 else _SIDE_PX
    names = {image.folder: f"overlay-{number}.jpg" for number, image in enumerate(images, start=1)}
    # Typst reads pictures from files only, and nothing outside of its root.
    with TemporaryDirectory(prefix="isletnet-report-") as root:
        folder = Path(root)
        (folder / "report.typ").write_bytes(files("isletnet.exports").joinpath("report.typ").read_bytes())
        (folder / "data.json").write_bytes(to_json(report_data(samples, names)))
        for image in images:
            (folder / names[image.folder]).write_bytes(_jpeg(image, side_px))
        pdf = _set(folder / "report.typ")
    return pdf


def _set(main: Path) -> bytes:
    import typst

    try:
        pdf = typst.compile(main, root=main.parent, format="pdf", ignore_system_fonts=True, timestamp=0)
    except typst.TypstError as error:
        raise ExportError(f"The report could not be set: {error.message}.") from error
    if not isinstance(pdf, bytes):
        raise ExportError("One PDF file was expected from Typst, but none came.")
    return pdf


def _jpeg(image: StoredImage, side_px: int) -> bytes:
    path = image.folder / OVERLAY_FILE
    try:
        picture = Image.fromarray(png_pixels(path.read_bytes()))
    except Exception as error:  # a damaged PNG raises errors of many kinds
        raise ExportError("The image's overlay was expected, but it cannot be read.", subject=str(path)) from error
    factor = max(1, round(max(picture.size) / side_px))
    buffer = BytesIO()
    picture.reduce(factor).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
