"""Light, stain, lens and camera: from thickness maps to grey levels.

Colour is a ratio to the background light, per channel: tissue glows (scattered light, seen on a dark field)
and absorbs (dithizone takes green and blue), both saturating with thickness.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from isletnet.synthetic.noise import blur, smooth_noise, texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

Light = Literal["yellow", "white", "blue", "dark"]
LIGHTS: tuple[Light, ...] = ("yellow", "white", "blue", "dark")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tint:
    """How a tissue changes the light: log gains at full thickness and the thickness (um) of saturation.

    ``rim_um`` is the thickness below which cells are hardly stained; ``core`` darkens what is thick.
    """

    glow: tuple[float, float, float]
    glow_um: float
    absorb: tuple[float, float, float]
    absorb_um: float
    rim_um: float = 0.0
    core: tuple[float, float, float] = (0.0, 0.0, 0.0)
    core_um: float = 150.0

    def log_ratio(self, thickness_um: NDArray[np.float32], stain: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log ratio to the background, ``(height, width, 3)``; ``stain`` scales the absorption."""
        glow = 1 - np.exp(-thickness_um / np.float32(self.glow_um))
        absorb = (1 - np.exp(-thickness_um / np.float32(self.absorb_um))) * stain
        if self.rim_um:
            absorb = absorb * (1 - np.exp(-((thickness_um / np.float32(self.rim_um)) ** 2)))
        total = glow[..., None] * np.array(self.glow, np.float32) - absorb[..., None] * np.array(
            self.absorb, np.float32
        )
        if any(self.core):
            core = (1 - np.exp(-thickness_um / np.float32(self.core_um))) * stain
            total = total - core[..., None] * np.array(self.core, np.float32)
        return np.asarray(total, dtype=np.float32)


def background_levels(rng: np.random.Generator, light: Light) -> NDArray[np.float64]:
    """Mean grey levels of the empty field, RGB."""
    if light == "yellow":
        red = rng.uniform(140, 228)
        return np.array(
            [red, red * rng.uniform(0.82, 1.08), rng.uniform(0, 6) if rng.random() < 0.75 else rng.uniform(5, 70)]
        )
    if light == "white":
        return rng.uniform(130, 235) * rng.uniform(0.85, 1.08, 3)
    if light == "blue":
        return np.array([rng.uniform(60, 160), rng.uniform(100, 190), rng.uniform(170, 245)])
    red = np.exp(rng.uniform(np.log(14), np.log(105)))
    blue = rng.uniform(0, 4) if rng.random() < 0.75 else red * rng.uniform(0.3, 1.0)
    return np.array([red, red * rng.uniform(0.36, 0.95), blue])


def islet_tint(rng: np.random.Generator, light: Light) -> Tint:
    """Dithizone: crimson by transmitted light, a glowing rim on a dark field."""
    if light == "dark":
        red = rng.uniform(0.9, 2.0)
        return Tint(
            glow=(red, red * rng.uniform(0.35, 1.0), rng.uniform(0.0, 0.8)),
            glow_um=rng.uniform(5, 22),
            absorb=(rng.uniform(-0.1, 0.4), rng.uniform(1.6, 3.6), rng.uniform(0.8, 2.0)),
            absorb_um=rng.uniform(14, 75),
            rim_um=rng.uniform(15, 110),
            core=(rng.uniform(0.0, 1.0), 0.0, 0.0),
            core_um=rng.uniform(90, 260),
        )
    return Tint(
        glow=(rng.uniform(-0.05, 0.16), rng.uniform(-0.03, 0.03), 0.0),
        glow_um=rng.uniform(5, 20),
        absorb=(rng.uniform(-0.04, 0.16), rng.uniform(1.1, 2.6), rng.uniform(0.4, 1.3)),
        absorb_um=rng.uniform(18, 70),
    )


def exocrine_tint(rng: np.random.Generator, light: Light) -> Tint:
    """Unstained acinar tissue: a little warmer than the light, or a dim yellow glow on a dark field."""
    if light == "dark":
        red = rng.uniform(0.35, 1.1)
        glow, absorb = (red, red * rng.uniform(0.7, 1.05), rng.uniform(0.0, 0.5)), (0.0, rng.uniform(0, 0.25), 0.1)
    elif light == "yellow":
        glow = (rng.uniform(0.04, 0.13), rng.uniform(0.0, 0.02), 0.0)
        absorb = (rng.uniform(-0.01, 0.06), rng.uniform(0.08, 0.28), rng.uniform(0.0, 0.3))
    else:
        glow = (rng.uniform(-0.02, 0.05), 0.0, 0.0)
        absorb = (rng.uniform(0.02, 0.2), rng.uniform(0.08, 0.35), rng.uniform(0.15, 0.55))
    return Tint(glow=glow, glow_um=rng.uniform(8, 25), absorb=absorb, absorb_um=rng.uniform(20, 60))


def illumination(
    rng: np.random.Generator, shape: tuple[int, int], light: Light, um_per_px: float
) -> NDArray[np.float32]:
    """Log gain of the empty field, ``(height, width, 3)``: gradient, vignette, colour drift."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype(np.float32)
    strength = rng.uniform(0, 0.12) if rng.random() < 0.8 else rng.uniform(0.1, 0.35)
    if light == "dark":
        strength *= 1.6
    angle = rng.uniform(0, 2 * np.pi)
    common = strength * (np.cos(angle) * x + np.sin(angle) * y) - rng.uniform(0, strength) * (x**2 + y**2)
    field = np.repeat(common[..., None], 3, axis=2)
    drift = rng.uniform(0, 0.03, 3).astype(np.float32)
    for channel in range(3):
        field[..., channel] += drift[channel] * smooth_noise(rng, shape, 1200 / um_per_px)
    return np.asarray(field, dtype=np.float32)


def expose(
    rng: np.random.Generator,
    levels: NDArray[np.float32],
    *,
    blur_px: float,
    noise_levels: float,
    jpeg_quality: int | None,
) -> NDArray[np.uint8]:
    """Lens and camera: blur, correlated noise, clipping, 8 bit, JPEG.

    Parameters
    ----------
    rng
        Source of randomness.
    levels
        Ideal grey levels, float32 ``(height, width, 3)``.
    blur_px
        Sigma of the lens blur.
    noise_levels
        Standard deviation of the noise.
    jpeg_quality
        None for no compression.

    Returns
    -------
    numpy.ndarray
        uint8 ``(height, width, 3)``.
    """
    shape = (levels.shape[0], levels.shape[1])
    picture = blur(levels, blur_px)
    common = smooth_noise(rng, shape, 1.0)
    own = rng.standard_normal((*shape, 3), dtype=np.float32)
    grain = blur(common[..., None] * 0.75 + own * 0.65, rng.uniform(0.3, 0.7))
    picture = picture + grain * np.float32(noise_levels * 1.5)
    pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    if jpeg_quality is None:
        return pixels
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=jpeg_quality, subsampling=2 if rng.random() < 0.6 else 0)
    return np.asarray(Image.open(buffer), dtype=np.uint8)


def stain_map(rng: np.random.Generator, shape: tuple[int, int], um_per_px: float) -> NDArray[np.float32]:
    """Uneven stain inside islets, mean about 1."""
    mottle = texture(rng, shape, (10 / um_per_px, 28 / um_per_px, 70 / um_per_px))
    return np.asarray(np.clip(1 + rng.uniform(0.03, 0.16) * mottle, 0.3, 1.7), dtype=np.float32)
