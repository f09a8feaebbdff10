"""The validation report of a network: whole analyses against known outlines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from colour_network import write_colour_network
from PIL import Image
from study_cells import assert_golden, run_cells

from isletnet.errors import ParameterError
from isletnet.schemas import EXOCRINE, ISLET
from isletnet.studies.topics.network_card import TruePicture, real_pictures, score, synthetic_pictures

RED, YELLOW, TAN = (210, 40, 10), (195, 190, 5), (200, 165, 20)


def drawn_picture(name: str = "drawn") -> TruePicture:
    """Two red discs on yellow, one of them with a tan one beside it."""
    y, x = np.mgrid[:256, :256]
    classes = np.zeros((256, 256), np.uint8)
    classes[(y - 70) ** 2 + (x - 70) ** 2 <= 30**2] = ISLET
    classes[(y - 180) ** 2 + (x - 170) ** 2 <= 40**2] = ISLET
    classes[(y - 70) ** 2 + (x - 200) ** 2 <= 25**2] = EXOCRINE
    pixels = np.array([YELLOW, RED, TAN], np.uint8)[classes]
    islets = np.where(classes == ISLET, np.where(y < 120, 1, 2), 0).astype(np.int32)
    return TruePicture(name=name, source="real", um_per_px=2.0, pixels=pixels, classes=classes, islets=islets)


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_colour_network(tmp_path_factory.mktemp("networks") / "colour"))


def write_real(folder: Path, picture: TruePicture) -> Path:
    for room, content in (("images", picture.pixels), ("labels", picture.classes)):
        (folder / room).mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(folder / room / f"{picture.name}.png")
    (folder / "calibration.csv").write_text(f"name,um_per_px\n{picture.name},2.0\n")
    return folder


def test_a_clean_picture_is_found_wholly(colour: str) -> None:
    scores = score(iter([drawn_picture()]), network=colour)
    row = scores.pictures.iloc[0]
    assert row["islet_dice"] > 0.95
    assert (row["islets_true_n"], row["islets_found_n"], row["detection_f1"]) == (2, 2, 1.0)
    # Discs of 30 and 40 px at 2 um/px: (120^3 + 160^3) / 150^3 IEQ.
    assert row["ieq_true"] == pytest.approx((120**3 + 160**3) / 150**3, rel=0.01)
    objects = scores.objects.set_index("stratum")
    assert objects.loc[">=50 um", ["truth_n", "matched_n", "missed_n", "false_n"]].tolist() == [2, 2, 0, 0]
    assert objects.loc[">=150 um", "truth_n"] == 1
    assert scores.classes.set_index("class").loc["islet", "truth_px"] == int((drawn_picture().classes == ISLET).sum())


def test_exocrine_tissue_is_scored_only_where_some_is_drawn(colour: str) -> None:
    whole = drawn_picture()
    bare = TruePicture(
        name="bare",
        source="real",
        um_per_px=2.0,
        pixels=whole.pixels,
        classes=np.where(whole.classes == ISLET, ISLET, 0).astype(np.uint8),
        islets=whole.islets,
    )
    scores = score(iter([bare]), network=colour)
    assert np.isnan(scores.pictures["exocrine_dice"][0])
    assert scores.classes.set_index("class").loc["exocrine", "truth_px"] == 0


def test_annotated_micrographs_are_read_with_their_sizes(tmp_path: Path) -> None:
    folder = write_real(tmp_path, drawn_picture("a"))
    (picture,) = real_pictures(folder)
    assert np.array_equal(picture.classes, drawn_picture().classes)
    assert (picture.name, picture.um_per_px, picture.islets.max()) == ("a", 2.0, 2)
    Image.new("L", (9, 9)).save(folder / "labels" / "a.png")
    with pytest.raises(ParameterError, match="another size"):
        list(real_pictures(folder))
    (folder / "labels" / "a.png").unlink()
    with pytest.raises(ParameterError, match=r"labels/a.\* were expected"):
        list(real_pictures(folder))


def test_scenes_are_those_of_the_evaluation_seeds() -> None:
    (picture,) = synthetic_pictures(1, (128, 128))
    assert picture.name == "synthetic-900000"
    assert not picture.islets[picture.classes != ISLET].any()


def test_the_study_runs(colour: str, tmp_path: Path) -> None:
    given = {
        "network": colour,
        "scenes": 2,
        "width_px": 256,
        "height_px": 256,
        "real": str(write_real(tmp_path / "real", drawn_picture())),
    }
    folder = tmp_path / "run"
    run_cells("network_card", given, folder)
    pictures = pd.read_csv(folder / "tables" / "pictures.csv")
    assert pictures["picture"].tolist() == ["synthetic-900000", "synthetic-900001", "drawn"]
    assert not pictures["seen_in_training"].any()
    assert_golden(folder, "network_card", "pictures", "classes", "objects")
    card = pd.read_csv(folder / "tables" / "card.csv").set_index("entry")["value"]
    assert card["working_um_per_px"] == "4.0"
    assert not any(entry.startswith("files") for entry in card.index)
    stems = {path.stem for path in (folder / "figures").iterdir()}
    assert {"islet_dice", "islets_real", "islets_synthetic"} <= stems
