"""Outlines of islets for a screen."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from isletnet.ui.editing.regions import FIRST_ISLET, TISSUE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from isletnet.ui.editing.regions import Box, Map

# Corners nearer than this to the line between their neighbours are not seen.
_TOLERANCE_PX = 0.35
_LARGEST_TISSUE_PX = 1600
_ROWS_AT_ONCE_N = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """An islet's closed lines, float32 ``(n, 2)`` each in x, y; the inside is where an odd number of them surround."""

    number: int
    rings: tuple[NDArray[np.float32], ...]


def outlines(codes: Map, numbers: Iterable[int] | None = None, *, box: Box | None = None) -> list[Outline]:
    """Draw the outlines of islets.

    Parameters
    ----------
    codes
        See `regions`.
    numbers
        Which ones; None for all. One that is not there is left out.
    box
        Rows and columns that hold all of them whole; None looks everywhere.

    Returns
    -------
    list of Outline
        By number.
    """
    rows, columns = box or (slice(0, codes.shape[0]), slice(0, codes.shape[1]))
    part = codes[rows, columns]
    found = _boxes(part)
    wanted = found if numbers is None else found.keys() & set(numbers)
    corner = columns.start, rows.start
    return [
        Outline(number=number, rings=_rings(part[found[number]] == number, found[number], corner))
        for number in sorted(wanted)
    ]


def ring_of(mask: NDArray[np.bool_], box: Box) -> Outline:
    """Draw the outline of a mask in a box, with number 0."""
    return Outline(number=0, rings=_rings(mask, box))


def tissue_png(codes: Map) -> bytes:
    """Draw where exocrine tissue is: a grey PNG of at most 1600 px, 255 on tissue."""
    from PIL import Image

    step = max(1, -(-max(codes.shape) // _LARGEST_TISSUE_PX))
    stream = BytesIO()
    is_tissue = codes[step // 2 :: step, step // 2 :: step] == TISSUE
    Image.fromarray(np.where(is_tissue, np.uint8(255), np.uint8(0))).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def packed(drawn: Iterable[Outline]) -> tuple[list[list[int]], bytes]:
    """Pack outlines for the way to the browser.

    Returns
    -------
    tuple
        For each outline its number and the lengths of its rings; and all points, float32 in x, y, one after another.
    """
    listed = list(drawn)
    heads = [[one.number, *(len(ring) for ring in one.rings)] for one in listed]
    rings = [ring for one in listed for ring in one.rings]
    points = np.concatenate(rings) if rings else np.empty((0, 2), np.float32)
    return heads, points.astype("<f4").tobytes()


def _boxes(codes: Map) -> dict[int, Box]:
    """The smallest box around each islet of a map.

    That of scipy brings 20 MB into memory, and a page's kernel is to be small and quick.
    """
    shape = int(codes.max(initial=0)) + 1, 2
    first, last = np.full(shape, np.iinfo(np.intp).max, np.intp), np.full(shape, -1, np.intp)
    for start in range(0, len(codes), _ROWS_AT_ONCE_N):
        part = codes[start : start + _ROWS_AT_ONCE_N]
        beside = np.pad(part, ((0, 0), (1, 1)))
        # The ends of its runs along the rows tell where an islet is.
        places = np.nonzero((part >= FIRST_ISLET) & ((part != beside[:, :-2]) | (part != beside[:, 2:])))
        numbers = part[places]
        for axis, place in enumerate((places[0] + start, places[1])):
            np.minimum.at(first[:, axis], numbers, place)
            np.maximum.at(last[:, axis], numbers, place)
    return {
        int(number): (slice(*map(int, ends[0])), slice(*map(int, ends[1])))
        for number in np.flatnonzero(last[:, 0] >= 0)
        for ends in [np.stack([first[number], last[number] + 1], axis=1)]
    }


def _rings(mask: NDArray[np.bool_], box: Box, corner_px: tuple[int, int] = (0, 0)) -> tuple[NDArray[np.float32], ...]:
    from skimage.measure import find_contours

    corner = np.array([box[0].start + corner_px[1], box[1].start + corner_px[0]]) - 0.5
    lines = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)  # type: ignore[no-untyped-call]
    simple = (_simplified(line, _TOLERANCE_PX) for line in lines)
    # The last point is the first one again.
    return tuple(np.ascontiguousarray((ring + corner)[:-1, ::-1], dtype=np.float32) for ring in simple)


def _simplified(line: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Leave out what lies within a tolerance of the line (Douglas and Peucker 1973).

    That of scikit-image brings half of scipy into memory, and a page's kernel is to stay small.
    """
    is_kept = np.zeros(len(line), dtype=bool)
    is_kept[[0, -1]] = True
    parts = [(0, len(line) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        away, along = line[first + 1 : last] - line[first], line[last] - line[first]
        length = float(np.hypot(*along))
        distances = np.abs(away @ [along[1], -along[0]]) / length if length else np.hypot(away[:, 0], away[:, 1])
        farthest = int(distances.argmax())
        if distances[farthest] > tolerance:
            middle = first + 1 + farthest
            is_kept[middle] = True
            parts += [(first, middle), (middle, last)]
    return line[is_kept]
