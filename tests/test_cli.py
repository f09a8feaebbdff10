"""The command line, from the arguments to the files, with a network that is quick to make."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from colour_network import write_colour_network
from PIL import Image
from typer.testing import CliRunner, Result

from isletnet.analysis.summarise import criteria_quantities
from isletnet.cli import app
from isletnet.exports.records import from_plain
from isletnet.schemas import CRITERION_QUANTITIES, SampleParameters, Summary

UM_PER_PX = 2.0
IMAGE_FILES = {"labels.tif", "islets.tif", "islets.csv", "overlay.png", "summary.json", "run.json"}
BATCH_FILES = ("summary.csv", "results.xlsx", "report.pdf")


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colour_network(tmp_path_factory.mktemp("networks") / "colour")


def dish(discs: list[tuple[int, int, int]]) -> Image.Image:
    """A yellow dish of 240 x 320 px with red discs, given as row, column and radius in px."""
    pixels = np.full((240, 320, 3), (200, 195, 10), np.uint8)
    rows, columns = np.mgrid[:240, :320]
    for row, column, radius in discs:
        pixels[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = (180, 40, 10)
    return Image.fromarray(pixels)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    dish([(60, 80, 30), (160, 220, 40)]).save(folder / "two.png")
    dish([(120, 160, 50)]).save(folder / "one.png")
    return folder


def isletnet(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def analyse(images: Path, out: Path, network: Path, *options: object) -> Result:
    return isletnet("analyse", images, "--out", out, "--um-per-px", UM_PER_PX, "--network", network, *options)


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())["summary"]


def test_each_image_gets_its_files_and_the_batch_gets_its_own(images: Path, tmp_path: Path, network: Path):
    out = tmp_path / "out"
    result = analyse(images, out, network)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == sorted([*BATCH_FILES, "one", "two"])
    assert {path.name for path in (out / "two").iterdir()} == IMAGE_FILES
    labels, islets = (tifffile.imread(out / "two" / name) for name in ("labels.tif", "islets.tif"))
    assert labels.shape == islets.shape == (240, 320)
    assert labels.dtype == np.uint8
    assert labels[60, 80] == labels[160, 220] == 1
    assert labels[10, 10] == 0
    assert {islets[60, 80], islets[160, 220]} == {1, 2}
    assert "two.png" in result.stdout
    assert str(out / "report.pdf") in result.stdout


def test_the_numbers_are_those_of_the_drawn_discs(images: Path, tmp_path: Path, network: Path):
    out = tmp_path / "out"
    analyse(images, out, network)
    # Discs of 60, 80 and 100 px at 2 um: spheres of 120, 160 and 200 um; 1 IEQ is the sphere of 150 um.
    truth = {name: sum((d / 150) ** 3 for d in sizes) for name, sizes in {"two": (120, 160), "one": (200,)}.items()}
    for name, ieq in truth.items():
        assert summary(out / name)["ieq"]["value"] == pytest.approx(ieq, rel=0.08)
    rows = list(csv.DictReader((out / "summary.csv").open(encoding="utf-8")))
    assert [row["level"] for row in rows] == ["image", "image", "sample"]
    assert float(rows[2]["ieq"]) == pytest.approx(float(rows[0]["ieq"]) + float(rows[1]["ieq"]))
    assert rows[2]["islets_n"] == "3"


def test_json_is_one_document_and_nothing_else_on_standard_output(images: Path, tmp_path: Path, network: Path):
    (images / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = analyse(images, tmp_path / "out", network, "--json", "--sample", "Šťastný")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [entry["status"] for entry in document["images"]] == ["failed", "done", "done"]
    assert document["images"][0]["code"] == "image_damaged"
    assert document["images"][2]["summary"]["islets_n"] == 2
    assert document["sample"]["name"] == "Šťastný"
    assert document["sample"]["islets_n"] == 3
    assert [Path(path).name for path in document["files"]] == list(BATCH_FILES)


def test_a_terminal_without_these_letters_gets_question_marks(images: Path, tmp_path: Path, network: Path):
    arguments = ("analyse", images, "--out", tmp_path / "out", "--um-per-px", UM_PER_PX, "--network", network)
    asked = [str(argument) for argument in (*arguments, "--sample", "Šťastný", "--sample-volume-ul", 9)]
    plain = CliRunner(charset="ascii").invoke(app, asked, catch_exceptions=False)
    assert plain.exit_code == 0
    assert plain.stdout.startswith("??astn?")
    document = CliRunner(charset="ascii").invoke(app, [*asked, "--json"], catch_exceptions=False).stdout
    assert json.loads(document)["sample"]["name"] == "Šťastný"


def test_a_bad_file_is_told_and_the_rest_is_done(images: Path, tmp_path: Path, network: Path):
    (images / "bad.tif").write_bytes(b"II*\0" + bytes(40))
    result = analyse(images, tmp_path / "out", network)
    assert result.exit_code == 1
    first, last = result.stderr.splitlines()
    assert first.startswith("bad.tif: ")
    assert last == "3 images: 1 failed"
    assert (tmp_path / "out" / "two" / "summary.json").is_file()
    assert not (tmp_path / "out" / "bad").exists()
    assert (tmp_path / "out" / "report.pdf").is_file()


def test_nothing_but_bad_files_writes_no_report(tmp_path: Path, network: Path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    result = analyse(bad, tmp_path / "out", network)
    assert result.exit_code == 1
    assert not (tmp_path / "out" / "report.pdf").exists()


def test_nothing_to_do_is_said_and_has_its_own_exit_code(tmp_path: Path, network: Path):
    (tmp_path / "empty").mkdir()
    result = analyse(tmp_path / "empty", tmp_path / "out", network)
    assert result.exit_code == 2
    assert "nothing to do: no TIFF, PNG, JPEG or BMP directly in" in result.stderr


def test_a_rerun_changes_no_file_of_an_image_and_gives_the_same_tables(images: Path, tmp_path: Path, network: Path):
    out = tmp_path / "out"
    analyse(images, out, network)
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    contents = {path: path.read_bytes() for path in files}
    times_ns = {path: path.stat().st_mtime_ns for path in files if path.parent != out}
    rerun = analyse(images, out, network, "--json")
    assert rerun.stderr == "2 images: 2 done already\n"
    assert {entry["status"] for entry in json.loads(rerun.stdout)["images"]} == {"skipped"}
    assert {path: path.read_bytes() for path in files} == contents
    assert {path: path.stat().st_mtime_ns for path in times_ns} == times_ns
    again = json.loads(analyse(images, out, network, "--json", "--smallest-islet-um", 150).stdout)
    assert {entry["status"] for entry in again["images"]} == {"done"}
    assert again["sample"]["islets_n"] == 2


@pytest.mark.parametrize(("aliquots", "replicates_n"), [("all", 1), ("file", 2), ("folder", 1)])
def test_a_preparation_is_scaled_up_by_its_aliquots(
    images: Path, tmp_path: Path, network: Path, aliquots: str, replicates_n: int
):
    volumes = ("--sample-volume-ul", 100, "--preparation-volume-ml", 250, "--recipient-kg", 70, "--dilution", 2)
    result = analyse(images, tmp_path / "out", network, "--json", "--aliquots", aliquots, *volumes)
    sample = json.loads(result.stdout)["sample"]
    total_ieq = sample["ieq"]["value"] / (100 * replicates_n) * 250_000 * 2
    assert sample["preparation"]["replicates_n"] == replicates_n
    assert sample["preparation"]["total_ieq"]["value"] == pytest.approx(total_ieq)
    assert sample["preparation"]["ieq_per_kg"]["value"] == pytest.approx(total_ieq / 70)


def test_own_criteria_are_judged(images: Path, tmp_path: Path, network: Path):
    criteria = [
        {"name": "Purity", "quantity": "purity_area_fraction", "comparison": ">=", "limit": 0.5, "unit": "fraction"},
        {"name": "Dose", "quantity": "ieq", "comparison": ">=", "limit": 1e6, "unit": "IEQ"},
    ]
    (tmp_path / "criteria.json").write_text(json.dumps(criteria))
    result = analyse(images, tmp_path / "out", network, "--json", "--criteria", tmp_path / "criteria.json")
    sample = json.loads(result.stdout)["sample"]
    assert [entry["passed"] for entry in sample["criteria"]] == [True, False]
    judged = criteria_quantities(from_plain(Summary, sample), SampleParameters())
    assert tuple(judged) == CRITERION_QUANTITIES


def test_copies_of_one_file_are_told(images: Path, tmp_path: Path, network: Path):
    (images / "copy.png").write_bytes((images / "two.png").read_bytes())
    sample = json.loads(analyse(images, tmp_path / "out", network, "--json").stdout)["sample"]
    told = [warning["message"] for warning in sample["warnings"] if warning["code"] == "same_image_twice"]
    assert told == ["copy.png, two.png are copies of one file: its islets count 2 times. Keep one."]


UNKNOWN_QUANTITY = '[{"name": "Purity", "quantity": "purty", "comparison": ">=", "limit": 0.5, "unit": "fraction"}]'


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"name": "Purity"}]', UNKNOWN_QUANTITY])
def test_criteria_that_are_none_are_refused(images: Path, tmp_path: Path, network: Path, content: str):
    (tmp_path / "criteria.json").write_text(content)
    result = analyse(images, tmp_path / "out", network, "--criteria", tmp_path / "criteria.json")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"isletnet: {tmp_path / 'criteria.json'}: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sample-volume-ul", -1), "sample_volume_ul"),
        (("--network", "no-such"), "no-such"),
        (("--precision", "bf16"), "choose f32"),
    ],
)
def test_what_cannot_be_is_said_once_and_before_anything_is_done(
    images: Path, tmp_path: Path, network: Path, options: tuple[object, ...], said: str
):
    result = analyse(images, tmp_path / "out", network, *options)
    assert result.exit_code == 1
    assert result.stderr.count("isletnet: ") == 1
    assert said in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_analysed(
    images: Path, tmp_path: Path, network: Path
):
    (tmp_path / "file").write_text("no folder")
    result = analyse(images, tmp_path / "file" / "out", network)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"isletnet: {tmp_path / 'file' / 'out'}: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "options",
    [("--um-per-px", 0), ("--ieq-method", "cube"), ("--border", "cut"), ("--engine", "steam"), ("--criteria", "no")],
)
def test_options_out_of_range_are_refused(images: Path, tmp_path: Path, network: Path, options: tuple[object, ...]):
    assert analyse(images, tmp_path / "out", network, *options).exit_code == 2


def test_an_interrupt_keeps_what_is_done(images: Path, tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch):
    from isletnet.analysis import pipeline

    whole = pipeline.analyse

    def stopping(content: bytes, *, name: str, **options: object) -> object:
        if name == "two.png":
            raise KeyboardInterrupt
        return whole(content, name=name, **options)

    monkeypatch.setattr(pipeline, "analyse", stopping)
    result = analyse(images, tmp_path / "out", network)
    assert result.exit_code == 130
    assert "go on from here" in result.stderr
    monkeypatch.undo()
    document = json.loads(analyse(images, tmp_path / "out", network, "--json").stdout)
    assert [entry["status"] for entry in document["images"]] == ["skipped", "done"]


def test_settings_of_the_environment_hold_where_no_option_is_given(
    images: Path, tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ISLETNET_NETWORK", str(network))
    monkeypatch.setenv("ISLETNET_MAX_PIXELS", "1000")
    result = isletnet("analyse", images, "--out", tmp_path / "out", "--json")
    assert {entry["code"] for entry in json.loads(result.stdout)["images"]} == {"image_too_large"}


def test_a_setting_that_cannot_be_is_said_in_one_sentence(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ISLETNET_ENGINE", "steam")
    result = isletnet("analyse", images, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("isletnet: ISLETNET_ENGINE")


@pytest.mark.parametrize(
    ("program", "files"),
    [
        ("imagej", {"one/rois.zip", "two/rois.zip"}),
        ("qupath", {"one/contours.geojson", "two/contours.geojson"}),
        ("coco", {"coco.json"}),
    ],
)
def test_outlines_are_exported_from_stored_results(
    images: Path, tmp_path: Path, network: Path, program: str, files: set[str]
):
    out = tmp_path / "out"
    analyse(images, out, network)
    before = {path for path in out.rglob("*") if path.is_file()}
    assert isletnet("export", program, out).exit_code == 0
    written = {path for path in out.rglob("*") if path.is_file()} - before
    assert {str(path.relative_to(out)) for path in written} == files
    assert all(path.stat().st_size > 100 for path in written)
