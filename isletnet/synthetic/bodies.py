"""Islets as bodies in space: unions of ellipsoids, which can be turned, seen from above and cut into slices.

`isletnet.synthetic.islets` has islets as they lie in a dish, made for pictures. A body here keeps its third
dimension, so it can lie any way, and its volume, silhouette and slices belong together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from skimage.draw import polygon2mask

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Body:
    """A union of ``n`` ellipsoids, in um, x y z.

    ``centres_um`` is ``(n, 3)``. ``forms_um2`` is ``(n, 3, 3)``: the matrices ``R diag(s²) R'`` of semi-axes ``s`` and
    rotation ``R``, so that a point ``p`` is inside where ``(p - c)' inv(form) (p - c) <= 1``.
    """

    centres_um: Floats
    forms_um2: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A body seen along z: ``mask`` bool ``(height, width)``, ``thickness_um`` float64 of the same shape."""

    mask: NDArray[np.bool_]
    thickness_um: Floats
    um_per_px: float

    @property
    def volume_um3(self) -> float:
        """Sum of the thickness: the volume, but for the pixel grid."""
        return float(self.thickness_um.sum()) * self.um_per_px**2


def ellipsoid(semi_axes_um: ArrayLike) -> Body:
    """Give the ellipsoid with semi-axes along x, y and z (um), about the origin."""
    semi = np.asarray(semi_axes_um, dtype=np.float64)
    return Body(centres_um=np.zeros((1, 3)), forms_um2=np.diag(semi**2)[None])


def random_rotation(rng: np.random.Generator) -> Floats:
    """Draw a rotation ``(3, 3)``, every orientation alike (a unit quaternion of four normal numbers)."""
    w, x, y, z = (quaternion := rng.standard_normal(4)) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotated(body: Body, rotation: Floats) -> Body:
    """Turn a body about the origin by a rotation ``(3, 3)``."""
    return Body(centres_um=body.centres_um @ rotation.T, forms_um2=rotation @ body.forms_um2 @ rotation.T)


def moved(body: Body, by_um: ArrayLike) -> Body:
    """Shift a body by x, y, z."""
    return Body(centres_um=body.centres_um + np.asarray(by_um, dtype=np.float64), forms_um2=body.forms_um2)


def joined(*bodies: Body) -> Body:
    """Unite bodies."""
    return Body(
        centres_um=np.concatenate([body.centres_um for body in bodies]),
        forms_um2=np.concatenate([body.forms_um2 for body in bodies]),
    )


def lobed(rng: np.random.Generator, semi_axes_um: ArrayLike, lobes_n: int, *, lobe_share: float = 0.45) -> Body:
    """Grow an islet of fused lobes: an ellipsoid with smaller ones set into its surface.

    Parameters
    ----------
    rng
        Source of randomness.
    semi_axes_um
        Of the main body, along x, y and z.
    lobes_n
        How many lobes.
    lobe_share
        Size of a lobe against the mean semi-axis of the main body, varied by a quarter.

    Returns
    -------
    Body
        About the origin.
    """
    semi = np.asarray(semi_axes_um, dtype=np.float64)
    parts = [ellipsoid(semi)]
    for _ in range(lobes_n):
        direction = rng.standard_normal(3)
        direction /= np.linalg.norm(direction)
        size_um = float(semi.mean()) * lobe_share * rng.uniform(0.75, 1.25)
        lobe = ellipsoid(size_um * rng.uniform(0.8, 1.2, 3))
        parts.append(moved(rotated(lobe, random_rotation(rng)), direction * semi * rng.uniform(0.75, 1.0)))
    return joined(*parts)


def extent_um(body: Body) -> tuple[Floats, Floats]:
    """Give the least and the greatest x, y, z."""
    reach = np.sqrt(np.diagonal(body.forms_um2, axis1=1, axis2=2))
    return (body.centres_um - reach).min(axis=0), (body.centres_um + reach).max(axis=0)


def seen_from_above(body: Body, *, um_per_px: float, offset_px: tuple[float, float] = (0.0, 0.0)) -> View:
    """Look at a body along z: its silhouette and the length of each ray inside it.

    Parameters
    ----------
    body
        The body; it is not modified.
    um_per_px
        Pixel size. A pixel belongs to the silhouette where the ray through its centre meets the body.
    offset_px
        Where the grid lies against the body (y, x); a part of a pixel is what matters.

    Returns
    -------
    View
        Cropped to the body, with a margin of one or two pixels.
    """
    y, x = _grid_um(body, um_per_px, offset_px)
    bottoms, tops = zip(
        *(_pierced(c, f, x, y) for c, f in zip(body.centres_um, body.forms_um2, strict=True)), strict=True
    )
    order = np.argsort(bottoms, axis=0)
    bottom, top = np.take_along_axis(np.array(bottoms), order, 0), np.take_along_axis(np.array(tops), order, 0)
    # The union of intervals in order: each adds what rises above all before it.
    thickness, reached = np.zeros(bottom.shape[1:]), np.full(bottom.shape[1:], -np.inf)
    for one_bottom, one_top in zip(bottom, top, strict=True):
        thickness += np.clip(one_top - np.maximum(one_bottom, reached), 0, None)
        reached = np.maximum(reached, one_top)
    return View(mask=thickness > 0, thickness_um=thickness, um_per_px=um_per_px)


