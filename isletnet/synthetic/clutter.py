"""What is in a dish besides tissue: shadows, tubes, bubbles, fibres, dust. All of it is background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from isletnet.synthetic.noise import blur, smooth_noise, texture

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _curve(
    rng: np.random.Generator, shape: tuple[int, int], length_px: float, bend: float
) -> list[tuple[float, float]]:
    """Walk a smooth random line across the picture."""
    steps_n = max(int(length_px / 6), 4)
    turn = np.cumsum(rng.normal(0, bend, steps_n)) * 0.3
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(turn) * 0.3
    x = rng.uniform(0, shape[1]) + np.cumsum(6 * np.cos(angle))
    y = rng.uniform(0, shape[0]) + np.cumsum(6 * np.sin(angle))
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _stroke(shape: tuple[int, int], points: list[tuple[float, float]], width_px: float) -> NDArray[np.float32]:
    canvas = Image.new("L", (shape[1], shape[0]))
    draw = ImageDraw.Draw(canvas)
    draw.line(points, fill=255, width=max(1, round(width_px)), joint="curve")
    return np.asarray(np.asarray(canvas, dtype=np.float32) / 255, dtype=np.float32)


def shadows(rng: np.random.Generator, shape: tuple[int, int], um_per_px: float, strength: float) -> NDArray[np.float32]:
    """Out-of-focus matter and tubes, as a log gain ``(height, width, 3)``, nearly grey."""
    grey = strength * 0.45 * smooth_noise(rng, shape, rng.uniform(90, 300) / um_per_px)
    grey += strength * 0.25 * smooth_noise(rng, shape, rng.uniform(30, 90) / um_per_px)
    for _ in range(int(rng.integers(0, 5))):
        width_px = rng.uniform(30, 160) / um_per_px
        points = _curve(rng, shape, rng.uniform(0.4, 1.4) * max(shape), 0.5)
        tube = blur(_stroke(shape, points, width_px), rng.uniform(5, 30) / um_per_px)
        rim = tube * (1 - tube) * 4
        grey += strength * (rng.uniform(-1.2, 0.4) * tube + rng.uniform(-1.0, 1.0) * rim)
    for _ in range(int(rng.poisson(4))):
        spot = _disc(shape, rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(15, 90) / um_per_px)
        grey -= strength * rng.uniform(0.3, 1.8) * blur(spot, rng.uniform(8, 35) / um_per_px)
    if rng.random() < 0.5:
        grey += (
            strength
            * 0.3
            * texture(rng, shape, (6 / um_per_px, 14 / um_per_px))
            * (smooth_noise(rng, shape, 150 / um_per_px) > 0.3)
        )
    colour = 1 + rng.normal(0, 0.22, 3)
    return np.asarray(grey[..., None] * colour.astype(np.float32), dtype=np.float32)


def _disc(shape: tuple[int, int], row: float, column: float, radius_px: float) -> NDArray[np.float32]:
    y, x = np.ogrid[: shape[0], : shape[1]]
    distance = np.sqrt((y - row) ** 2 + (x - column) ** 2)
    return np.asarray(np.clip(radius_px - distance + 0.5, 0, 1), dtype=np.float32)


def bubble(
    rng: np.random.Generator, shape: tuple[int, int], um_per_px: float, *, dark_field: bool
) -> NDArray[np.float32]:
    """An air bubble: a dark ring around a bright core ; reversed on a dark field. Grey log gain ``(h, w)``."""
    radius_px = np.exp(rng.uniform(np.log(25), np.log(500))) / um_per_px
    row, column = rng.uniform(-0.1, 1.1) * shape[0], rng.uniform(-0.1, 1.1) * shape[1]
    y, x = np.ogrid[: shape[0], : shape[1]]
    stretch = rng.uniform(0.94, 1.06)
    r = (np.sqrt(((y - row) * stretch) ** 2 + ((x - column) / stretch) ** 2) / radius_px).astype(np.float32)
    ring_width = rng.uniform(0.05, 0.32)
    depth = rng.uniform(0.35, 2.2)
    ring = np.exp(-(((r - 1 + ring_width / 2) / (ring_width / 2)) ** 2)) * (r < 1.15)
    gain = -depth * ring
    core = np.clip((1 - ring_width - r) / 0.08, 0, 1)
    gain += core * rng.uniform(-0.06, 0.15)
    if rng.random() < 0.5:
        gain += rng.uniform(0.05, 0.3) * np.exp(-(((r - 1 + 1.6 * ring_width) / 0.03) ** 2))
    if rng.random() < 0.5:
        gain += rng.uniform(0.02, 0.25) * np.exp(-(((r - 1.06) / 0.04) ** 2))
    if rng.random() < 0.5:
        highlight = np.exp(-(((y - row) / radius_px + 0.3) ** 2 + ((x - column) / radius_px + 0.3) ** 2) / 0.02)
        gain += rng.uniform(0.05, 0.4) * highlight
    return np.asarray(-gain if dark_field else gain, dtype=np.float32)


def fibres_and_dust(rng: np.random.Generator, shape: tuple[int, int], um_per_px: float) -> NDArray[np.float32]:
    """Thin curved fibres and specks, log gain ``(height, width, 3)``, grey to greenish."""
    gain = np.zeros((*shape, 3), dtype=np.float32)
    for _ in range(int(rng.poisson(0.8))):
        points = _curve(rng, shape, rng.uniform(40, 500) / um_per_px, 1.2)
        line = blur(_stroke(shape, points, rng.uniform(2, 9) / um_per_px), rng.uniform(0.5, 2.5))
        tint = np.array([1.0, rng.uniform(0.5, 1.1), rng.uniform(0.3, 1.1)], np.float32)
        gain += line[..., None] * tint * np.float32(rng.uniform(-0.7, 0.15))
    for _ in range(int(rng.poisson(5))):
        row, column = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        speck = _disc(shape, row, column, rng.uniform(1.5, 9) / um_per_px)
        tint = 1 + rng.normal(0, 0.15, 3).astype(np.float32)
        gain += speck[..., None] * tint * np.float32(rng.uniform(-0.9, 0.6))
    return np.asarray(gain, dtype=np.float32)
