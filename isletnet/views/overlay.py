"""The micrograph with what was found drawn on it.

Every line is light with a dark casing, so that it stands out on yellow, white and dark pictures alike. Kinds of
objects differ in colour and in something else too, for colour-blind people: exocrine lines are thinner, islets bear
numbers and small particles none, and dashes mark islets that the border cuts.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from isletnet.schemas import EXOCRINE, LabelledIslets

ISLET_RGB = (86, 205, 255)
SMALL_RGB = (255, 255, 255)
EXOCRINE_RGB = (255, 130, 215)
CASING_RGB = (12, 14, 24)
TEXT_RGB = (255, 255, 255)

_EXOCRINE_CODE = 1
_FIRST_ISLET_CODE = 2
_LARGEST_NUMBERED_N = 400
_SMALLEST_TEXT_PX = 12


@dataclass(frozen=True, slots=True)
class _Edges:
    """Pixel pairs on both sides of a border, as flat indices, with the code of the owner (the higher one)."""

    inside: NDArray[np.intp]
    outside: NDArray[np.intp]
    owner: NDArray[np.intp]


def overlay(
    pixels: NDArray[np.uint8],
    labelled: LabelledIslets,
    table: pd.DataFrame,
    *,
    um_per_px: float | None = None,
    max_side_px: int = 2400,
) -> NDArray[np.uint8]:
    """Draw outlines, numbers and a scale bar on a micrograph.

    Islets get a blue line (dashed where the picture's border cuts them), particles below the smallest islet size
    a white one, exocrine tissue a thin pink one.

    Parameters
    ----------
    pixels
        RGB uint8 ``(height, width, 3)``, the picture or a smaller one of it; not modified.
    labelled
        Classes and islet ids in the pixel grid of the whole picture.
    table
        One row per id with ``number``, ``centroid_x_px``, ``centroid_y_px``, ``area_px``, ``is_islet`` and
        ``touches_border``.
    um_per_px
        Size of a pixel for the scale bar; None draws none.
    max_side_px
        A larger picture is scaled down to this longest side; ``pixels`` must have it at least.

    Returns
    -------
    ndarray
        RGB uint8, at most ``max_side_px`` on the longest side.
    """
    scale = min(1.0, max_side_px / max(labelled.classes.shape))
    picture, codes = _scaled(pixels, labelled, scale)
    height, width = codes.shape
    counted = table[table["is_islet"]]
    diameters_px = 2 * scale * np.sqrt(counted["area_px"].to_numpy(dtype=float) / math.pi)
    usual_px = float(np.median(diameters_px)) if len(counted) else float(max(height, width))
    # Lines must not fill what they surround.
    weight = 0 if usual_px < 24 else 1 if usual_px < 60 or max(height, width) <= 1900 else 2

    is_islet = np.ones(labelled.islets_n + _FIRST_ISLET_CODE, dtype=bool)
    is_cut = np.zeros_like(is_islet)
    numbers = table["number"].to_numpy(dtype=np.intp) + _FIRST_ISLET_CODE - 1
    is_islet[numbers] = table["is_islet"].to_numpy(dtype=bool)
    is_cut[numbers] = table["touches_border"].to_numpy(dtype=bool) & is_islet[numbers]

    edges = _edges(codes)
    is_exocrine = edges.owner == _EXOCRINE_CODE
    edge_is_islet = is_islet[edges.owner] & ~is_exocrine
    drawn = ~(is_cut[edges.owner] & _is_gap(edges, codes.shape, table, scale))

    casing = _band(edges, ~is_exocrine, codes.shape, 2 * weight + 1) | _band(
        edges, is_exocrine, codes.shape, weight + 1
    )
    _paint(picture, casing, CASING_RGB, 0.8)
    _paint(picture, _band(edges, is_exocrine, codes.shape, max(0, weight - 1)), EXOCRINE_RGB, 1.0)
    _paint(picture, _band(edges, ~edge_is_islet & ~is_exocrine, codes.shape, weight), SMALL_RGB, 1.0)
    _paint(picture, _band(edges, edge_is_islet & drawn, codes.shape, weight), ISLET_RGB, 1.0)

    _draw_numbers(picture, counted, scale, size_px=min(max(height, width) / 80, usual_px / 2))
    if um_per_px is not None:
        _draw_scale_bar(picture, um_per_px / scale)
    return picture


def _scaled(
    pixels: NDArray[np.uint8], labelled: LabelledIslets, scale: float
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Copy the picture and join classes and ids to unsigned codes: 0 background, 1 exocrine, 2.. islets."""
    classes, islets = labelled.classes, labelled.islets
    if scale < 1.0:
        height, width = (max(1, round(side * scale)) for side in classes.shape)
        picture = _reduced(pixels, height, width)
        rows = ((np.arange(height) + 0.5) / scale).astype(np.intp).clip(max=classes.shape[0] - 1)
        columns = ((np.arange(width) + 0.5) / scale).astype(np.intp).clip(max=classes.shape[1] - 1)
        grid = np.ix_(rows, columns)
        classes, islets = classes[grid], islets[grid]
    else:
        picture = pixels.copy()
    # The narrowest kind that holds all codes: less memory to go through.
    codes = islets.astype(np.min_scalar_type(labelled.islets_n + _FIRST_ISLET_CODE - 1))
    is_islet = codes > 0
    np.add(codes, _FIRST_ISLET_CODE - 1, out=codes, where=is_islet)
    codes[(classes == EXOCRINE) & ~is_islet] = _EXOCRINE_CODE
    return picture, codes


def _reduced(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    # Pillow holds a copy of what it reduces, so a large picture goes through it in bands.
    factor = max(1, min(pixels.shape[0] // height, pixels.shape[1] // width))
    band = 256 * factor
    bands = [
        np.asarray(Image.fromarray(pixels[top : top + band]).reduce(factor)) for top in range(0, len(pixels), band)
    ]
    return np.array(Image.fromarray(np.concatenate(bands)).resize((width, height), Image.Resampling.BOX))


def _edges(codes: NDArray[Any]) -> _Edges:
    width = codes.shape[1]
    flat = codes.ravel()
    across = np.flatnonzero(flat[1:] != flat[:-1])
    # The last pixel of a row is no neighbour of the first one of the next.
    across = across[across % width != width - 1]
    down = np.flatnonzero(flat[width:] != flat[:-width])
    first = np.concatenate([across, down])
    second = np.concatenate([across + 1, down + width])
    swap = flat[second] > flat[first]
    inside = np.where(swap, second, first)
    return _Edges(inside, np.where(swap, first, second), flat[inside].astype(np.intp))


def _is_gap(edges: _Edges, shape: tuple[int, int], table: pd.DataFrame, scale: float) -> NDArray[np.bool_]:
    """Tell which edges fall into the gaps of a dashed line around the owner's centroid."""
    size = int(edges.owner.max(initial=0)) + 1
    centre_x, centre_y, radius = np.zeros(size), np.zeros(size), np.ones(size)
    codes = table["number"].to_numpy(dtype=np.intp) + _FIRST_ISLET_CODE - 1
    seen = codes < size
    centre_x[codes[seen]] = table["centroid_x_px"].to_numpy(dtype=float)[seen] * scale
    centre_y[codes[seen]] = table["centroid_y_px"].to_numpy(dtype=float)[seen] * scale
    radius[codes[seen]] = np.sqrt(table["area_px"].to_numpy(dtype=float)[seen] / math.pi) * scale
    y, x = np.divmod(edges.inside, shape[1])
    angle = np.arctan2(y - centre_y[edges.owner], x - centre_x[edges.owner]) / (2 * math.pi) + 0.5
    dash_px = max(shape) / 130
    dashes_n = np.maximum(4, np.round(2 * math.pi * radius[edges.owner] / (2.2 * dash_px)))
    gap: NDArray[np.bool_] = (angle * dashes_n) % 1.0 > 0.58
    return gap


def _band(edges: _Edges, chosen: NDArray[np.bool_], shape: tuple[int, int], grow_px: int) -> NDArray[np.bool_]:
    """Mark the pixels beside the chosen edges: the inner side when ``grow_px`` is 0, else both, widened."""
    band = np.zeros(shape, dtype=bool)
    flat = band.reshape(-1)
    flat[edges.inside[chosen]] = True
    if grow_px > 0:
        flat[edges.outside[chosen]] = True
    for step in range(1, grow_px):
        grown = band.copy()
        grown[1:] |= band[:-1]
        grown[:-1] |= band[1:]
        grown[:, 1:] |= band[:, :-1]
        grown[:, :-1] |= band[:, 1:]
        if step % 2 == 0:
            grown[1:, 1:] |= band[:-1, :-1]
            grown[:-1, :-1] |= band[1:, 1:]
        band = grown
    return band


def _paint(picture: NDArray[np.uint8], band: NDArray[np.bool_], rgb: tuple[int, int, int], opacity: float) -> None:
    """Blend a colour into a band with soft edges."""
    sums = np.pad(band.view(np.uint8), 1)
    sums = sums[:-2] + 2 * sums[1:-1] + sums[2:]
    sums = sums[:, :-2] + 2 * sums[:, 1:-1] + sums[:, 2:]
    where = np.flatnonzero(sums != 0)
    # A straight line one pixel wide reaches 8 of 16: it keeps its full colour, its neighbours get half.
    share = np.minimum(np.arange(17, dtype=np.float32) / 8, 1)[:, None] * np.float32(opacity)
    weight = sums.take(where)
    canvas = picture.reshape(-1, 3)
    mixed = canvas.take(where, axis=0) * (1 - share).take(weight, axis=0)
    mixed += (share * np.array(rgb, dtype=np.float32)).take(weight, axis=0)
    canvas[where] = (mixed + 0.5).astype(np.uint8)


@lru_cache(maxsize=8)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    # Pillow's own font has no micro sign; the one that Matplotlib ships has. Finding it does not import Matplotlib.
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("The overlay needs the font that Matplotlib ships: install matplotlib.")
    path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    return ImageFont.truetype(str(path), size_px)


@lru_cache(maxsize=512)
def _text_stamp(text: str, size_px: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coverage of a text with its dark rim, and of the text alone, both 0..1 of one shape."""
    font = _font(size_px)
    rim_px = max(1, size_px // 8)
    left, top, right, bottom = font.getbbox(text, stroke_width=rim_px)
    size = math.ceil(right - left) + 2, math.ceil(bottom - top) + 2
    layers = []
    for stroke in (rim_px, 0):
        layer = Image.new("L", size)
        ImageDraw.Draw(layer).text((1 - left, 1 - top), text, fill=255, font=font, stroke_width=stroke)
        layers.append(np.asarray(layer, dtype=np.float32) / np.float32(255))
    return layers[0], layers[1]


def _stamp(picture: NDArray[np.uint8], text: str, left: int, top: int, size_px: int) -> None:
    rim, body = _text_stamp(text, size_px)
    region = picture[top : top + rim.shape[0], left : left + rim.shape[1]]
    shade = rim[: region.shape[0], : region.shape[1], None] * np.float32(0.85)
    light = body[: region.shape[0], : region.shape[1], None]
    mixed = region * (1 - shade) + np.array(CASING_RGB, dtype=np.float32) * shade
    region[:] = (mixed * (1 - light) + np.array(TEXT_RGB, dtype=np.float32) * light + 0.5).astype(np.uint8)


def _draw_numbers(picture: NDArray[np.uint8], islets: pd.DataFrame, scale: float, *, size_px: float) -> None:
    """Number the islets, the largest first, where the number hides no other number and no small islet."""
    height, width = picture.shape[:2]
    size_px = max(_SMALLEST_TEXT_PX, round(size_px))
    step = max(2, size_px // 4)
    taken = np.zeros((height // step + 1, width // step + 1), dtype=bool)
    places = islets[["number", "centroid_x_px", "centroid_y_px", "area_px"]]
    largest = places.nlargest(_LARGEST_NUMBERED_N, "area_px")
    for number, centroid_x_px, centroid_y_px, area_px in largest.itertuples(index=False, name=None):
        text, x, y = str(number), centroid_x_px * scale, centroid_y_px * scale
        radius = math.sqrt(area_px / math.pi) * scale
        rim, _ = _text_stamp(text, size_px)
        tall, wide = rim.shape
        if tall > 2 * radius:
            continue
        # A number inside a small islet would hide it: it goes to the upper right.
        shift = 0.0 if 2 * radius > 2.2 * wide else 0.75 * radius + 0.55 * wide
        left = int(np.clip(x + shift - wide / 2, 0, max(0, width - wide)))
        top = int(np.clip(y - shift - tall / 2, 0, max(0, height - tall)))
        cells = taken[top // step : (top + tall) // step + 1, left // step : (left + wide) // step + 1]
        if cells.any():
            continue
        cells[:] = True
        _stamp(picture, text, left, top, size_px)


def scale_bar_um(width_um: float) -> float:
    """Give the round length (1, 2 or 5 times a power of ten) nearest below a fifth of the picture's width, in um."""
    target = width_um / 5
    power = 10.0 ** math.floor(math.log10(target))
    return max(step * power for step in (1, 2, 5) if step * power <= target * (1 + 1e-9))


def _draw_scale_bar(picture: NDArray[np.uint8], um_per_px: float) -> None:
    height, width = picture.shape[:2]
    bar_um = scale_bar_um(width * um_per_px)
    bar_px = max(1, round(bar_um / um_per_px))
    margin, thick = max(4, width // 60), max(3, height // 200)
    size_px = max(12, round(max(height, width) / 64))
    rim_px = max(1, thick // 3)
    right, bottom = width - margin, height - margin
    left, top = right - bar_px, bottom - thick
    picture[max(0, top - rim_px) : bottom + rim_px, max(0, left - rim_px) : right + rim_px] = CASING_RGB
    picture[max(0, top) : bottom, max(0, left) : right] = TEXT_RGB
    text = f"{bar_um / 1000:g} mm" if bar_um >= 1000 else f"{bar_um:g} µm"
    rim, _ = _text_stamp(text, size_px)
    text_left = min((left + right - rim.shape[1]) // 2, width - rim.shape[1])
    _stamp(picture, text, max(0, text_left), max(0, top - rim_px - rim.shape[0]), size_px)
