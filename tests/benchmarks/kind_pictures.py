"""Pictures that are islet micrographs and pictures that are not, each with the source it was made from.

Nothing is downloaded: the others ship inside scikit-image, scikit-learn and matplotlib, or are drawn here. Pictures of
one source never stand on both sides of a split.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import skimage
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from isletnet.schemas import ISLET
from isletnet.synthetic.scene import make_scene

Picture = NDArray[np.uint8]
SIZE = (300, 400)
LIGHTS = {
    "yellow": (205, 200, 1),
    "amber": (215, 165, 2),
    "white": (225, 222, 214),
    "grey": (150, 150, 146),
    "warm": (230, 212, 170),
    "bluish": (150, 175, 215),
    "blue": (70, 110, 220),
    "green": (150, 200, 90),
}
PACKAGED = (
    "astronaut.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "color.png",
    "grass.png",
    "gravel.png",
    "brick.png",
    "horse.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "logo.png",
    "microaneurysms.png",
    "moon.png",
    "motorcycle_left.png",
    "page.png",
    "phantom.png",
    "retina.jpg",
    "rocket.jpg",
    "text.png",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A picture, whether it is an islet micrograph, and where it came from."""

    pixels: Picture
    is_islets: bool
    source: str


def _resized(pixels: Picture, longest_px: int = 400) -> Picture:
    picture = Image.fromarray(pixels).convert("RGB")
    picture.thumbnail((longest_px, longest_px), Image.Resampling.BOX)
    return np.asarray(picture)


def _crop(pixels: Picture, rng: np.random.Generator, smallest: float) -> Picture:
    height, width = pixels.shape[:2]
    share = rng.uniform(smallest, 1.0)
    rows, columns = max(int(height * share), 32), max(int(width * share), 32)
    top, left = rng.integers(0, max(height - rows, 0) + 1), rng.integers(0, max(width - columns, 0) + 1)
    turned = np.rot90(pixels[top : top + rows, left : left + columns], rng.integers(4))
    return np.ascontiguousarray(turned[:, :: rng.choice([-1, 1])])


def _camera(values: NDArray[np.float64], rng: np.random.Generator) -> Picture:
    """Blur, noise, rounding and now and then JPEG."""
    blurred = ndimage.gaussian_filter(values, (rng.choice([0, 0.5, 1.0]),) * 2 + (0,))
    noisy = blurred + rng.normal(0, rng.uniform(0.3, 4.0), values.shape)
    picture = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=int(rng.integers(60, 95)))
        return np.asarray(Image.open(buffer))
    return picture


def _relit(pixels: Picture, rng: np.random.Generator) -> Picture:
    """Show a bright micrograph in another light and another strength of stain."""
    values = pixels.astype(np.float64)
    background = np.median(values, axis=(0, 1))
    passed = np.clip(values / np.maximum(background, 1.0), 0.02, 1.3)
    # Blue is lost under yellow light; dithizone takes a little less of it than of green.
    passed[..., 2] = passed[..., 1] ** 0.8
    light = np.array(list(LIGHTS.values())[rng.integers(len(LIGHTS))], dtype=np.float64)
    light *= rng.uniform(0.45, 1.15) * rng.uniform(0.93, 1.07, 3)
    return _camera(light * passed ** rng.uniform(0.6, 1.3), rng)


def _regained(pixels: Picture, rng: np.random.Generator) -> Picture:
    """Show a dark-field micrograph with another gain and gamma."""
    values = 255.0 * (pixels / 255.0) ** rng.uniform(0.8, 1.2)
    return _camera(values * rng.uniform(0.7, 1.6), rng)


def real_micrographs(real: Path, per_image: int, seed: int) -> Iterator[Example]:
    """Give the real micrographs as they are, and ``per_image`` variations of each."""
    for number, path in enumerate(sorted((real / "images").glob("*.png"))):
        rng = np.random.default_rng([seed, number])
        pixels = np.asarray(Image.open(path).convert("RGB"))
        yield Example(pixels=pixels, is_islets=True, source=path.stem)
        small = _resized(pixels, 700)
        dark = np.median(small[..., 0]) < 120
        islets = np.asarray(Image.open(real / "labels" / path.name).resize(small.shape[1::-1], 0)) == 1
        for _ in range(per_image):
            crop = _islet_crop(small, islets, rng)
            yield Example(pixels=(_regained if dark else _relit)(crop, rng), is_islets=True, source=path.stem)


def synthetic_micrographs(number: int, seed: int) -> Iterator[Example]:
    """Give synthetic micrographs in every light that hold islets; each is a source of its own."""
    for index in range(number):
        scene = make_scene(seed * 100_000 + index, shape=(450, 600), um_per_px=4.0)
        if (scene.classes == ISLET).mean() > 0.002:
            yield Example(pixels=scene.pixels, is_islets=True, source=f"scene_{scene.light}#{index}")


