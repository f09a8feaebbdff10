"""Pixel sizes: which statements of a file are believed, and who wins."""

import sys

import numpy as np
import pytest
from decode_corpus import by_pillow, by_tifffile, picture, read
from hypothesis import given, settings
from hypothesis import strategies as st

from isletnet.errors import CalibrationError

RGB = picture()


def imagej(unit: str | None, um_per_px: float, y_um_per_px: float | None = None) -> bytes:
    metadata = {"unit": unit} if unit else {}
    resolution = (1 / um_per_px, 1 / (y_um_per_px or um_per_px))
    return by_tifffile(RGB, imagej=True, resolution=resolution, metadata=metadata)


def described(description: str | bytes) -> bytes:
    return by_tifffile(RGB, photometric="rgb", description=description, metadata=None)


def ome(attributes: str) -> bytes:
    return described(
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<!-- <Pixels PhysicalSizeX="9"/> --><Image ID="Image:0"><Pixels ID="Pixels:0" {attributes}/></Image></OME>'
    )


@pytest.mark.parametrize("unit", ["um", "micron", "microns", "Micron", "\\u00B5m", "micrometer"])
def test_imagej_micrometres(unit: str) -> None:
    calibration = read(imagej(unit, 2.0)).calibration
    assert calibration.source == "file"
    assert calibration.is_known
    assert calibration.um_per_px == pytest.approx(2.0, rel=1e-5)
    assert calibration.detail.startswith("ImageJ")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_imagej_micro_sign_in_either_encoding(encoding: str) -> None:
    data = by_tifffile(
        RGB,
        photometric="rgb",
        metadata=None,
        description="ImageJ=1.54f\nunit=µm\n".encode(encoding),
        resolution=(0.4, 0.4),
    )
    assert read(data).calibration.um_per_px == pytest.approx(2.5, rel=1e-5)


@pytest.mark.parametrize(("unit", "units_per_px", "um"), [("nm", 1300.0, 1.3), ("mm", 0.002, 2.0), ("cm", 0.0003, 3.0)])
def test_imagej_other_lengths(unit: str, units_per_px: float, um: float) -> None:
    assert read(imagej(unit, units_per_px)).calibration.um_per_px == pytest.approx(um, rel=1e-4)


@pytest.mark.parametrize(
    "data",
    [
        by_pillow(RGB, "TIFF"),
        imagej(None, 2.0),
        imagej("pixel", 2.0),
        imagej("inch", 1 / 96),
        imagej("cm", 1 / 118.11),
        imagej("micron", 1.0),
        imagej("micron", 1e6),
        imagej("furlong", 2.0),
        by_pillow(RGB, "TIFF", dpi=(72, 72)),
        by_pillow(RGB, "TIFF", dpi=(96, 96)),
        by_pillow(RGB, "TIFF", dpi=(300, 300)),
        by_tifffile(RGB, photometric="rgb", resolution=(118.11, 118.11), resolutionunit=3),
        by_pillow(RGB, "PNG", dpi=(12700, 12700)),
        by_pillow(RGB, "JPEG", dpi=(12700, 12700)),
        by_pillow(RGB, "BMP", dpi=(12700, 12700)),
        ome('PhysicalSizeX="1.0"'),
        ome('PhysicalSizeX="NaN"'),
        ome('PhysicalSizeX="-2"'),
        ome('PhysicalSizeX="0"'),
        ome('PhysicalSizeX="two"'),
        ome('PhysicalSizeX="2" PhysicalSizeXUnit="pixel"'),
        ome('PhysicalSizeX="2" PhysicalSizeXUnit="reference frame"'),
        ome('PhysicalSizeX="2" PhysicalSizeXUnit="mm" PhysicalSizeY="2" PhysicalSizeYUnit="um"'),
        ome('SizeX="4"'),
        described("<OME><Image><Pixels PhysicalSizeX="),
    ],
)
def test_no_trustworthy_size_is_a_guess(data: bytes) -> None:
    micrograph = read(data)
    assert micrograph.calibration.um_per_px is None
    assert micrograph.calibration.source == "guess"
    assert not micrograph.calibration.is_known
    assert micrograph.calibration.detail
    assert micrograph.warnings == ()


@pytest.mark.parametrize(
    ("attributes", "um"),
    [
        ('PhysicalSizeX="2.5"', 2.5),
        ('PhysicalSizeX="2.5" PhysicalSizeXUnit="µm" PhysicalSizeY="2.5" PhysicalSizeYUnit="µm"', 2.5),
        ('PhysicalSizeX="2.5" PhysicalSizeXUnit="&#181;m"', 2.5),
        ('PhysicalSizeX="650" PhysicalSizeXUnit="nm"', 0.65),
        ('PhysicalSizeX="0.002" PhysicalSizeXUnit="mm"', 2.0),
    ],
)
def test_ome_physical_size(attributes: str, um: float) -> None:
    data = ome(attributes.replace("µ", "&#181;"))
    calibration = read(data).calibration
    assert (calibration.um_per_px, calibration.source) == (pytest.approx(um, rel=1e-9), "file")
    assert calibration.detail.startswith("OME")


