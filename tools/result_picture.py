"""Draw docs/result.png for the README: a bundled micrograph beside what isletnet says of it."""

from pathlib import Path

import numpy as np
from PIL import Image

import isletnet
from isletnet.views.overlay import overlay

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Analyse the sample, put the picture and its overlay side by side."""
    result = isletnet.analyse(ROOT / "samples" / "islets.tif")
    drawn = overlay(result.micrograph.pixels, result.labelled, result.table, um_per_px=result.calibration.um_per_px)
    gap = np.full((drawn.shape[0], 16, 3), 255, np.uint8)
    both = np.concatenate([result.micrograph.pixels, gap, drawn], axis=1)
    picture = Image.fromarray(both)
    picture.thumbnail((1400, 1400))
    # Fewer colours would turn the thin pink outlines of exocrine tissue grey.
    colours = picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
    colours.save(ROOT / "docs" / "result.png", optimize=True)


if __name__ == "__main__":
    main()
