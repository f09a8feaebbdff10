"""How a figure looks in print: column widths, type, colours, and files that are the same for the same figure."""

from __future__ import annotations

import io
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
FigureFormat = Literal["svg", "pdf", "png"]

# Columns of a journal page. Figures are made in the size of print, so type of 7 to 8 pt stays 7 to 8 pt.
ONE_COLUMN_MM, TWO_COLUMNS_MM = 85.0, 180.0
TEXT_PT, LABEL_PT = 7.0, 8.0
PNG_DPI = 300
_MM_PER_INCH = 25.4

# Okabe and Ito (2008): told apart by people of every kind of colour vision. Their yellow is lost on white paper; grey
# stands for it.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, BLACK = "#56B4E9", "#CC79A7", "#000000"
GREY, FAINT = "#7A7A7A", "#D9D9D9"
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, BLACK, GREY)
# A second sign beside colour, for print in black.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)), (0, (3, 1)))

_SETTINGS: dict[Any, Any] = {
    # It comes with Matplotlib and has every Czech letter, so the bytes do not depend on what a machine has installed.
    "font.family": "DejaVu Sans",
    "font.size": TEXT_PT,
    "axes.labelsize": LABEL_PT,
    "axes.titlesize": LABEL_PT,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": TEXT_PT,
    "ytick.labelsize": TEXT_PT,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "legend.fontsize": TEXT_PT,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "grid.linewidth": 0.4,
    "grid.color": FAINT,
    "figure.dpi": 150,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "isletnet",
    "mathtext.default": "regular",
}


def print_style() -> AbstractContextManager[None]:
    """Give the context in which a figure is made and saved."""
    import matplotlib as mpl
    from cycler import cycler

    style: AbstractContextManager[None] = mpl.rc_context({**_SETTINGS, "axes.prop_cycle": cycler(color=COLOURS)})
    return style


def printed(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a function that draws a figure draw it in `print_style`."""

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with print_style():
            return draw(*args, **kwargs)

    return drawn


def new_figure(*, height_mm: float, width_mm: float = ONE_COLUMN_MM) -> Figure:
    """Make an empty figure of a size in print, bound to no window. Call it inside `print_style`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_mm / _MM_PER_INCH, height_mm / _MM_PER_INCH), layout="constrained")


def plain_numbers(axis: Axis, *, subdivisions: tuple[int, ...] = (1, 2, 5)) -> None:
    """Write 0.2, 20 and 2000 along a logarithmic axis instead of powers of ten (the axis is changed)."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=subdivisions, numticks=15))
    axis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.15g}".replace(",", "\u202f")))
    axis.set_minor_formatter(NullFormatter())


def figure_files(figure: Figure) -> dict[FigureFormat, bytes]:
    """Write a figure as SVG, PDF (fonts embedded as TrueType) and PNG of 300 dpi.

    Nothing of the moment goes into the files: the same figure gives the same bytes.

    Parameters
    ----------
    figure
        As it shall be printed; its size is kept.

    Returns
    -------
    dict
        Format to bytes.
    """
    no_date: dict[FigureFormat, dict[str, object]] = {
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "png": {"Software": None},
    }
    files: dict[FigureFormat, bytes] = {}
    with print_style():
        for kind, metadata in no_date.items():
            stream = io.BytesIO()
            figure.savefig(stream, format=kind, dpi=PNG_DPI, metadata=metadata)
            files[kind] = stream.getvalue()
    return files
