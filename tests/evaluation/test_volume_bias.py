"""Errors of volumes by hand and against repeated samples."""

import math

import numpy as np
import pandas as pd
import pytest

from isletnet.errors import ParameterError
from isletnet.evaluation.volume_bias import best_methods, bias_table, volume_bias


def test_by_hand():
    bias = volume_bias([1.1, 1.8, 4.0], [1.0, 2.0, 4.0])
    assert bias.islets_n == 3
    assert bias.bias_fraction == pytest.approx(0.0)
    assert bias.sd_fraction == pytest.approx(0.1)
    assert bias.rms_fraction == pytest.approx(math.sqrt(0.02 / 3))
    assert bias.total_fraction == pytest.approx(6.9 / 7 - 1)


def test_interval_of_the_total_covers_the_truth():
    """True ratio of sums 1.2; nine in ten intervals of 90 % hold it."""
    rng = np.random.default_rng(1)
    held = []
    for _ in range(600):
        true = rng.lognormal(0, 1, 80)
        found = 1.2 * true * rng.lognormal(-0.02, 0.2, 80)
        bias = volume_bias(found, true, level=0.9)
        held.append(bias.total_low_fraction <= 0.2 <= bias.total_high_fraction)
    assert np.mean(held) == pytest.approx(0.9, abs=0.05)


def test_one_islet_has_no_spread():
    bias = volume_bias([2.0], [1.0])
    assert bias.total_fraction == 1.0
    assert math.isnan(bias.sd_fraction)
    assert math.isnan(bias.total_high_fraction)


@pytest.mark.parametrize(("found", "true"), [([1.0], [0.0]), ([1.0, 2.0], [1.0]), ([], []), ([math.nan], [1.0])])
def test_refusals(found, true):
    with pytest.raises(ParameterError):
        volume_bias(found, true)


def test_table_and_best_methods():
    trials = pd.DataFrame(
        {
            "condition": ["b"] * 4 + ["a"] * 4,
            "true_ieq": [1.0, 2.0, 3.0, 4.0] * 2,
            "ieq_fine": [1.0, 2.1, 2.9, 4.0, 2.0, 4.0, 6.0, 8.0],
            "ieq_coarse": [2.0, 1.0, 4.0, 3.0, 1.0, 2.0, 3.0, np.nan],
        }
    )
    biases = bias_table(trials, methods=["fine", "coarse"])
    assert biases[["condition", "method", "islets_n"]].to_numpy().tolist() == [
        ["b", "fine", 4],
        ["b", "coarse", 4],
        ["a", "fine", 4],
        ["a", "coarse", 3],
    ]
    best = best_methods(biases).set_index("condition")
    assert best.loc["b", "single_method"] == "fine"
    assert best.loc["a", "total_method"] == "coarse"
    assert best.loc["b", "total_ties"] == "coarse"
    assert best.loc["a", "total_ties"] == ""
