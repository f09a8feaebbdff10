"""Figures for print: their size, their type, and the same bytes for the same figure."""

import io
import itertools
import re

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from isletnet.views import print_style


@print_style.printed
def drawing(text="průměr ostrůvků (µm), žluťoučký kůň"):
    figure = print_style.new_figure(height_mm=50)
    axes = figure.subplots()
    axes.plot([1, 2, 3], label=text)
    axes.legend()
    return figure


def test_the_same_figure_gives_the_same_bytes():
    assert print_style.figure_files(drawing()) == print_style.figure_files(drawing())


def test_sizes_are_those_of_a_column():
    files = print_style.figure_files(drawing())
    with Image.open(io.BytesIO(files["png"])) as picture:
        assert picture.size == (pytest.approx(85 / 25.4 * 300, abs=1), pytest.approx(50 / 25.4 * 300, abs=1))
        assert picture.info["dpi"] == (pytest.approx(300, abs=0.1), pytest.approx(300, abs=0.1))
    page = PdfReader(io.BytesIO(files["pdf"])).pages[0]
    assert float(page.mediabox.width) == pytest.approx(85 / 25.4 * 72, abs=0.5)


def test_fonts_are_embedded_and_czech_letters_are_there():
    files = print_style.figure_files(drawing())
    page = PdfReader(io.BytesIO(files["pdf"])).pages[0]
    assert "žluťoučký kůň" in page.extract_text()
    for font in page["/Resources"]["/Font"].values():
        inner = font.get_object().get("/DescendantFonts", [font])[0].get_object()
        assert "/FontFile2" in inner["/FontDescriptor"].get_object()
    svg = files["svg"].decode()
    assert "<text" not in svg
    assert "<image" not in svg
    assert not re.search(r"\d{4}-\d\d-\d\d", svg)


def test_colours_differ_for_people_without_red_or_green_cones():
    """Viénot, Brettel and Mollon (1999): what dichromats see of linear RGB."""
    protan = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    deutan = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    first_four = [print_style.BLUE, print_style.VERMILION, print_style.GREEN, print_style.ORANGE]
    levels = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in first_four])
    for seen in (levels**2.2 @ protan.T, levels**2.2 @ deutan.T):
        seen = seen.clip(0) ** (1 / 2.2)
        for one, other in itertools.combinations(seen, 2):
            assert np.abs(one - other).sum() > 0.25


def test_the_style_stays_inside():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    print_style.figure_files(drawing())
    assert dict(mpl.rcParams) == before
