"""Training: crops keep picture and labels together, a run resumes to the same weights, a network is released."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isletnet.analysis.preprocess import background_log_levels
from isletnet.errors import InputError, ParameterError
from isletnet.schemas import EXOCRINE, ISLET
from isletnet.training.augment import colour, crop_source, straight_crop, warped_crop
from isletnet.training.datasets import NOT_ISLET, TrainingPicture, real_pictures, synthetic_bank

tensorflow = pytest.importorskip("tensorflow")

from isletnet.networks.card import read_card  # noqa: E402
from isletnet.networks.model import load_network  # noqa: E402
from isletnet.networks.unet import features  # noqa: E402
from isletnet.training.fit import fit, segmentation_loss  # noqa: E402
from isletnet.training.recipes import FitPlan, Recipe, find_recipe  # noqa: E402
from isletnet.training.workflow import known_relative_error, train_network  # noqa: E402

TINY = FitPlan(widths=(4, 6), stem_width=3, convolutions=1, steps=6, batch=2, side_px=64, seed=3, checkpoint_steps=3)


def drawn_picture(side_px: int = 160) -> TrainingPicture:
    """Label 1 exactly where the picture is red, 2 where it is orange."""
    pixels = np.full((side_px, side_px + 32, 3), (200, 195, 2), np.uint8)
    labels = np.zeros(pixels.shape[:2], np.uint8)
    y, x = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    for row, column, radius, code in [(50, 60, 25, ISLET), (110, 120, 30, ISLET), (120, 40, 18, EXOCRINE)]:
        inside = (y - row) ** 2 + (x - column) ** 2 < radius**2
        pixels[inside] = (215, 60, 2) if code == ISLET else (212, 180, 2)
        labels[inside] = code
    return TrainingPicture(name="drawn", pixels=pixels, labels=labels, log_background=background_log_levels(pixels))


@pytest.mark.parametrize("seed", range(6))
def test_crops_move_labels_with_the_picture(seed) -> None:
    picture, rng = drawn_picture(), np.random.default_rng(seed)
    for levels, _, labels in (
        straight_crop(rng, picture, 96),
        warped_crop(rng, crop_source(picture), 96),
    ):
        redness = levels[..., 0] - levels[..., 1]
        assert labels.shape == (96, 96)
        assert (redness[labels == ISLET] > 0.9).mean() > 0.9 if (labels == ISLET).any() else True
        assert (redness[labels == 0] > 0.9).mean() < 0.05 if (labels == 0).any() else True


def test_crops_see_tissue_often() -> None:
    picture, rng = drawn_picture(), np.random.default_rng(1)
    crops = [warped_crop(rng, crop_source(picture), 96)[2] for _ in range(20)]
    assert sum((labels > 0).any() for labels in crops) >= 15


def test_plain_features_are_those_of_the_graph() -> None:
    picture = drawn_picture()
    source = crop_source(picture)
    plain = colour(np.random.default_rng(1), source.levels, source.background, strength=0.0)
    graph = features(picture.pixels[None], picture.log_background[None])[0].numpy()
    assert plain.shape == graph.shape
    assert np.abs(plain - graph).max() < 1e-4


def test_unannotated_exocrine_is_not_punished() -> None:
    logits = np.full((1, 8, 8, 3), -20.0, np.float32)
    logits[..., EXOCRINE] = 20.0
    partial = segmentation_loss(
        tensorflow.constant(np.full((1, 8, 8), NOT_ISLET, np.uint8)), tensorflow.constant(logits)
    )
    wrong = segmentation_loss(tensorflow.constant(np.zeros((1, 8, 8), np.uint8)), tensorflow.constant(logits))
    assert float(partial) < 0.01
    assert float(wrong) > 10


def test_a_stopped_run_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    picture = drawn_picture()

    class StopError(Exception):
        pass

    def stop(line: str) -> None:
        raise StopError

    # Killed at step 50, two steps after its last checkpoint.
    plan = replace(TINY, steps=55)
    with pytest.raises(StopError):
        fit(plan, tmp_path / "killed", [picture], [picture], report=stop)
    resumed = fit(plan, tmp_path / "killed", [picture], [picture])
    unbroken = fit(plan, tmp_path / "unbroken", [picture], [picture])
    for one, two in zip(resumed.get_weights(), unbroken.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)
    assert len((tmp_path / "unbroken" / "log.jsonl").read_text().splitlines()) == 1


def test_an_error_in_the_crops_ends_the_run(tmp_path: Path) -> None:
    picture = drawn_picture(48)
    with pytest.raises(ValueError, match="high"):
        fit(TINY, tmp_path, [picture])


def test_bank_is_read_back_as_it_was_made(tmp_path: Path) -> None:
    made = synthetic_bank(tmp_path, range(3), 4.0, workers=1)
    read = synthetic_bank(tmp_path, range(3), 4.0, workers=1)
    assert len(list(tmp_path.iterdir())) == 1
    for one, two in zip(made, read, strict=True):
        assert (one.pixels == two.pixels).all()
        assert (one.labels == two.labels).all()


def test_real_pictures_come_at_the_working_scale(real_data: Path) -> None:
    pictures = {picture.name: picture for picture in real_pictures(real_data, 4.0)}
    assert len(pictures) == 5
    assert pictures["gtExoIsl_13"].labels.shape == (600, 800)
    assert pictures["Lh10-03"].labels.shape == (131, 175)
    assert set(np.unique(pictures["Lh10-03"].labels)) == {ISLET, NOT_ISLET}
    assert set(np.unique(pictures["gtExoIsl_27_right"].labels)) == {0, ISLET, EXOCRINE}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (None, "expected 1.png in images/ and in labels/"),
        (np.full((20, 30), 255, np.uint8), "values up to 255"),
        (np.zeros((21, 30), np.uint8), r"got shape \(21, 30\)"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(tmp_path: Path, labels, said: str) -> None:
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    (tmp_path / "calibration.csv").write_text("name,um_per_px\n1,2.0\n")
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "images" / "1.png")
    if labels is not None:
        Image.fromarray(labels).save(tmp_path / "labels" / "1.png")
    with pytest.raises(InputError, match=said):
        list(real_pictures(tmp_path, 4.0))


def test_known_errors_come_from_pictures_left_out() -> None:
    held_out = {
        "per_picture": [
            {"islet_area_ratio": np.exp(0.03)},
            {"islet_area_ratio": np.exp(-0.04)},
            {"islet_area_ratio": None},
        ],
        "exocrine": {"dice": 0.7},
    }
    errors = known_relative_error(held_out)
    assert errors["islet_area"] == pytest.approx(np.sqrt((0.03**2 + 0.04**2) / 2), abs=1e-4)
    assert errors["ieq"] == pytest.approx(1.5 * errors["islet_area"], abs=2e-4)
    assert errors["exocrine_area"] == pytest.approx(0.3)


def test_a_network_is_made_from_nothing_and_runs_on_both_engines(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("isletnet.training.workflow.EVALUATION_SEEDS", range(900_000, 900_002))
    recipe = Recipe(
        name="tiny",
        working_um_per_px=4.0,
        islet_threshold=0.5,
        scenes_n=2,
        tuning_scenes_n=2,
        base=TINY,
        tune=replace(TINY, steps=4),
        finish=replace(TINY, steps=2),
    )
    lines: list[str] = []
    card = train_network(
        recipe, tmp_path / "work", tmp_path / "out", real_folder=None, folds=(), version="7", report=lines.append
    )
    assert (card.name, card.version, card.folder) == ("tiny", "7", tmp_path / "out" / "tiny" / "7")
    assert card.content["metrics"]["synthetic_unseen_seeds"]["pictures_n"] == 2
    assert card.content["training"]["tuning_seeds"] == [20_000, 20_002]
    assert lines
    rgb = np.random.default_rng(1).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    background = np.full((4, 6, 3), 4.5, np.float32)
    answers = [
        load_network(str(card.folder), engine=engine, precision="f32").run(rgb, background).astype(int)
        for engine in ("openvino", "tensorflow")
    ]
    assert answers[0].shape == (64, 96, 3)
    assert np.abs(answers[0] - answers[1]).max() <= 1
    assert np.abs(answers[0].sum(axis=-1) - 255).max() <= 2
    assert read_card(card.folder).weights_sha256 == card.weights_sha256


def test_a_picture_to_leave_out_must_be_there(tmp_path: Path) -> None:
    places = (tmp_path / "work", tmp_path / "out")
    with pytest.raises(ParameterError, match="Lh05-4: expected annotated micrographs to leave out"):
        train_network(
            find_recipe("islet-unet"), *places, real_folder=None, folds=[("Lh05-4",)], version="1", report=print
        )
    assert list(tmp_path.iterdir()) == []


def test_recipes_are_found_by_name() -> None:
    assert find_recipe("islet-unet").second_opinion == "islet-unet-small"
    with pytest.raises(Exception, match="islet-unet, islet-unet-small"):
        find_recipe("nothing")