def _islet_crop(pixels: Picture, islets: NDArray[np.bool_], rng: np.random.Generator) -> Picture:
    """Crop so that islet tissue is in the field: without any there is nothing to know it by."""
    marked = np.dstack([pixels, islets])
    crop = _crop(marked, rng, 0.5)
    while crop[..., 3].mean() < 0.002:
        crop = _crop(marked, rng, 0.5)
    return np.ascontiguousarray(crop[..., :3])


def packaged_pictures(per_image: int, seed: int) -> Iterator[Example]:
    """Give photographs, scans and medical pictures that ship inside packages, with crops and tinted copies."""
    data = Path(skimage.__file__).parent / "data"
    paths = [data / name for name in PACKAGED]
    paths += sorted((Path(sklearn.datasets.__file__).parent / "images").glob("*.jpg"))
    paths += [Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")]
    for number, path in enumerate(path for path in paths if path.is_file()):
        rng = np.random.default_rng([seed, 100 + number])
        pixels = _resized(np.asarray(Image.open(path).convert("RGB")), 700)
        yield Example(pixels=pixels, is_islets=False, source=path.stem)
        for copy in range(per_image):
            crop = _crop(pixels, rng, 0.4).astype(np.float64)
            if copy % 3 == 1:
                # Any photograph in the light of a lamp: the cast alone must not make a micrograph.
                crop *= np.array(list(LIGHTS.values())[rng.integers(len(LIGHTS))]) / 230.0
            elif copy % 3 == 2:
                crop *= rng.uniform(0.2, 1.2)
            yield Example(pixels=_camera(crop, rng), is_islets=False, source=path.stem)


def _smooth_noise(rng: np.random.Generator, scale: float) -> NDArray[np.float64]:
    values = ndimage.gaussian_filter(rng.standard_normal(SIZE), scale)
    return np.asarray(values / values.std())


def _spots(rng: np.random.Generator, number: int, low: float, high: float) -> NDArray[np.float64]:
    """Draw soft ellipses of heights up to 1 on 0."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    values = np.zeros(SIZE)
    for _ in range(number):
        row, column = rng.uniform(0, SIZE[0]), rng.uniform(0, SIZE[1])
        a, b, angle = rng.uniform(low, high), rng.uniform(low, high), rng.uniform(0, np.pi)
        along = (rows - row) * np.cos(angle) + (columns - column) * np.sin(angle)
        across = (columns - column) * np.cos(angle) - (rows - row) * np.sin(angle)
        radius = np.hypot(along / a, across / b)
        values = np.maximum(values, rng.uniform(0.4, 1.0) / (1 + np.exp(np.minimum((radius - 1) * 8, 50))))
    return values


def fluorescence(rng: np.random.Generator) -> Picture:
    """Draw bright spots on black in one to three channels, smooth or grainy."""
    picture = np.full((*SIZE, 3), rng.uniform(0, 4))
    for channel in rng.permutation(3)[: rng.integers(1, 4)]:
        spots = _spots(rng, int(rng.integers(3, 40)), 4, rng.uniform(8, 60))
        grain = np.clip(1 + rng.uniform(0, 0.6) * _smooth_noise(rng, rng.uniform(0.8, 3)), 0, None)
        picture[..., channel] += rng.uniform(80, 255) * spots * grain
    return _camera(picture, rng)


def red_fluorescence(rng: np.random.Generator) -> Picture:
    """Draw the hard case: red spots of islet size on black."""
    spots = _spots(rng, int(rng.integers(1, 14)), 12, rng.uniform(20, 80))
    grain = np.clip(1 + rng.uniform(0, 0.5) * _smooth_noise(rng, rng.uniform(1, 4)), 0, None)
    colour = np.array([1.0, rng.uniform(0, 0.2), rng.uniform(0, 0.15)])
    return _camera(rng.uniform(0, 3) + rng.uniform(100, 255) * (spots * grain)[..., None] * colour, rng)


def histology(rng: np.random.Generator) -> Picture:
    """Draw a slide stained with haematoxylin and eosin: pink tissue, violet nuclei, white gaps."""
    tissue = (_smooth_noise(rng, rng.uniform(8, 25)) > rng.uniform(-2.5, 0)).astype(np.float64)
    tissue = ndimage.gaussian_filter(tissue, 1.5) * (1 + 0.25 * _smooth_noise(rng, 2))
    nuclei = _spots(rng, int(rng.integers(80, 250)), 2, rng.uniform(3, 7)) * tissue
    eosin, haematoxylin = np.array([0.07, 0.99, 0.11]), np.array([0.65, 0.70, 0.29])
    density = (
        rng.uniform(0.3, 0.9) * tissue[..., None] * eosin + rng.uniform(0.7, 1.6) * nuclei[..., None] * haematoxylin
    )
    return _camera(np.array([240, 238, 242]) * np.exp(-density), rng)


def text_page(rng: np.random.Generator) -> Picture:
    """Draw lines of words, dark on light or light on dark, now and then with a coloured box."""
    dark = rng.random() < 0.3
    paper, ink = ((25, 28, 35), (215, 215, 205)) if dark else ((250, 249, 245), (20, 20, 25))
    picture = Image.new("RGB", SIZE[::-1], paper)
    draw = ImageDraw.Draw(picture)
    if rng.random() < 0.5:
        corner = rng.integers(0, 250, 2)
        draw.rectangle(
            [*corner.tolist(), *(corner + rng.integers(20, 140, 2)).tolist()],
            fill=tuple(rng.integers(0, 255, 3).tolist()),
        )
    for row in range(8, SIZE[0] - 12, int(rng.integers(10, 20))):
        words = " ".join("x" * int(rng.integers(2, 9)) for _ in range(8)).replace("x", "isletnop"[int(rng.integers(8))])
        draw.text((8 + int(rng.integers(0, 20)), row), words, fill=ink)
    return _camera(np.asarray(picture, dtype=np.float64), rng)


def chart(rng: np.random.Generator) -> Picture:
    """Draw a screenshot-like chart: axes, bars or dots, often red."""
    picture = Image.new("RGB", SIZE[::-1], (255, 255, 255) if rng.random() < 0.7 else (34, 38, 46))
    draw = ImageDraw.Draw(picture)
    draw.line([40, 20, 40, 260, 380, 260], fill=(120, 120, 120), width=2)
    colours = [(214, 39, 40), (31, 119, 180), (44, 160, 44), (255, 127, 14)]
    for _ in range(int(rng.integers(10, 80))):
        x, y = int(rng.integers(45, 370)), int(rng.integers(30, 250))
        colour = colours[int(rng.integers(len(colours)))]
        if rng.random() < 0.5:
            draw.ellipse([x, y, x + 6, y + 6], fill=colour)
        else:
            draw.rectangle([x, y, x + 5, 258], fill=colour)
    return _camera(np.asarray(picture, dtype=np.float64), rng)


def noise(rng: np.random.Generator) -> Picture:
    """Draw noise of one scale, grey or coloured."""
    scale = rng.choice([0.0, 0.0, 1.0, 3.0, 12.0])
    layers = [_smooth_noise(rng, scale) for _ in range(3)]
    if rng.random() < 0.5:
        layers = [layers[0]] * 3
    picture = rng.uniform(60, 190, 3) + rng.uniform(20, 70) * np.dstack(layers)
    return np.clip(picture, 0, 255).astype(np.uint8)


def gradient(rng: np.random.Generator) -> Picture:
    """Draw a plain surface or a colour gradient."""
    rows, columns = np.mgrid[0 : 1 : SIZE[0] * 1j, 0 : 1 : SIZE[1] * 1j]
    ramp = rows * rng.uniform(-1, 1) + columns * rng.uniform(-1, 1)
    ramp = (ramp - ramp.min()) / max(np.ptp(ramp), 1e-9)
    first, last = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    if rng.random() < 0.4:
        last = first
    return np.clip(first + ramp[..., None] * (last - first), 0, 255).astype(np.uint8)


def red_things(rng: np.random.Generator) -> Picture:
    """Draw red things that are no islets: cloth, blood cells all over the field, tomatoes among leaves."""
    picture = rng.uniform(20, 230, 3) * (1 + 0.3 * _smooth_noise(rng, rng.uniform(2, 20)))[..., None]
    spots = _spots(rng, int(rng.integers(20, 120)), 6, rng.uniform(10, 40))[..., None]
    red = np.array([rng.uniform(150, 240), rng.uniform(20, 90), rng.uniform(20, 90)])
    shade = 1 + 0.3 * _smooth_noise(rng, 6)[..., None]
    return _camera(picture * (1 - spots) + red * shade * spots, rng)


DRAWN: dict[str, Callable[[np.random.Generator], Picture]] = {
    "fluorescence": fluorescence,
    "red_fluorescence": red_fluorescence,
    "histology": histology,
    "text_page": text_page,
    "chart": chart,
    "noise": noise,
    "gradient": gradient,
    "red_things": red_things,
}


def drawn_pictures(per_kind: int, seed: int) -> Iterator[Example]:
    """Give drawn pictures; each is a source of its own, since none shares a pixel with another."""
    for number, (name, draw) in enumerate(DRAWN.items()):
        for index in range(per_kind):
            rng = np.random.default_rng([seed, 1000 + number, index])
            yield Example(pixels=draw(rng), is_islets=False, source=f"{name}#{index}")
