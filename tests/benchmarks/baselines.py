"""What isletnet must beat: the best classic pipeline and a random forest on multiscale features.

Both see the same light-corrected picture, so neither loses to a lamp, and give class masks in its grid. The forest
works at the pixel size of the network that it stands beside.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed
from sklearn.ensemble import RandomForestClassifier

from isletnet.analysis.checks.features import background_surface, log_colours
from isletnet.schemas import EXOCRINE, ISLET

Pixels = NDArray[np.uint8]
Classes = NDArray[np.uint8]
SMALLEST_UM = 20.0
BLUR_UM = 1.5
# Otsu on a field with few islets splits other tissue from the background. A stained islet rises by more than this
# share of the background's light.
LOWEST_RISE = 0.33
EXOCRINE_RISE = 0.035
SEAM_UM = 12.0
HALF_NECK_UM = 8.0

SCALES_PX = (0.7, 1.6, 3.5, 7.0, 14.0)
TREES_N = 60
SAMPLES_PER_CLASS = 1500


def relative_colours(pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Give light, red over green and blue over green, in logarithms above the background."""
    colours = log_colours(pixels)
    surface = background_surface(colours)
    return colours.light - surface, colours.red - colours.background_red, colours.blue - colours.background_blue


def classic(pixels: Pixels, um_per_px: float) -> tuple[Classes, NDArray[np.int32]]:
    """Segment by blur, red minus green, Otsu and watershed; exocrine tissue by a second threshold.

    Parameters
    ----------
    pixels
        RGB uint8 ``(height, width, 3)``.
    um_per_px
        Pixel size.

    Returns
    -------
    Classes, and islets separated by a watershed of the distance transform.
    """
    sigma = BLUR_UM / um_per_px
    colours = log_colours(pixels)
    red_minus_green = ndimage.gaussian_filter(pixels[..., 0].astype(np.float32) - pixels[..., 1], sigma)
    background = float(np.median(red_minus_green))
    lowest = background + LOWEST_RISE * float(np.exp(colours.background_light))
    smallest_px = np.pi * (SMALLEST_UM / 2 / um_per_px) ** 2
    islets = _without_specks(red_minus_green > max(float(threshold_otsu(red_minus_green)), lowest), smallest_px)
    islets = ndimage.binary_fill_holes(islets)
    red = ndimage.gaussian_filter(colours.red - colours.background_red, 2 * sigma)
    # Unstained tissue is a little redder than the background. The seam around islets is their own blur.
    seam = ndimage.binary_dilation(islets, iterations=max(1, round(SEAM_UM / um_per_px)))
    tissue = (red > EXOCRINE_RISE + 3 * _noise(red)) & ~seam
    tissue = ndimage.binary_opening(tissue, iterations=max(1, round(sigma)))
    classes = np.zeros(pixels.shape[:2], dtype=np.uint8)
    classes[_without_specks(tissue, 2 * smallest_px)] = EXOCRINE
    classes[islets] = ISLET
    return classes, _separated(islets, um_per_px)


def _noise(values: NDArray[np.float32]) -> float:
    """Robust spread of the background, from what lies below its middle."""
    middle = float(np.median(values))
    below = values[values < middle]
    return 1.4826 * float(np.median(middle - below)) if below.size else 0.0


def _without_specks(mask: NDArray[np.bool_], smallest_px: float) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= smallest_px)[labels])


