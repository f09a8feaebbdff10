"""Analysed images with a known truth, and toy studies, that several tests read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
from sample_results import made_result
from scipy import ndimage
from toys import ToyMaker

from isletnet.analysis.measure import measure
from isletnet.client import Client
from isletnet.exports.folder import write_image
from isletnet.outputs import write_scenes
from isletnet.schemas import ISLET, LabelledIslets, Segmentation
from isletnet.synthetic.scene import Scene, make_scene
from tests.client.live import Server
from tests.service_in_process import Service, service

# Scenes of these seeds hold some islets.
SEEDS = (3, 4, 5, 6, 7, 8, 9, 10)
SHAPE = (384, 384)


def _scenes() -> Iterator[Scene]:
    return (make_scene(seed, SHAPE, 2.0) for seed in SEEDS)


def _write_result(scene: Scene, folder: Path) -> None:
    """Write what a network might have found: the true outlines, half of them a pixel too small."""
    near = scene.classes == ISLET
    islet = ndimage.binary_erosion(near) if scene.seed % 2 else near
    islets, islets_n = ndimage.label(islet)
    labelled = LabelledIslets(
        classes=np.where(near & ~islet, 0, scene.classes), islets=islets.astype(np.int32), islets_n=islets_n
    )
    table = measure(
        labelled,
        Segmentation(classes=labelled.classes, islet_probability=np.where(islet, 230, 5).astype(np.uint8)),
        scene.pixels,
        um_per_px=scene.um_per_px,
        smallest_islet_um=50.0,
        image_sha256=f"{scene.seed:064d}",
    )
    name = f"synthetic-{scene.seed:06d}"
    result = made_result(labelled, scene.pixels, name=f"{name}.tif", um_per_px=scene.um_per_px, table=table)
    write_image(result, folder / name)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic micrographs with their truth, as `isletnet synth` writes them."""
    folder: Path = tmp_path_factory.mktemp("drawn")
    list(write_scenes(_scenes(), folder))
    return folder


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the drawn micrographs, as `isletnet analyse` writes them; made without a network."""
    folder: Path = tmp_path_factory.mktemp("results")
    for scene in _scenes():
        _write_result(scene, folder)
    return folder


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Server]]:
    """A service that answers on loopback."""
    home = tmp_path_factory.mktemp("service")
    made = service(home / "store", home / "colour")
    server = Server(lambda: made.app)
    server.start()
    yield made, server
    server.stop()


@pytest.fixture(scope="session")
def request_ids(platform: tuple[Service, Server], drawn: Path) -> tuple[str, str]:
    """Two requests that the service has done, each of a drawn micrograph."""
    made, server = platform
    pictures = sorted((drawn / "images").iterdir())
    with Client(server.url) as client:
        ids = [client.submit([path], {"sample_name": path.stem}).id for path in pictures[4:6]]
    made.work()
    return ids[0], ids[1]


@pytest.fixture
def make_toy(tmp_path: Path) -> ToyMaker:
    """Write a study of a few lines into a folder of studies, and give that folder."""

    def make(name: str, *cells: str, parameters: str = "{}") -> Path:
        folder = tmp_path / "toys"
        folder.mkdir(exist_ok=True)
        first = nbformat.v4.new_code_cell("", metadata={"tags": ["parameters"]})
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        notebook = nbformat.v4.new_notebook(
            cells=[first, *(nbformat.v4.new_code_cell(cell) for cell in cells)], metadata=metadata
        )
        nbformat.write(notebook, folder / f"{name}.ipynb")
        declaration = f"title: A toy\nabout: For tests.\nparameters: {parameters}\n"
        (folder / f"{name}.yaml").write_text(declaration, encoding="utf-8")
        return folder

    return make
