"""Numbers for people, the size histogram and the notebook's view."""

import base64
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image
from sample_results import drawn_result, empty_result

from isletnet.schemas import Estimate, Interval, QualityWarning
from isletnet.views.html import html
from isletnet.views.numbers import shown, shown_interval, shown_text, shown_title, shown_value
from isletnet.views.plots import histogram_svg, size_histogram


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "unit", "text"),
        [
            (475_000.4, "IEQ", "475\u202f000"),
            (99.94, "IEQ", "99.9"),
            (99.96, "IEQ", "100"),
            (9.994, "um", "9.99"),
            (9.996, "um", "10.0"),
            (0.5, "IEQ/islet", "0.500"),
            (0, "IEQ", "0"),
            (-1234.5, "", "-1\u202f234"),
            (0.5834, "fraction", "58.3"),
            (14.6, "islets", "15"),
            (None, "IEQ", "–"),
            (float("nan"), "IEQ", "–"),
        ],
    )
    def test_values(self, value: float | None, unit: str, text: str) -> None:
        assert shown_value(value, unit) == text

    def test_units_and_intervals(self) -> None:
        interval = Interval(low=0.41, high=0.75, level=0.95, method="m")
        purity = Estimate(value=0.58, unit="fraction", method="m", interval=interval)
        assert shown(purity) == "58.0\u00a0%"
        assert shown_interval(purity) == "95\u202f% interval 41.0 to 75.0\u202f%"
        assert shown(Estimate(value=120.0, unit="um", method="m")) == "120\u00a0µm"
        assert shown_interval(replace(purity, interval=None)) == ""
        assert shown(replace(purity, value=None)) == "–"

    def test_texts(self) -> None:
        assert shown_text("below 50 um; 100 uL, sum") == "below 50 µm; 100 µL, sum"
        assert shown_title("small_particles_ieq") == "Small particles IEQ"


class TestHistogram:
    def test_bars_are_as_high_as_the_shares(self) -> None:
        rows = drawn_result().summary.size_classes
        root = ET.fromstring(histogram_svg(rows))
        bars = [float(mark.get("height", "")) for mark in root.findall("{*}rect")][2:]
        shares = [share for row in rows for share in (row.count_fraction, row.ieq_fraction)]
        assert [bar / max(bars) for bar in bars] == pytest.approx([one / max(shares) for one in shares], abs=0.002)

    def test_the_figure_has_both_series(self) -> None:
        summary = drawn_result().summary
        axes = size_histogram(summary).axes[0]
        heights = [[bar.get_height() for bar in series] for series in axes.containers]
        assert heights[0] == pytest.approx([100 * row.count_fraction for row in summary.size_classes])
        assert heights[1] == pytest.approx([100 * row.ieq_fraction for row in summary.size_classes])

    def test_the_figure_can_be_saved(self) -> None:
        buffer = BytesIO()
        size_histogram(drawn_result(um_per_px=None).summary).savefig(buffer, format="svg")
        assert b"<svg" in buffer.getvalue()


class TestHtml:
    def test_texts_from_outside_are_escaped(self) -> None:
        warning = QualityWarning(code="x", message="<img src=x onerror=alert(1)>")
        page = html(drawn_result(name="<script>alert(1)</script>", warnings=(warning,)))
        assert "<script" not in page
        assert "<img src=x" not in page
        assert "&lt;script&gt;" in page

    def test_it_needs_nothing_from_outside(self) -> None:
        page = html(drawn_result())
        addresses = set(re.findall(r"https?://[^\"' ]+", page))
        assert addresses <= {"http://www.w3.org/2000/svg"}
        ET.fromstring(page)

    def test_the_picture_is_the_overlay(self) -> None:
        page = html(drawn_result())
        found = re.search(r"base64,([^\"]+)", page)
        assert found is not None
        assert Image.open(BytesIO(base64.b64decode(found[1]))).size == (320, 240)

    def test_headline_and_table(self) -> None:
        result = drawn_result()
        page = html(result)
        assert shown(result.summary.ieq) in page
        assert shown_interval(result.summary.ieq) in page
        assert "The 6 largest of 6" in page
        assert page.count("<tr>") == 7

    def test_without_calibration_there_is_no_um(self) -> None:
        page = html(drawn_result(um_per_px=None))
        assert "No pixel size is known" in page
        assert "Diameter (µm)" not in page

    def test_nothing_found(self) -> None:
        assert "No islet tissue was found" in html(empty_result())

    def test_it_loads_no_plotting_library(self) -> None:
        code = "import sys, isletnet.views.html; print(sorted({'matplotlib', 'plotly', 'typst'} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"