def drawn_outline(
    body: Body, *, um_per_px: float, shift_um: float, offset_px: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.bool_]:
    """Draw the silhouette with an outline that runs beside the true one, as a person or a network may draw it.

    Parameters
    ----------
    body
        The body.
    um_per_px, offset_px
        As for `seen_from_above`.
    shift_um
        How far out the outline runs; below 0, how far in. An inward shift must stay below the narrowest bend.

    Returns
    -------
    ndarray
        Bool ``(height, width)``, cropped with a margin.
    """
    y, x = _grid_um(body, um_per_px, offset_px, margin_um=max(shift_um, 0.0))
    mask = np.zeros((y.size, x.size), dtype=bool)
    angle = np.linspace(0, 2 * np.pi, 512, endpoint=False)
    normal = np.stack([np.cos(angle), np.sin(angle)])
    for centre, form in zip(body.centres_um[:, :2], body.forms_um2[:, :2, :2], strict=True):
        # Where an ellipse has a normal n it is at F n / sqrt(n' F n); a parallel outline lies further along n.
        along = form @ normal
        outline = centre[:, None] + along / np.sqrt((normal * along).sum(axis=0)) + shift_um * normal
        corners = np.stack([(outline[1] - y[0]) / um_per_px, (outline[0] - x[0]) / um_per_px], axis=1)
        mask |= polygon2mask(mask.shape, corners)  # type: ignore[no-untyped-call]
    return mask


def voxels(body: Body, *, um_per_px: float, um_per_slice: float, margin: int = 2) -> NDArray[np.bool_]:
    """Cut a body into slices.

    Parameters
    ----------
    body
        The body.
    um_per_px, um_per_slice
        Size of a voxel across and along z.
    margin
        Empty voxels left on every side.

    Returns
    -------
    ndarray
        Bool ``(slices, height, width)``, true where the centre of the voxel is inside.
    """
    low, high = extent_um(body)
    size = np.array([um_per_px, um_per_px, um_per_slice])
    counts = np.ceil((high - low) / size).astype(int) + 2 * margin
    middle = (low + high) / 2
    x, y, z = (middle[axis] + (np.arange(n) - (n - 1) / 2) * size[axis] for axis, n in enumerate(counts))
    filled = np.zeros((counts[2], counts[1], counts[0]), dtype=bool)
    for centre, form in zip(body.centres_um, body.forms_um2, strict=True):
        bottom, top = _pierced(centre, form, x, y)
        filled |= (z[:, None, None] >= bottom) & (z[:, None, None] <= top)
    return filled


def _grid_um(
    body: Body, um_per_px: float, offset_px: tuple[float, float], *, margin_um: float = 0.0
) -> tuple[Floats, Floats]:
    """Centres of the rows and of the columns of a picture that holds the body."""
    low, high = extent_um(body)
    first, last = np.floor((low - margin_um) / um_per_px) - 1, np.ceil((high + margin_um) / um_per_px) + 2
    y, x = (
        (np.arange(first[axis], last[axis]) + offset % 1) * um_per_px
        for axis, offset in ((1, offset_px[0]), (0, offset_px[1]))
    )
    return y, x


def _pierced(centre: Floats, form: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Where rays along z enter and leave an ellipsoid, ``(y, x)`` each; infinity and its opposite where they miss."""
    a = np.linalg.inv(form)
    dx, dy = x[None, :] - centre[0], y[:, None] - centre[1]
    half = a[0, 2] * dx + a[1, 2] * dy
    inside = half**2 - a[2, 2] * (a[0, 0] * dx**2 + 2 * a[0, 1] * dx * dy + a[1, 1] * dy**2 - 1)
    root = np.sqrt(np.clip(inside, 0, None))
    hit = inside > 0
    bottom = np.where(hit, centre[2] + (-half - root) / a[2, 2], np.inf)
    top = np.where(hit, centre[2] + (-half + root) / a[2, 2], -np.inf)
    return bottom, top
