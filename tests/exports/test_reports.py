"""The batch's files: table, workbook and report."""

import csv
import zipfile
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import openpyxl
import pypdf
import pytest

from isletnet.errors import ExportError
from isletnet.exports import xlsx
from isletnet.exports.batch import write_batch
from isletnet.exports.folder import StoredImage
from isletnet.exports.pdf import report_pdf
from isletnet.exports.report import FOOTER
from isletnet.exports.samples import Sample
from isletnet.exports.xlsx import results_xlsx
from isletnet.schemas import IEQ_METHODS, ImageResult

Samples = tuple[Sample, Sample]
CZECH_NAME = "Šťastný Ľubomír Ďuračka, ôäŕ αβΩ"
FORMULA_NAME = "=cmd|'/c calc'!A1"


@pytest.fixture(scope="module")
def book(samples: Samples) -> openpyxl.Workbook:
    return openpyxl.load_workbook(BytesIO(results_xlsx(samples)))


@pytest.fixture(scope="module")
def pdf(samples: Samples) -> bytes:
    return report_pdf(samples)


@pytest.fixture(scope="module")
def pages(pdf: bytes) -> list[str]:
    return [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(BytesIO(pdf)).pages]


def test_write_batch_writes_the_three_files(samples: Samples, tmp_path: Path) -> None:
    written = write_batch(samples, tmp_path / "out")
    assert [path.name for path in written] == ["summary.csv", "results.xlsx", "report.pdf"]
    rows = list(csv.DictReader(StringIO(written[0].read_text(encoding="utf-8"))))
    assert [(row["level"], row["name"]) for row in rows] == [
        ("image", f"'{FORMULA_NAME}"),
        ("image", "nothing"),
        ("image", f"'{FORMULA_NAME}"),
        ("sample", CZECH_NAME),
        ("sample", f"'{FORMULA_NAME}"),
    ]
    assert float(rows[3]["ieq"]) == samples[0].summary.ieq.value
    assert rows[1]["purity_area_fraction"] == ""


