"""Stacks that tifffile wrote, and stacks of solids whose volume is known."""

import io

import numpy as np
import pytest
import tifffile

from isletnet.errors import (
    CalibrationError,
    DamagedImageError,
    ImageTooLargeError,
    ParameterError,
    UnsupportedImageError,
)
from isletnet.synthetic import bodies
from isletnet.volumes import solids
from isletnet.volumes.stacks import Stack, read_stack

GREY = np.random.default_rng(1).integers(0, 200, (5, 40, 50)).astype(np.uint8)
OME = {"axes": "ZYX", "PhysicalSizeX": 0.8, "PhysicalSizeY": 0.8, "PhysicalSizeZ": 3.0, "PhysicalSizeZUnit": "µm"}


def tiff(samples, **how):
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, **how)
    return stream.getvalue()


def ome(samples, **metadata):
    return tiff(samples, ome=True, metadata={**OME, **metadata})


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_ome_stack_with_voxel_sizes(compression):
    stack = read_stack(tiff(GREY, ome=True, metadata=OME, compression=compression), name="a.ome.tif")
    np.testing.assert_array_equal(stack.samples, GREY)
    assert (stack.um_per_px, stack.um_per_slice) == (0.8, 3.0)
    assert not stack.is_rgb


def test_ome_units():
    data = ome(GREY, PhysicalSizeZ=2500.0, PhysicalSizeZUnit="nm")
    assert read_stack(data, name="a").um_per_slice == pytest.approx(2.5)


def test_imagej_stack_with_spacing():
    data = tiff(
        GREY, imagej=True, resolution=(1 / 1.5, 1 / 1.5), metadata={"axes": "ZYX", "spacing": 4.0, "unit": "um"}
    )
    stack = read_stack(data, name="a.tif")
    np.testing.assert_array_equal(stack.samples, GREY)
    assert stack.um_per_px == pytest.approx(1.5)
    assert stack.um_per_slice == 4.0


def test_colour_stacks():
    rgb = np.repeat(GREY[..., None], 3, axis=3)
    plain = read_stack(tiff(rgb, photometric="rgb"), name="a", um_per_px=2.0, um_per_slice=10.0)
    assert plain.is_rgb
    assert (plain.um_per_px, plain.um_per_slice) == (2.0, 10.0)
    described = read_stack(tiff(rgb, photometric="rgb", ome=True, metadata={**OME, "axes": "ZYXS"}), name="a")
    np.testing.assert_array_equal(described.samples, rgb)


def test_caller_wins_over_the_file():
    assert read_stack(ome(GREY), name="a", um_per_px=1.1, um_per_slice=7.0).um_per_slice == 7.0


def test_sixteen_bits_are_kept():
    deep = GREY.astype(np.uint16) * 300
    assert read_stack(ome(deep), name="a").samples.dtype == np.uint16
    np.testing.assert_array_equal(read_stack(ome(deep), name="a").samples, deep)


def test_unknown_voxels_are_refused():
    with pytest.raises(CalibrationError, match="give um_per_px"):
        read_stack(tiff(GREY), name="a")
    with pytest.raises(CalibrationError, match="give um_per_slice"):
        read_stack(tiff(GREY), name="a", um_per_px=2.0)
    with pytest.raises(CalibrationError, match="expected"):
        read_stack(tiff(GREY), name="a", um_per_px=2.0, um_per_slice=1e6)


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (tiff(GREY[0]), UnsupportedImageError, "at least 2 slices"),
        (b"\x89PNG....", UnsupportedImageError, "TIFF"),
        (tiff(np.stack([GREY, GREY]), ome=True, metadata={**OME, "axes": "CZYX"}), UnsupportedImageError, "2 channels"),
        (tiff(np.stack([GREY, GREY]), ome=True, metadata={**OME, "axes": "TZYX"}), UnsupportedImageError, "2 times"),
        (tiff(np.stack([GREY, GREY], 1), imagej=True, metadata={"axes": "ZCYX"}), UnsupportedImageError, "2 channels"),
        (ome(GREY)[:-3000], DamagedImageError, None),
        (tiff(GREY.astype(np.float32)), UnsupportedImageError, "32-bit"),
    ],
    ids=["page", "png", "channels", "times", "imagej channels", "cut", "float"],
)
def test_refusals(data, error, text):
    with pytest.raises(error, match=text):
        read_stack(data, name="a", um_per_px=2.0, um_per_slice=2.0)


def test_pages_that_differ_are_refused():
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(GREY[0])
        writer.write(GREY[1, :30])
    with pytest.raises(UnsupportedImageError, match="one size"):
        read_stack(stream.getvalue(), name="a", um_per_px=2.0, um_per_slice=2.0)


def test_a_large_stack_is_refused_by_its_headers():
    with pytest.raises(ImageTooLargeError, match="million voxels"):
        read_stack(ome(GREY), name="a", max_voxels=GREY.size - 1)


def test_no_other_file_is_opened(tmp_path, monkeypatch):
    """The text of an OME-TIFF may name another file for its pixels; a reader that follows it gives those away."""
    tifffile.imwrite(tmp_path / "other.tif", np.full_like(GREY, 99), metadata=None)
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="{z}" PlaneCount="1"><UUID FileName="other.tif">urn:uuid:{z}</UUID></TiffData>'
        for z in range(5)
    )
    text = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:9">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint8" DimensionOrder="XYZCT" SizeX="50" SizeY="40" SizeZ="5" '
        f'SizeC="1" SizeT="1" PhysicalSizeX="0.8" PhysicalSizeY="0.8" PhysicalSizeZ="3">{planes}</Pixels></Image></OME>'
    )
    path = tmp_path / "named.ome.tif"
    tifffile.imwrite(path, GREY, description=text, metadata=None)
    monkeypatch.chdir(tmp_path)
    stack = read_stack(path.read_bytes(), name=str(path))
    np.testing.assert_array_equal(stack.samples, GREY)
    assert stack.um_per_slice == 3.0


