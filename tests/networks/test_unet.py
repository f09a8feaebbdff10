"""The encoder-decoder: shapes, and that it looks no further than its halo."""

from pathlib import Path

import numpy as np
import pytest

from isletnet.networks.card import Card

keras = pytest.importorskip("keras")

from isletnet.networks.unet import build_core  # noqa: E402


def card(widths: tuple[int, ...], convolutions: int) -> Card:
    return Card(
        folder=Path(),
        name="drawn",
        version="1",
        working_um_per_px=2.0,
        islet_threshold=0.5,
        widths=widths,
        stem_width=3,
        convolutions=convolutions,
        files={},
        content={},
    )


@pytest.mark.parametrize(("widths", "convolutions"), [((3, 4, 4, 5), 2), ((3, 4), 2), ((3, 4, 5), 1)])
def test_a_change_is_felt_within_the_halo_only(widths: tuple[int, ...], convolutions: int) -> None:
    halo_px = card(widths, convolutions).halo_px
    assert halo_px % 16 == 0
    keras.utils.set_random_seed(3)
    core = build_core(widths, 3, convolutions)
    side = 2 * halo_px + 160
    inputs = np.random.default_rng(1).normal(0, 1, (1, side, side, 5)).astype(np.float32)
    changed = inputs.copy()
    middle = side // 2
    changed[0, middle, middle] += 5.0
    difference = np.abs(np.asarray(core(inputs) - core(changed)))[0].max(axis=-1)
    rows, columns = np.nonzero(difference > 0)
    reach = max(np.abs(rows - middle).max(), np.abs(columns - middle).max())
    assert 0 < reach <= halo_px


def test_logits_have_the_size_of_the_input() -> None:
    core = build_core((3, 4), 3, 1)
    assert core(np.zeros((2, 48, 64, 5), np.float32)).shape == (2, 48, 64, 3)
