"""The only place that joins the steps: a micrograph in, everything known of it out."""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isletnet import __version__
from isletnet.analysis import decode as decoding
from isletnet.analysis import quality
from isletnet.analysis.disagreement import disagreement
from isletnet.analysis.label import label
from isletnet.analysis.measure import measure
from isletnet.analysis.preprocess import Background, cell_positions, estimate_background, guess_um_per_px
from isletnet.analysis.segment import TILE_PX, segment, working_shape
from isletnet.analysis.shapes.exocrine import exocrine_volume_um3
from isletnet.analysis.summarise import check_parameters, summarise_image
from isletnet.errors import UnsupportedImageError
from isletnet.networks.model import Network, load_network
from isletnet.schemas import (
    CELL_PX,
    AnalysisParameters,
    Calibration,
    ImageResult,
    Micrograph,
    Provenance,
    Segmentation,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Loader = Callable[[str], Network]

# A pixel of 8 um at a working scale of 2 um: an islet of 50 um is six such pixels wide.
LARGEST_ENLARGEMENT = 4.0

keep_loaded = lru_cache(maxsize=8)(load_network)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysis(ImageResult):
    """The result of one image; in a notebook it shows its overlay, its numbers and its sizes."""

    def _repr_html_(self) -> str:
        from isletnet.views.html import html

        return html(self)


def _micrograph(
    image: bytes | str | Path | NDArray[np.uint8] | Micrograph,
    name: str | None,
    um_per_px: float | None,
    max_pixels: int,
) -> Micrograph:
    if isinstance(image, Micrograph):
        return image if um_per_px is None else decoding.recalibrated(image, um_per_px)
    if isinstance(image, str | Path):
        return decoding.decode(
            Path(image).read_bytes(), name=name or Path(image).name, um_per_px=um_per_px, max_pixels=max_pixels
        )
    if isinstance(image, bytes):
        return decoding.decode(image, name=name or "image", um_per_px=um_per_px, max_pixels=max_pixels)
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < 16:
        raise UnsupportedImageError(
            "expected an RGB array uint8 (height, width, 3) of at least 16 px a side, "
            f"got {pixels.dtype} {pixels.shape}",
            subject=name,
        )
    pixels = np.ascontiguousarray(pixels)
    micrograph = Micrograph(
        name=name or "array",
        pixels=pixels,
        calibration=Calibration(um_per_px=None, source="guess"),
        sha256=hashlib.sha256(pixels.data).hexdigest(),
        file_format="array",
    )
    return micrograph if um_per_px is None else decoding.recalibrated(micrograph, um_per_px)


def _background_cells(
    background: Background, shape: tuple[int, int]
) -> Callable[[int, int, int, int], NDArray[np.float32]]:
    """Look up cells of the working grid of that shape."""

    def cells(first_row: int, first_column: int, rows: int, columns: int) -> NDArray[np.float32]:
        return background.cells(
            cell_positions(first_row, rows, shape[0] / CELL_PX),
            cell_positions(first_column, columns, shape[1] / CELL_PX),
        )

    return cells


def _flipped(network: Network, axes: tuple[int, ...]) -> Callable[..., NDArray[np.uint8]]:
    def run(rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.flip(network.run(np.flip(rgb, axes), np.flip(log_background, axes)), axes)

    return run


def _enlargement(micrograph: Micrograph, network: Network, um_per_px: float) -> float:
    """Sides at the network's working scale over the picture's own.

    Coarse pixels are enlarged by `LARGEST_ENLARGEMENT` at most, and not beyond the largest picture that is decoded: a
    pixel size that cannot be would otherwise take hours.
    """
    height, width = micrograph.shape_px
    largest = max(1.0, math.sqrt(decoding.MAX_PIXELS / (height * width)))
    return min(um_per_px / network.working_um_per_px, largest, LARGEST_ENLARGEMENT)


def _look(
    micrograph: Micrograph,
    network: Network,
    background: Background,
    um_per_px: float,
    *,
    axes: tuple[int, ...] = (),
    tile_px: int = TILE_PX,
) -> Segmentation:
    factor = _enlargement(micrograph, network, um_per_px)
    return segment(
        micrograph.pixels,
        _flipped(network, axes) if axes else network.run,
        _background_cells(background, working_shape(micrograph.shape_px, factor)),
        factor=factor,
        halo_px=network.card.halo_px,
        islet_threshold=network.card.islet_threshold,
        tile_px=tile_px,
    )


def _other_looks(
    micrograph: Micrograph,
    network: Network,
    background: Background,
    um_per_px: float,
    parameters: AnalysisParameters,
    load: Loader,
) -> list[tuple[str, NDArray[np.uint8]]]:
    """Class masks of the other members of the ensemble."""
    # Smaller tiles: these looks share the memory with the measuring.
    look = partial(_look, micrograph, background=background, um_per_px=um_per_px, tile_px=TILE_PX * 3 // 4)
    if parameters.uncertainty == "none":
        return []
    second = network.card.content.get("second_opinion")
    if parameters.uncertainty == "networks" and second:
        other = load(second)
        return [(f"{second} {other.identity.version}", look(network=other).classes)]
    flips: list[tuple[int, ...]] = [(0,), (1,), (0, 1)] if parameters.uncertainty == "flips" else [(1,)]
    names: dict[tuple[int, ...], str] = {(0,): "flipped upside down", (1,): "mirrored", (0, 1): "turned by 180 degrees"}
    return [(names[axes], look(network=network, axes=axes).classes) for axes in flips]


def analyse(
    image: bytes | str | Path | NDArray[np.uint8] | Micrograph,
    *,
    um_per_px: float | None = None,
    name: str | None = None,
    parameters: AnalysisParameters | None = None,
    load: Loader = keep_loaded,
    max_pixels: int = decoding.MAX_PIXELS,
) -> Analysis:
    """Find and measure the islets in one micrograph.

    Parameters
    ----------
    image
        A file's path or bytes, an RGB array uint8 ``(height, width, 3)``, or a decoded `Micrograph`.
    um_per_px
        Pixel size; wins over the file's own. Without either there are no micrometres and no IEQ.
    name
        Name to show; a path gives its own.
    parameters
        Network, sizes, border rule and so on; ``um_per_px`` given beside it wins.
    load
        Gives a network by name; the default keeps loaded ones.
    max_pixels
        Larger pictures are refused before they are decoded.

    Returns
    -------
    Analysis
        Labels, the islet table, the summary with intervals, warnings and provenance.

    Raises
    ------
    InputError
        If the image or a parameter cannot be used.
    NetworkError
        If the network is unknown or damaged.
    """
    parameters = parameters or AnalysisParameters()
    if um_per_px is not None:
        parameters = replace(parameters, um_per_px=um_per_px)
    check_parameters(parameters)
    micrograph = _micrograph(image, name, parameters.um_per_px, max_pixels)
    network = load(parameters.network)
    calibration, scale = _scale(micrograph)
    known = scale if calibration.is_known else None
    # What needs no other step runs beside: the picture is checked while the network looks, and the other looks keep the
    # network's engine busy while this thread measures.
    with ThreadPoolExecutor(2) as pool:
        checked = pool.submit(
            quality.check_picture,
            micrograph.pixels,
            um_per_px=known,
            training_colours=network.card.content.get("training_colours"),
        )
        background = estimate_background(micrograph.pixels, _enlargement(micrograph, network, scale))
        segmentation = _look(micrograph, network, background, scale)
        others = pool.submit(_other_looks, micrograph, network, background, scale, parameters, load)
        labelled = label(
            segmentation,
            um_per_px=scale,
            smallest_particle_um=parameters.smallest_particle_um,
            split_touching=parameters.split_touching,
        )
        table = measure(
            labelled,
            segmentation,
            micrograph.pixels,
            um_per_px=known,
            smallest_islet_um=parameters.smallest_islet_um,
            image_sha256=micrograph.sha256,
        )
        exocrine_um3 = None if known is None else exocrine_volume_um3(labelled.classes, um_per_px=known)
    apart = None
    if parameters.uncertainty != "none":
        apart = disagreement(
            labelled,
            table,
            others.result(),
            name=f"{network.identity.name} {network.identity.version}",
            known_relative_error=network.card.content.get("known_relative_error", {}),
        )
    summary = summarise_image(
        table,
        name=micrograph.name,
        classes=labelled.classes,
        um_per_px=known,
        parameters=parameters,
        disagreement=apart,
        warnings=(*micrograph.warnings, *checked.result()),
        exocrine_volume_um3=exocrine_um3,
    )
    found = quality.check_result(table, um_per_px=known, ieq_sampling=summary.ieq.sampling, disagreement=apart)
    return Analysis(
        micrograph=micrograph,
        calibration=calibration,
        labelled=labelled,
        table=table,
        summary=replace(summary, warnings=(*summary.warnings, *found)),
        disagreement=apart,
        provenance=Provenance(
            package_version=__version__,
            image_sha256=micrograph.sha256,
            network=network.identity,
            parameters=asdict(parameters),
        ),
    )


def _scale(micrograph: Micrograph) -> tuple[Calibration, float]:
    """Calibration to report and pixel size to work with: the known one, or a guess that says so."""
    given = micrograph.calibration
    if given.is_known and given.um_per_px is not None:
        return given, given.um_per_px
    guess = guess_um_per_px(micrograph.pixels)
    reason = f"{given.detail}; " if given.detail else ""
    detail = f"{reason}guessed: red bodies taken for islets of usual size"
    return replace(given, um_per_px=guess, source="guess", detail=detail), guess