def _separated(islets: NDArray[np.bool_], um_per_px: float) -> NDArray[np.int32]:
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(islets), HALF_NECK_UM / um_per_px)
    peaks = peak_local_max(distance, min_distance=max(1, round(25 / um_per_px)), labels=ndimage.label(islets)[0])
    markers = np.zeros(islets.shape, dtype=np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.asarray(watershed(-distance, markers, mask=islets), dtype=np.int32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Forest:
    """A trained pixel classifier, in the manner of ilastik."""

    classifier: RandomForestClassifier
    working_um_per_px: float

    def predict(self, pixels: Pixels, um_per_px: float) -> Classes:
        """Classify every pixel, at the working scale, and bring the classes back to the grid of the picture."""
        small = _at_scale(pixels, um_per_px, self.working_um_per_px)
        stack = pixel_features(small)
        probabilities = self.classifier.predict_proba(stack.reshape(-1, stack.shape[-1])).astype(np.float32)
        by_class = np.zeros((*small.shape[:2], 3), dtype=np.float32)
        by_class[..., self.classifier.classes_] = probabilities.reshape(*small.shape[:2], -1)
        size = pixels.shape[1::-1]
        full = [
            np.asarray(Image.fromarray(by_class[..., index]).resize(size, Image.Resampling.BILINEAR))
            for index in range(3)
        ]
        return np.argmax(np.stack(full), axis=0).astype(np.uint8)


def train_forest(
    images: Sequence[Pixels],
    labels: Sequence[Classes],
    um_per_px: Sequence[float],
    *,
    working_um_per_px: float,
    seed: int = 0,
    jobs_n: int = 1,
) -> Forest:
    """Train a random forest on pixels sampled from every picture; each class weighs the area that it covers.

    Parameters
    ----------
    images, labels, um_per_px
        Pictures, their class masks and pixel sizes.
    working_um_per_px
        Pixel size that it works at; finer pictures are made coarser.
    seed
        Seed of the sample and the trees.
    jobs_n
        Processes of scikit-learn.
    """
    rng = np.random.default_rng(seed)
    inputs, targets, weights = [], [], []
    for pixels, mask, scale in zip(images, labels, um_per_px, strict=True):
        small = _at_scale(pixels, scale, working_um_per_px)
        stack = pixel_features(small)
        wanted = np.asarray(Image.fromarray(mask).resize(small.shape[1::-1], Image.Resampling.NEAREST))
        for value in np.unique(wanted):
            rows, columns = np.nonzero(wanted == value)
            count = min(rows.size, SAMPLES_PER_CLASS)
            chosen = rng.choice(rows.size, count, replace=False)
            inputs.append(stack[rows[chosen], columns[chosen]])
            targets.append(np.full(count, value))
            # Rare classes are sampled densely but weigh what they cover, or tissue would be seen everywhere.
            weights.append(np.full(count, rows.size / count / wanted.size))
    classifier = RandomForestClassifier(TREES_N, min_samples_leaf=3, n_jobs=jobs_n, random_state=seed)
    classifier.fit(np.concatenate(inputs), np.concatenate(targets), sample_weight=np.concatenate(weights))
    return Forest(classifier=classifier, working_um_per_px=working_um_per_px)


def _at_scale(pixels: Pixels, um_per_px: float, working_um_per_px: float) -> Pixels:
    share = min(1.0, um_per_px / working_um_per_px)
    size = (max(1, round(pixels.shape[1] * share)), max(1, round(pixels.shape[0] * share)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def pixel_features(pixels: Pixels) -> NDArray[np.float32]:
    """Give Gaussians, gradients, differences of Gaussians and Hessian eigenvalues of the relative colours.

    Returns
    -------
    float32 ``(height, width, features)``.
    """
    maps = []
    for channel in relative_colours(pixels):
        maps.append(channel)
        finer = channel
        for sigma in SCALES_PX:
            smooth = ndimage.gaussian_filter(channel, sigma, truncate=3.0)
            rows, columns = np.gradient(smooth)
            row_row, row_column = np.gradient(rows)
            column_column = np.gradient(columns, axis=1)
            half_trace = (row_row + column_column) / 2
            apart = np.sqrt(((row_row - column_column) / 2) ** 2 + row_column**2)
            maps += [smooth, np.hypot(rows, columns), finer - smooth, half_trace + apart, half_trace - apart]
            finer = smooth
    return np.stack(maps, axis=-1).astype(np.float32)
