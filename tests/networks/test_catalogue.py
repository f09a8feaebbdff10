"""Networks: cards are checked, names are found, engines and precisions are chosen with reasons."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from isletnet.errors import NetworkError
from isletnet.networks.card import CARD_FILE, read_card
from isletnet.networks.catalogue import BUNDLED, find_network, network_names
from isletnet.networks.model import load_network
from tests.colour_network import write_colour_network


@pytest.fixture
def colour_network(tmp_path: Path) -> Path:
    return write_colour_network(tmp_path / "nets" / "colour" / "1")


def edit_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(card | changes))


def test_both_networks_are_bundled_and_whole() -> None:
    assert network_names() == ("islet-unet", "islet-unet-small")
    for name in network_names():
        card = find_network(name)
        assert card.content["metrics"]["synthetic_unseen_seeds"]["pictures_n"] == 200
        assert sum(f.stat().st_size for f in card.folder.iterdir()) < 10e6
    assert BUNDLED.is_dir()


def test_newest_version_wins_by_number(colour_network: Path) -> None:
    root = colour_network.parent.parent
    for version in ("2", "10"):
        shutil.copytree(colour_network, root / "colour" / version)
        edit_card(root / "colour" / version, version=version)
    assert find_network("colour", root=root).version == "10"
    assert find_network("colour", "2", root=root).version == "2"
    assert network_names(root) == ("colour",)


def test_unknown_names_and_versions_say_what_there_is(colour_network: Path) -> None:
    root = colour_network.parent.parent
    with pytest.raises(NetworkError, match=r"nothing: .*colour"):
        find_network("nothing", root=root)
    with pytest.raises(NetworkError, match=r"version of 1, got 9"):
        find_network("colour", "9", root=root)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "network.bin").write_bytes(b"other"), "network.bin has sha256"),
        (lambda folder: (folder / "network.xml").unlink(), "network.xml is missing"),
        (lambda folder: (folder / CARD_FILE).write_text("{"), "readable model.json"),
        (lambda folder: (folder / CARD_FILE).write_text("{}"), "KeyError"),
        (lambda folder: (folder / CARD_FILE).unlink(), "FileNotFoundError"),
        (lambda folder: edit_card(folder, files={}), "lists no core.weights.h5"),
    ],
    ids=["changed", "missing", "broken card", "empty card", "no card", "no weights"],
)
def test_damaged_networks_are_refused(colour_network: Path, spoil, said: str) -> None:
    spoil(colour_network)
    with pytest.raises(NetworkError, match=said):
        read_card(colour_network)


def test_a_folder_is_a_network_too(colour_network: Path) -> None:
    network = load_network(str(colour_network), engine="openvino", precision="f32")
    assert network.working_um_per_px == 4.0
    assert (network.identity.name, network.identity.engine, network.identity.precision) == ("colour", "openvino", "f32")
    red = np.full((16, 32, 3), (220, 40, 0), np.uint8)
    assert network.run(red, np.zeros((1, 2, 3), np.float32)).argmax(axis=-1).min() == 1


@pytest.mark.parametrize("shift", [None, 0.0021])
def test_bf16_is_refused_where_accuracy_moves(colour_network: Path, shift: float | None) -> None:
    edit_card(colour_network, precision_dice_shift={} if shift is None else {"bf16": shift})
    with pytest.raises(NetworkError, match="bf16 is allowed where"):
        load_network(str(colour_network), engine="openvino", precision="bf16")
    assert load_network(str(colour_network), engine="openvino").identity.precision == "f32"


@pytest.mark.parametrize("has_bf16", [True, False])
def test_bf16_is_taken_where_allowed_and_the_chip_has_it(colour_network: Path, monkeypatch, has_bf16: bool) -> None:
    edit_card(colour_network, precision_dice_shift={"bf16": 0.0005})
    monkeypatch.setattr("isletnet.networks.openvino_engine.cpu_has_bf16", lambda: has_bf16)
    assert load_network(str(colour_network)).identity.precision == ("bf16" if has_bf16 else "f32")
    if not has_bf16:
        with pytest.raises(NetworkError, match="this one has none"):
            load_network(str(colour_network), engine="openvino", precision="bf16")


def test_engine_that_is_not_installed_is_named(colour_network: Path, monkeypatch) -> None:
    monkeypatch.setattr("isletnet.networks.model._has", lambda module: False)
    with pytest.raises(NetworkError, match="neither is"):
        load_network(str(colour_network))
    with pytest.raises(NetworkError, match="package tensorflow"):
        load_network(str(colour_network), engine="tensorflow")
    with pytest.raises(NetworkError, match="package openvino"):
        load_network(str(colour_network), engine="openvino")


@pytest.mark.parametrize("name", ["islet-unet", "islet-unet-small"])
def test_engines_agree(name: str) -> None:
    pytest.importorskip("tensorflow")
    from isletnet.analysis.preprocess import background_log_levels
    from isletnet.synthetic.scene import make_scene

    scene = make_scene(77, (320, 416), 4.0, light="yellow")
    background = background_log_levels(scene.pixels)
    one, two = (
        load_network(name, engine=engine, precision="f32").run(scene.pixels, background).astype(int)
        for engine in ("openvino", "tensorflow")
    )
    assert np.abs(one - two).max() <= 2
    assert (one.argmax(-1) != two.argmax(-1)).mean() < 1e-4
