"""The smaller commands: networks, synth, export without results, help."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from colour_network import write_colour_network
from typer.testing import CliRunner, Result

from isletnet.cli import app
from isletnet.networks.card import Card, read_card
from isletnet.training.recipes import RECIPES, Recipe


def isletnet(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_the_version_is_the_package_s():
    import isletnet as package

    result = isletnet("--version")
    assert (result.exit_code, result.stdout) == (0, f"isletnet {package.__version__}\n")


def test_networks_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from isletnet.networks import catalogue

    card = read_card(write_colour_network(tmp_path / "colour"))
    monkeypatch.setattr(catalogue, "network_names", lambda: ("colour",))
    monkeypatch.setattr(catalogue, "find_network", lambda name: card)
    assert json.loads(isletnet("networks", "--json").stdout) == [card.content]
    assert isletnet("networks").stdout == f"colour 1\n  works at 4 um per pixel; weights {card.weights_sha256[:12]}\n"


def test_the_bundled_networks_are_listed_with_their_figures():
    cards = json.loads(isletnet("networks", "--json").stdout)
    shown = isletnet("networks").stdout
    for card in cards:
        own = shown[shown.index(f"{card['name']} {card['version']}") :]
        figures = card["metrics"]["synthetic_unseen_seeds"]
        dice = [f"{figures[name]['dice']:.3f}" for name in ("islet", "exocrine")]
        assert f"of unseen seeds: islet Dice {dice[0]}, exocrine Dice {dice[1]}\n" in own
    assert shown.count("(default)") == 1


def test_synthetic_micrographs_have_their_truth_and_are_the_same_again(tmp_path: Path):
    size = ("--width-px", 320, "--height-px", 240, "--um-per-px", 4)
    for out in ("first", "second"):
        arguments = ("synth", "--out", tmp_path / out, "--count", 2, "--seed", 7, "--light", "yellow", *size)
        assert isletnet(*arguments).exit_code == 0
    first, second = (
        {path.relative_to(tmp_path / out): path.read_bytes() for path in sorted((tmp_path / out).rglob("*.*"))}
        for out in ("first", "second")
    )
    assert first == second
    rows = list(csv.DictReader((tmp_path / "first" / "truth.csv").open()))
    for name in ("synthetic-000007", "synthetic-000008"):
        micrograph, labels, islets = (
            tifffile.imread(tmp_path / "first" / folder / f"{name}.tif") for folder in ("images", "labels", "islets")
        )
        assert micrograph.shape == (240, 320, 3)
        assert labels.shape == islets.shape == (240, 320)
        own = [row for row in rows if row["name"] == name]
        visible = {int(row["number"]): int(row["visible_area_px"]) for row in own}
        found = dict(enumerate(np.bincount(islets.ravel(), minlength=len(own) + 1)))
        assert all(found[number] <= area for number, area in visible.items())
        assert all(float(row["ieq"]) == pytest.approx(float(row["volume_um3"]) / 1_767_145.867644) for row in own)


def test_more_synthetic_micrographs_join_those_of_a_folder(tmp_path: Path):
    size = ("--width-px", 240, "--height-px", 200, "--um-per-px", 4)
    draw = ("synth", "--out", tmp_path / "both", *size, "--light", "yellow")
    for seeds in (("--seed", 8), ("--seed", 7), ("--seed", 8)):
        assert isletnet(*draw, *seeds).exit_code == 0
    isletnet("synth", "--out", tmp_path / "once", *size, "--light", "yellow", "--seed", 7, "--count", 2)
    for table in ("calibration.csv", "truth.csv"):
        assert (tmp_path / "both" / table).read_bytes() == (tmp_path / "once" / table).read_bytes()
    (tmp_path / "both" / "truth.csv").write_text("something,else\n1,2\n")
    refused = isletnet(*draw)
    assert refused.exit_code == 1
    assert "expected a table that `isletnet synth` wrote" in refused.stderr


def test_an_export_of_no_result_is_said(tmp_path: Path):
    result = isletnet("export", "imagej", tmp_path)
    assert result.exit_code == 2
    assert "no result of `isletnet analyse`" in result.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from isletnet.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: print(*{name.partition('.')[0] for name in sys.modules}, sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.splitlines()[-1].split("|"))
    assert "analyse" in done.stdout
    assert not loaded & {"numpy", "pandas", "openvino", "tensorflow", "matplotlib", "pydantic"}


def test_training_hands_its_arguments_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from isletnet.training import workflow

    card = read_card(write_colour_network(tmp_path / "colour"))
    calls = []

    def record(recipe: Recipe, *paths: Path, **options: object) -> Card:
        calls.append((recipe.name, paths, options["real_folder"], options["folds"], options["version"]))
        return card

    monkeypatch.setattr(workflow, "train_network", record)
    places = ("--work", tmp_path / "work", "--out", tmp_path / "out", "--real", tmp_path)
    result = isletnet("train", "islet-unet-small", *places, "--leave-out", "a,b", "--leave-out", "c", "--version", "2")
    assert result.stdout == f"{card.folder}\n"
    folders = (tmp_path / "work", tmp_path / "out")
    assert calls == [("islet-unet-small", folders, tmp_path, [("a", "b"), ("c",)], "2")]
    isletnet("train")
    assert [call[0] for call in calls[1:]] == list(RECIPES)


@pytest.mark.parametrize(
    ("command", "package", "said"),
    [
        (("train", "islet-unet"), "tensorflow", "install isletnet[training]"),
        (("study", "list"), "papermill", "install isletnet[notebooks]"),
    ],
)
def test_a_part_that_is_not_installed_is_said(
    monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], package: str, said: str
):
    monkeypatch.setitem(sys.modules, package, None)
    result = isletnet(*command)
    assert result.exit_code == 1
    assert said in result.stderr


def test_training_of_an_unknown_network_is_refused():
    result = isletnet("train", "no-such")
    assert result.exit_code == 1
    assert "expected one of islet-unet" in result.stderr