def test_tifffile_writes_ome_that_is_read() -> None:
    metadata = {"axes": "YXS", "PhysicalSizeX": 1.7, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 1.7}
    data = by_tifffile(RGB, ome=True, photometric="rgb", metadata=metadata)
    assert read(data).calibration.um_per_px == pytest.approx(1.7)
    np.testing.assert_array_equal(read(data).pixels, RGB)


@pytest.mark.parametrize(("unit", "per_um"), [(2, 25_400), (3, 10_000)])
@given(um=st.floats(0.1, 9.5).filter(lambda um: abs(um - 1) > 1e-3))
@settings(max_examples=15, derandomize=True)
def test_plain_tags_fine_enough_for_a_microscope(unit: int, per_um: float, um: float) -> None:
    data = by_tifffile(RGB, photometric="rgb", resolution=(per_um / um, per_um / um), resolutionunit=unit)
    assert read(data).calibration.um_per_px == pytest.approx(um, rel=1e-4)


def test_pixels_that_are_not_square() -> None:
    micrograph = read(imagej("um", 2.0, 4.5))
    assert micrograph.calibration.um_per_px == pytest.approx(3.0, rel=1e-4)
    assert [warning.code for warning in micrograph.warnings] == ["pixels_not_square"]
    assert micrograph.warnings[0].evidence == pytest.approx({"x_um_per_px": 2.0, "y_um_per_px": 4.5}, rel=1e-4)


def test_the_caller_wins_and_a_conflict_is_said() -> None:
    micrograph = read(imagej("um", 2.0), um_per_px=2.5)
    assert (micrograph.calibration.um_per_px, micrograph.calibration.source) == (2.5, "caller")
    assert micrograph.calibration.file_um_per_px == pytest.approx(2.0, rel=1e-5)
    (warning,) = micrograph.warnings
    assert warning.code == "calibration_conflict"
    assert warning.evidence == pytest.approx({"file_um_per_px": 2.0, "caller_um_per_px": 2.5}, rel=1e-5)
    assert "1.95" in warning.message


@pytest.mark.parametrize(("um", "conflicts"), [(2.0, False), (2.008, False), (2.02, True), (1.98, True)])
def test_half_a_percent_is_no_conflict(um: float, conflicts: bool) -> None:
    micrograph = read(imagej("um", 2.0), um_per_px=um)
    assert bool(micrograph.warnings) == conflicts
    assert micrograph.calibration.um_per_px == um


def test_the_caller_alone() -> None:
    calibration = read(by_pillow(RGB, "PNG"), um_per_px=3).calibration
    assert (calibration.um_per_px, calibration.source, calibration.file_um_per_px) == (3.0, "caller", None)


@pytest.mark.parametrize("um", [0.0, -2.0, float("nan"), float("inf"), 100.5, 0.009])
def test_impossible_sizes_from_the_caller(um: float) -> None:
    with pytest.raises(CalibrationError, match="micrometres per pixel, came"):
        read(by_pillow(RGB, "PNG"), um_per_px=um)


def test_entities_are_not_expanded() -> None:
    bomb = (
        '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "2"><!ENTITY b "&a;&a;&a;">'
        '<!ENTITY x SYSTEM "file:///etc/hostname">]><OME><Pixels PhysicalSizeX="&b;">&x;</Pixels></OME>'
    )
    assert read(described(bomb)).calibration.source == "guess"


opened: list[str] = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)


def test_no_other_file_is_opened(tmp_path) -> None:
    hidden = tmp_path / "hidden.tif"
    hidden.write_bytes(by_tifffile(255 - RGB, photometric="rgb"))
    data = described(
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="56" SizeY="40" SizeC="3" SizeZ="1" SizeT="1">'
        f'<TiffData IFD="0"><UUID FileName="{hidden}">urn:uuid:1</UUID></TiffData></Pixels></Image></OME>'
    )
    read(data)
    (tmp_path / "proof").write_text("the hook sees what is opened")
    assert str(tmp_path / "proof") in opened
    opened.clear()
    pixels = read(data).pixels
    assert opened == []
    np.testing.assert_array_equal(pixels, RGB)


def test_what_a_file_says_of_people_is_not_kept() -> None:
    data = by_tifffile(RGB, imagej=True, resolution=(0.5, 0.5), metadata={"unit": "um", "Info": "Jan Novák 1970"})
    assert "Novák".encode("utf-16-le") in data
    assert "Nov" not in repr(read(data))