# Three islets of known volume; the last two touch when seen from above, but not in space.
SEMI_UM = ([60.0, 50.0, 35.0], [40.0, 40.0, 40.0], [30.0, 25.0, 20.0])
PLACES_UM = ([0.0, 0.0, 0.0], [150.0, 0.0, 0.0], [155.0, 10.0, 90.0])
TRUE_UM3 = [4 / 3 * np.pi * np.prod(semi) for semi in SEMI_UM]


@pytest.fixture(scope="module")
def known():
    parts = [bodies.moved(bodies.ellipsoid(s), p) for s, p in zip(SEMI_UM, PLACES_UM, strict=True)]
    return bodies.voxels(bodies.joined(*parts), um_per_px=2.0, um_per_slice=4.0)


def stack_of(samples):
    return Stack(name="known", samples=samples, um_per_px=2.0, um_per_slice=4.0, sha256="")


def test_grey_stack_of_known_volumes_end_to_end(known):
    light = np.where(known, 150, 20) + np.random.default_rng(2).normal(0, 12, known.shape)
    data = ome(light.clip(0, 255).astype(np.uint8), PhysicalSizeX=2.0, PhysicalSizeY=2.0, PhysicalSizeZ=4.0)
    stack = read_stack(data, name="known.ome.tif")
    table = solids.measure_solids(
        solids.solids_by_threshold(stack, smallest_um=20.0), um_per_px=stack.um_per_px, um_per_slice=stack.um_per_slice
    ).sort_values("true_volume_um3", ascending=False)
    np.testing.assert_allclose(table["true_volume_um3"], TRUE_UM3, rtol=0.06)
    np.testing.assert_allclose(table["height_um"], [70, 80, 40], atol=8)
    np.testing.assert_allclose(table["width_um"], [2 * np.sqrt(3000), 80, 2 * np.sqrt(750)], rtol=0.04)
    np.testing.assert_allclose(table["flattening"], table["height_um"] / table["width_um"])
    assert table["sphericity"].between(0.9, 1.0).all()
    assert not table["touches_border"].any()
    # One projection: the ball is right, the flat ones are overstated by width over height.
    ratios = (table["ieq_sphere"] / table["true_ieq"]).to_numpy()
    np.testing.assert_allclose(ratios, [np.sqrt(3000) / 35, 1.0, np.sqrt(750) / 20], rtol=0.1)


def test_label_stack(known):
    from scipy import ndimage

    labels = ndimage.label(known)[0].astype(np.uint8) * 7
    table = solids.measure_solids(solids.solids_of_labels(stack_of(labels)), um_per_px=2.0, um_per_slice=4.0)
    np.testing.assert_allclose(sorted(table["true_volume_um3"]), sorted(TRUE_UM3), rtol=0.01)


def test_colour_stack_by_a_finder(known):
    """The finder numbers each slice anew; joining makes one number of each islet."""
    from scipy import ndimage

    rgb = np.where(known[..., None], [180, 40, 30], [200, 190, 20]).astype(np.uint8)
    seen = []

    def find(picture):
        seen.append(picture.shape)
        return ndimage.label(picture[..., 1] < 100)[0].astype(np.int32)

    found = solids.solids_by_network(stack_of(rgb), find)
    assert len(seen) == len(known)
    table = solids.measure_solids(found, um_per_px=2.0, um_per_slice=4.0)
    np.testing.assert_allclose(sorted(table["true_volume_um3"]), sorted(TRUE_UM3), rtol=0.01)


def test_joining_by_hand():
    slices = np.zeros((3, 1, 12), dtype=np.int32)
    slices[0, 0, :4], slices[0, 0, 6:8] = 1, 2
    slices[1, 0, 2:4], slices[1, 0, 7:12] = 2, 1
    slices[2, 0, 11:] = 1
    # The pair above 6:8 shares one of two pixels: just half. The last shares all of its one.
    assert solids.joined(slices)[:, 0].tolist() == [
        [1, 1, 1, 1, 0, 0, 2, 2, 0, 0, 0, 0],
        [0, 0, 1, 1, 0, 0, 0, 2, 2, 2, 2, 2],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
    ]
    slices[1, 0, 6:8] = 0
    assert solids.joined(slices).max() == 3


def test_wrong_kinds_of_stack_are_refused(known):
    grey, rgb = stack_of(known.astype(np.uint8)), stack_of(np.repeat(known[..., None], 3, 3).astype(np.uint8))
    with pytest.raises(ParameterError, match="grey"):
        solids.solids_by_network(grey, lambda picture: picture[..., 0])
    with pytest.raises(ParameterError, match="colours"):
        solids.solids_by_threshold(rgb, smallest_um=10.0)
    with pytest.raises(ParameterError, match="colours"):
        solids.solids_of_labels(rgb)
    with pytest.raises(ParameterError, match="even level"):
        solids.solids_by_threshold(stack_of(np.zeros_like(known, dtype=np.uint8)), smallest_um=10.0)
    with pytest.raises(ParameterError, match="no islet"):
        solids.measure_solids(np.zeros((3, 4, 5), dtype=np.int32), um_per_px=1.0, um_per_slice=1.0)
