"""The whole chain on real micrographs and on drawn ones."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage as ndi

from isletnet.analysis.pipeline import Analysis, analyse
from isletnet.analysis.preprocess import background_log_levels
from isletnet.analysis.segment import segment
from isletnet.errors import CalibrationError, DamagedImageError, NetworkError, ParameterError, UnsupportedImageError
from isletnet.networks.model import load_network
from isletnet.schemas import EXOCRINE, IEQ_METHODS, ISLET, AnalysisParameters, Calibration, Micrograph
from isletnet.synthetic.scene import make_scene
from tests.colour_network import write_colour_network

# Smallest islet Dice that the chain may fall to. The last picture has five islets, four of them of some 20 px: a
# contour that is half a pixel off costs it 0.03.
SMALLEST_DICE = {
    "Lh05-04": 0.97,
    "Lh10-03": 0.97,
    "gtExoIsl_13": 0.98,
    "gtExoIsl_21_left": 0.965,
    "gtExoIsl_27_right": 0.94,
}
NAMES = list(SMALLEST_DICE)


def calibrations(folder: Path) -> dict[str, float]:
    with (folder / "calibration.csv").open(newline="") as lines:
        return {row["name"]: float(row["um_per_px"]) for row in csv.DictReader(lines)}


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


@pytest.fixture(scope="module")
def analyses(real_data: Path) -> dict[str, Analysis]:
    """Every real micrograph analysed once, at its calibration."""
    scales = calibrations(real_data)
    return {name: analyse(real_data / "images" / f"{name}.png", um_per_px=scales[name]) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_real_micrographs_are_segmented_as_the_experts_did(analyses, real_data: Path, name: str) -> None:
    # The bundled networks have seen these: this pins the chain, the folds in model.json say how good it is on others.
    result = analyses[name]
    truth = np.asarray(Image.open(real_data / "labels" / f"{name}.png"))
    classes = result.labelled.classes
    assert classes.shape == truth.shape
    assert dice(classes == ISLET, truth == ISLET) >= SMALLEST_DICE[name]
    if (truth == EXOCRINE).any():
        assert dice(classes == EXOCRINE, truth == EXOCRINE) >= 0.62
    um_per_px = result.calibration.um_per_px
    assert um_per_px is not None
    smallest_px = np.pi * (25 / um_per_px) ** 2
    parts = np.bincount(ndi.label(truth == ISLET)[0].ravel())[1:]
    assert abs(result.summary.islets_n - int((parts >= smallest_px).sum())) <= 1
    ratio = (classes == ISLET).sum() / (truth == ISLET).sum()
    assert abs(ratio - 1) <= 0.06


@pytest.mark.parametrize("name", NAMES)
def test_real_micrographs_are_recognised_as_such(analyses, name: str) -> None:
    codes = {warning.code for warning in analyses[name].summary.warnings}
    assert not codes & {"not_islet_micrograph", "networks_disagree"}


def test_rerun_gives_the_same_result_bit_for_bit(analyses, real_data: Path) -> None:
    first = analyses["gtExoIsl_21_left"]
    again = analyse(real_data / "images" / "gtExoIsl_21_left.png", um_per_px=2.0)
    assert (first.labelled.islets == again.labelled.islets).all()
    assert first.table.equals(again.table)
    assert first.summary == again.summary
    assert first.provenance == again.provenance


@pytest.mark.parametrize("turn", [lambda a: a[:, ::-1], lambda a: a[::-1], lambda a: np.rot90(a)], ids=["h", "v", "90"])
def test_turned_pictures_give_the_same_islets(analyses, turn) -> None:
    result = analyses["gtExoIsl_21_left"]
    turned = analyse(np.ascontiguousarray(turn(result.micrograph.pixels)), um_per_px=2.0)
    assert turned.summary.islets_n == pytest.approx(result.summary.islets_n, abs=1)
    assert turned.summary.ieq.value == pytest.approx(result.summary.ieq.value, rel=0.03)


def test_pixel_size_scales_everything_in_um(real_data: Path) -> None:
    image = real_data / "images" / "gtExoIsl_13.png"
    two, four = analyse(image, um_per_px=2.0), analyse(image, um_per_px=2.4)
    assert four.summary.ieq.value == pytest.approx(two.summary.ieq.value * 1.2**3, rel=0.05)


def test_without_calibration_no_micrometres_and_no_ieq(real_data: Path) -> None:
    result = analyse(real_data / "images" / "gtExoIsl_21_left.png")
    assert result.calibration.source == "guess"
    assert result.summary.um_per_px is None
    assert result.summary.ieq.value is None
    assert all(result.summary.ieq_by_method[method].value is None for method in IEQ_METHODS)
    assert result.table["equal_area_diameter_um"].isna().all()
    assert result.table["ieq_sphere"].isna().all()
    assert result.summary.purity_area.value is not None
    assert result.summary.islets_n > 10
    assert "calibration_missing" in {warning.code for warning in result.summary.warnings}


@pytest.mark.parametrize("uncertainty", ["networks", "flips", "none"])
def test_uncertainty_is_folded_into_the_totals(uncertainty) -> None:
    scene = make_scene(12, (500, 600), light="yellow")
    result = analyse(scene.pixels, um_per_px=2.0, parameters=AnalysisParameters(uncertainty=uncertainty))
    ieq = result.summary.ieq
    assert ieq.sampling is not None
    if uncertainty == "none":
        assert result.disagreement is None
        assert ieq.segmentation is None
        return
    assert result.disagreement is not None
    assert len(result.disagreement.members) == {"networks": 2, "flips": 4}[uncertainty]
    assert ieq.segmentation is not None
    assert ieq.interval.low <= min(ieq.sampling.low, ieq.segmentation.low)
    assert ieq.interval.high >= max(ieq.sampling.high, ieq.segmentation.high)
    assert ieq.interval.low < ieq.value < ieq.interval.high


def test_both_networks_answer_by_name() -> None:
    scene = make_scene(12, (500, 600), light="yellow")
    for name in ("islet-unet", "islet-unet-small"):
        result = analyse(scene.pixels, um_per_px=2.0, parameters=AnalysisParameters(network=name, uncertainty="none"))
        assert result.provenance.network.name == name
        assert dice(result.labelled.classes == ISLET, scene.classes == ISLET) > 0.9
    with pytest.raises(NetworkError, match="islet-unet, islet-unet-small"):
        analyse(scene.pixels, um_per_px=2.0, parameters=AnalysisParameters(network="nothing"))


def test_tiles_equal_the_whole_with_the_real_network() -> None:
    network = load_network("islet-unet", precision="f32")
    scene = make_scene(43, (560, 700), light="yellow")
    cells = background_log_levels(scene.pixels)

    def background(row: int, column: int, rows: int, columns: int) -> np.ndarray:
        return cells[row : row + rows, column : column + columns]

    whole, tiled = (
        segment(
            scene.pixels,
            network.run,
            background,
            factor=1.0,
            islet_threshold=network.card.islet_threshold,
            halo_px=network.card.halo_px,
            tile_px=tile_px,
        )
        for tile_px in (1024, 192)
    )
    assert np.abs(whole.islet_probability.astype(int) - tiled.islet_probability).max() <= 2
    assert (whole.classes != tiled.classes).mean() < 1e-4
    assert (whole.classes == ISLET).sum() > 1000


def test_an_empty_dish_is_a_result() -> None:
    result = analyse(np.full((300, 400, 3), (200, 196, 3), np.uint8), um_per_px=2.0)
    assert result.summary.islets_n == 0
    assert result.summary.ieq.value == 0
    assert result.summary.purity_area.value is None
    assert "nothing_found" in {warning.code for warning in result.summary.warnings}
    assert len(result.table) == 0


def test_a_bubble_is_no_tissue() -> None:
    y, x = np.mgrid[:600, :800]
    r = np.hypot(y - 300, x - 400)
    light = np.full((600, 800), 195.0)
    light[(r > 150) & (r < 185)] *= 0.25
    pixels = np.stack([light, light * 0.97, light * 0.01], axis=-1)
    pixels = ndi.gaussian_filter(pixels + np.random.default_rng(1).normal(0, 1.5, pixels.shape), (1.2, 1.2, 0))
    result = analyse(np.clip(pixels, 0, 255).astype(np.uint8), um_per_px=2.0)
    assert (result.labelled.classes != 0).mean() < 0.001


def test_every_kind_of_input_is_the_same_picture(tmp_path: Path) -> None:
    scene = make_scene(12, (300, 320), light="yellow")
    buffer = io.BytesIO()
    Image.fromarray(scene.pixels).save(buffer, "PNG")
    path = tmp_path / "dish.png"
    path.write_bytes(buffer.getvalue())
    parameters = AnalysisParameters(um_per_px=2.0, uncertainty="none")
    from_path = analyse(path, parameters=parameters)
    others = [
        analyse(str(path), parameters=parameters),
        analyse(buffer.getvalue(), name="dish.png", parameters=parameters),
        analyse(scene.pixels, parameters=parameters),
        analyse(from_path.micrograph, parameters=parameters),
    ]
    for other in others:
        assert (other.labelled.islets == from_path.labelled.islets).all()
        assert other.summary.ieq == from_path.summary.ieq
    assert from_path.summary.name == "dish.png"
    assert others[1].micrograph.sha256 == from_path.micrograph.sha256


@pytest.mark.parametrize(
    ("image", "error", "said"),
    [
        (np.zeros((50, 50), np.uint8), UnsupportedImageError, r"\(50, 50\)"),
        (np.zeros((50, 50, 3), np.float32), UnsupportedImageError, "float32"),
        (np.zeros((5, 50, 3), np.uint8), UnsupportedImageError, "16 px"),
        (b"", DamagedImageError, "image"),
        (b"%PDF-1.7 no picture", UnsupportedImageError, "image"),
    ],
    ids=["grey array", "float array", "tiny array", "nothing", "pdf"],
)
def test_bad_input_is_refused_with_what_was_expected(image, error, said: str) -> None:
    with pytest.raises(error, match=said):
        analyse(image, um_per_px=2.0)


@pytest.mark.parametrize("um_per_px", [0.0, -2.0, float("nan"), float("inf"), 1e-9, 1000.0])
def test_impossible_pixel_sizes_are_refused_for_every_kind_of_input(um_per_px: float) -> None:
    pixels = np.full((64, 64, 3), 150, np.uint8)
    micrograph = Micrograph(
        name="dish",
        pixels=pixels,
        calibration=Calibration(um_per_px=2.0, source="file", file_um_per_px=2.0),
        sha256="0",
        file_format="TIFF",
    )
    for image in (pixels, micrograph):
        with pytest.raises(CalibrationError, match="micrometres per pixel, came"):
            analyse(image, um_per_px=um_per_px)


def test_a_decoded_picture_takes_the_callers_pixel_size_and_tells_of_the_files(tmp_path: Path) -> None:
    network = load_network(write_colour_network(tmp_path / "colour"))
    micrograph = Micrograph(
        name="dish",
        pixels=np.full((64, 64, 3), 150, np.uint8),
        calibration=Calibration(um_per_px=2.0, source="file", file_um_per_px=2.0, detail="OME: 2 um per px"),
        sha256="0",
        file_format="TIFF",
    )
    once = analyse(micrograph, um_per_px=4.0, load=lambda _: network)
    assert once.calibration == replace(micrograph.calibration, um_per_px=4.0, source="caller")
    assert "calibration_conflict" in {warning.code for warning in once.summary.warnings}
    again = analyse(once.micrograph, um_per_px=2.0, load=lambda _: network)
    assert again.calibration.file_um_per_px == 2.0
    assert "calibration_conflict" not in {warning.code for warning in again.summary.warnings}


@pytest.mark.parametrize(("max_pixels", "side_px"), [(150_000_000, 400), (320 * 320, 320), (50 * 50, 112)])
def test_a_pixel_size_that_is_too_large_costs_no_hours(
    tmp_path: Path, monkeypatch, max_pixels: int, side_px: int
) -> None:
    network = load_network(write_colour_network(tmp_path / "colour"))
    looked_at_px = 0

    def run(rgb: np.ndarray, log_background: np.ndarray) -> np.ndarray:
        nonlocal looked_at_px
        looked_at_px += rgb.shape[0] * rgb.shape[1]
        return network.run(rgb, log_background)

    monkeypatch.setattr("isletnet.analysis.decode.MAX_PIXELS", max_pixels)
    pixels = np.full((100, 100, 3), (200, 195, 10), np.uint8)
    pixels[30:60, 30:60] = (180, 40, 10)
    result = analyse(
        pixels,
        um_per_px=100.0,
        load=lambda _: replace(network, run=run),
        parameters=AnalysisParameters(uncertainty="none"),
    )
    # Sides are rounded up to whole cells of 16 px.
    assert looked_at_px == side_px**2
    assert result.summary.islets_n == 1
    assert "calibration_implausible" in {warning.code for warning in result.summary.warnings}


def test_bad_parameters_are_refused() -> None:
    picture = np.full((64, 64, 3), 150, np.uint8)
    for wrong in (
        replace(AnalysisParameters(), ieq_method="cube"),
        replace(AnalysisParameters(), confidence_level=1.5),
        replace(AnalysisParameters(), smallest_particle_um=-1.0),
        replace(AnalysisParameters(), uncertainty="flip"),
    ):
        with pytest.raises(ParameterError):
            analyse(picture, um_per_px=2.0, parameters=wrong)


def test_an_analysis_shows_itself_in_a_notebook() -> None:
    scene = make_scene(12, (300, 320), light="yellow")
    shown = analyse(scene.pixels, name="<b>dish</b>", um_per_px=2.0)._repr_html_()
    assert "<img" in shown
    assert "<svg" in shown
    assert "<table" in shown
    assert "<b>dish</b>" not in shown
    assert "IEQ" in shown
