"""Surfaces to turn with the mouse: pages that stand alone, with everything they need inside."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Only links to pages of its makers; nothing is loaded from them, but a closed network need not see them.
_OUTSIDE_LINK = re.compile(r"<link[^>]+href=[\"']https?://[^>]*>")
_OUTSIDE_ICON = re.compile(r"https?://[^\s\"'`]*/favicon[^\s\"'`]*")
_COLOURS = "cividis"
_LARGEST_GROUND_PX = 640
_SLICE_QUALITY = 50


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnSolid:
    """A surface to draw: ``vertices_um`` ``(n, 3)``, ``faces`` ``(m, 3)``, and the number that gives its colour."""

    vertices_um: NDArray[np.float64]
    faces: NDArray[np.int64]
    value: float


def surfaces_page(
    solids: Sequence[DrawnSolid],
    *,
    title: str,
    note: str,
    value_label: str,
    ground: NDArray[np.uint8] | None = None,
    ground_um: tuple[float, float] | None = None,
) -> str:
    """Make a page with surfaces to turn, coloured by a number.

    Parameters
    ----------
    solids
        At least one, in one space: x to the right and y downwards, as in pictures, z towards the viewer.
    title
        Heading.
    note
        What the surfaces are, such as that they are a model; stands on the page.
    value_label
        What the colours mean, with the unit.
    ground
        A micrograph, uint8 ``(height, width, 3)``, to lie below the surfaces.
    ground_um
        Its height and width in um.

    Returns
    -------
    str
        HTML that needs nothing from outside.
    """
    scene = surfaces_scene(solids, value_label, ground, ground_um)
    return _page(title, note, f'<iframe title="{html.escape(title)}" srcdoc="{html.escape(scene)}"></iframe>')


def stack_page(
    solids: Sequence[DrawnSolid], slices: Sequence[NDArray[np.uint8]], *, title: str, note: str, value_label: str
) -> str:
    """Make a page with the slices of a stack on the left, to leaf through, and its surfaces on the right.

    Parameters
    ----------
    solids, title, note, value_label
        As for `surfaces_page`.
    slices
        RGB uint8 ``(height, width, 3)`` each, in order.

    Returns
    -------
    str
        HTML that needs nothing from outside.
    """
    from PIL import Image

    sources = []
    for one in slices:
        stream = io.BytesIO()
        Image.fromarray(one).save(stream, "JPEG", quality=_SLICE_QUALITY)
        sources.append(f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}")
    listed = ",".join(f'"{source}"' for source in sources)
    middle = len(sources) // 2
    left = (
        f'<div class="slices"><img id="slice" alt="slice" src="{sources[middle]}">'
        f'<label>slice <output id="number">{middle + 1}</output> of {len(sources)} '
        f'<input id="place" type="range" min="1" max="{len(sources)}" value="{middle + 1}"></label></div>'
    )
    script = (
        f"<script>const slices=[{listed}];document.getElementById('place').addEventListener('input',event=>{{"
        "document.getElementById('slice').src=slices[event.target.value-1];"
        "document.getElementById('number').value=event.target.value})</script>"
    )
    scene = surfaces_scene(solids, value_label)
    right = f'<iframe title="surfaces" srcdoc="{html.escape(scene)}"></iframe>'
    return _page(title, note, f'<div class="pair">{left}{right}</div>{script}')


def surfaces_scene(
    solids: Sequence[DrawnSolid],
    value_label: str,
    ground: NDArray[np.uint8] | None = None,
    ground_um: tuple[float, float] | None = None,
) -> str:
    """Make the scene of `surfaces_page` alone, to fill a frame of another page; arguments as there."""
    import pyvista as pv

    # Its decorated methods carry types that their callers cannot meet.
    plotter: Any = pv.Plotter(off_screen=True, window_size=[900, 700])
    plotter.set_background("white")
    # Pictures count y downwards; the scale of the axis counts from the nearer edge.
    upright, lift = np.array([1.0, -1.0, 1.0]), np.zeros(3)
    lift[1] = ground_um[0] if ground_um else max(float(solid.vertices_um[:, 1].max()) for solid in solids)
    parts = []
    for solid in solids:
        faces: Any = solid.faces[:, ::-1]
        part = pv.PolyData.from_regular_faces((solid.vertices_um * upright + lift).astype(np.float32), faces)
        part.point_data[value_label] = np.full(len(solid.vertices_um), solid.value, dtype=np.float32)
        parts.append(part)
    plotter.add_mesh(
        pv.merge(parts, merge_points=False),
        scalars=value_label,
        cmap=_COLOURS,
        smooth_shading=True,
        scalar_bar_args={"title": value_label, "color": "black", "vertical": True},
    )
    if ground is not None and ground_um is not None:
        step = max(1, -(-max(ground.shape[:2]) // _LARGEST_GROUND_PX))
        height_um, width_um = ground_um
        lowest = min(float(solid.vertices_um[:, 2].min()) for solid in solids)
        plane = pv.Plane(
            center=(width_um / 2, height_um / 2, lowest),
            direction=(0, 0, 1),
            i_size=width_um,
            j_size=height_um,
            i_resolution=1,
            j_resolution=1,
        )
        texture = pv.numpy_to_texture(np.ascontiguousarray(ground[::step, ::step]))  # type: ignore[no-untyped-call]
        plotter.add_mesh(plane, texture=texture)
    else:
        plotter.show_bounds(xtitle="x (um)", ytitle="y (um)", ztitle="z (um)", color="black", font_size=10, grid="back")
    plotter.view_vector((0.4, -1.0, 0.9), viewup=(0, 0, 1))
    # Room for the scale beside it in a narrow frame.
    plotter.camera.zoom(0.85)
    stream = plotter.trame.export_html(None)
    plotter.close()
    return _OUTSIDE_ICON.sub("data:,", _OUTSIDE_LINK.sub("", stream.getvalue()))


def _page(title: str, note: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>"
        "body{font-family:sans-serif;margin:1rem;color:#111;background:#fff}h1{font-size:1.2rem;margin:0 0 .3rem}"
        "p{margin:0 0 .6rem;max-width:60rem}iframe{width:100%;height:72vh;border:1px solid #999}"
        ".pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem}.slices img{width:100%;max-height:68vh;"
        "object-fit:contain;background:#000;image-rendering:pixelated}.slices input{width:60%;vertical-align:middle}"
        "@media(max-width:800px){.pair{grid-template-columns:1fr}}</style></head><body>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(note)}</p>{body}</body></html>"
    )