class TestWorkbook:
    def test_sheets_with_frozen_heads(self, book: openpyxl.Workbook) -> None:
        names = ["Summary", "Images", "Size classes", "Methods", "Criteria", "Islets", "Provenance"]
        assert book.sheetnames == names
        assert all(sheet.freeze_panes == "B2" for sheet in book)

    def test_a_name_that_looks_like_a_formula_stays_text(self, book: openpyxl.Workbook) -> None:
        cell = next(cell for cell in book["Images"]["B"] if cell.value == FORMULA_NAME)
        assert cell.data_type == "s"
        assert not any(cell.data_type == "f" for sheet in book for row in sheet for cell in row)

    def test_numbers_are_those_of_the_summary(self, book: openpyxl.Workbook, samples: Samples) -> None:
        rows = {row[1]: row for row in book["Summary"].values if row[0] == CZECH_NAME}
        summary = samples[0].summary
        assert rows["IEQ"][2:4] == (pytest.approx(summary.ieq.value), "IEQ")
        assert summary.preparation is not None
        assert rows["IEQ of the preparation"][2] == pytest.approx(summary.preparation.total_ieq.value)
        assert summary.ieq.interval is not None
        assert rows["IEQ"][4:7] == (
            pytest.approx(summary.ieq.interval.low),
            pytest.approx(summary.ieq.interval.high),
            0.95,
        )
        assert [row[1] for row in book["Methods"].values if row[0] == CZECH_NAME] == list(IEQ_METHODS)

    def test_shares_are_shown_in_percent(self, book: openpyxl.Workbook) -> None:
        line = next(cell.row for cell in book["Summary"]["B"] if cell.value == "Purity by area")
        assert book["Summary"].cell(line, 3).number_format == "0.0%"
        assert book["Size classes"]["F2"].number_format == "0.0%"

    def test_islets_of_all_images(self, book: openpyxl.Workbook, result: ImageResult) -> None:
        head, *rows = book["Islets"].values
        assert head[:3] == ("image", *result.table.columns[:2])
        assert len(rows) == 2 * len(result.table)
        assert [row[1] for row in rows[:6]] == result.table["id"].tolist()
        assert rows[0][head.index("touches_border")] is True

    def test_criteria_have_verdicts(self, book: openpyxl.Workbook) -> None:
        verdicts = {row[1]: row[6] for row in book["Criteria"].values}
        assert verdicts["Viability"] == "pass"
        assert verdicts["Endotoxin"] == "unknown"

    def test_a_histogram_for_each_sample(self, samples: Samples) -> None:
        with zipfile.ZipFile(BytesIO(results_xlsx(samples))) as archive:
            charts = [name for name in archive.namelist() if name.startswith("xl/charts/chart")]
            titles = [archive.read(name).decode() for name in charts]
        assert len(charts) == 2
        assert "<c:f>" not in titles[1].partition("</c:title>")[0]

    def test_islets_beyond_the_last_row_are_said_to_be_missing(
        self, samples: Samples, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(xlsx, "LAST_ROW", 5)
        rows = list(openpyxl.load_workbook(BytesIO(results_xlsx(samples)))["Islets"].values)
        assert len(rows) == 6
        assert rows[-1][0].startswith("More islets")

    def test_the_same_result_gives_the_same_bytes(self, samples: Samples) -> None:
        assert results_xlsx(samples) == results_xlsx(samples)


class TestReport:
    def test_the_first_page_has_what_a_surgeon_needs(self, pages: list[str]) -> None:
        for words in (CZECH_NAME, "Purity", "Islet index", "95 % interval", "Whole preparation", "IEQ/kg", "µm"):
            assert words in pages[0]
        for words in ("SEVERE", "out of focus", "Release criteria", "PASS", "FAIL", "UNKNOWN"):
            assert words in pages[0]

    def test_each_sample_has_a_first_page(self, pages: list[str]) -> None:
        assert FORMULA_NAME in pages[1]
        assert "Islet equivalents in the images" in pages[1]

    def test_every_page_is_numbered_and_says_what_it_is(self, pages: list[str]) -> None:
        for number, page in enumerate(pages, start=1):
            assert FOOTER in page
            assert f"Page {number} of {len(pages)}" in page

    def test_numbers_match_the_summary(self, pages: list[str], samples: Samples) -> None:
        preparation = samples[0].summary.preparation
        assert preparation is not None
        assert preparation.total_ieq.value is not None
        assert f"{preparation.total_ieq.value:,.0f}".replace(",", " ") in pages[0]
        assert f"{samples[1].summary.ieq.value:.2f}" in pages[1]

    def test_provenance_names_hashes(self, pages: list[str], stored: StoredImage) -> None:
        assert stored.record.provenance.image_sha256 in pages[-1]
        assert stored.record.provenance.network.weights_sha256 in pages[-1]

    def test_pages_are_a4_and_overlays_are_inside(self, pdf: bytes) -> None:
        reader = pypdf.PdfReader(BytesIO(pdf))
        box = reader.pages[0].mediabox
        assert (float(box.width), float(box.height)) == (pytest.approx(595.3, abs=0.1), pytest.approx(841.9, abs=0.1))
        assert len(reader.pages[0].images) == 2

    def test_fonts_are_embedded_and_none_of_this_machine(self, pdf: bytes) -> None:
        fonts: set[Any] = set()
        for page in pypdf.PdfReader(BytesIO(pdf)).pages:
            fonts |= {str(font["/BaseFont"]) for font in page["/Resources"]["/Font"].values()}
        assert all("Libertinus" in font or "DejaVuSansMono" in font for font in fonts)

    def test_the_same_result_gives_the_same_bytes(self, pdf: bytes, samples: Samples) -> None:
        assert report_pdf(samples) == pdf

    def test_a_report_of_nothing_is_refused(self) -> None:
        with pytest.raises(ExportError, match="at least one"):
            report_pdf([])

    def test_a_lost_or_damaged_overlay_says_so(self, samples: Samples, stored: StoredImage, tmp_path: Path) -> None:
        lost = StoredImage(folder=tmp_path, record=stored.record)
        with pytest.raises(ExportError, match="overlay was expected"):
            report_pdf([Sample(summary=samples[1].summary, images=(lost,))])
        damaged = bytearray((stored.folder / "overlay.png").read_bytes())
        damaged[len(damaged) // 2] ^= 1
        (tmp_path / "overlay.png").write_bytes(damaged)
        with pytest.raises(ExportError, match="overlay was expected"):
            report_pdf([Sample(summary=samples[1].summary, images=(lost,))])
