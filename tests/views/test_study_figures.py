"""What stands in the figures of the studies: read back from their axes."""

import math

import numpy as np
import pandas as pd
import pytest

from isletnet.evaluation.errors import FATES
from isletnet.views import error_figures, error_pictures, sampling_figures, solid_figures, volume_figures


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_error_matrix_writes_percents_in_order():
    errors = pd.DataFrame(
        {"row": ["b", "b", "a", "a"], "column": ["vext", "sphere"] * 2, "value": [0.104, -0.25, 0.001, np.nan]}
    )
    axes = volume_figures.error_matrix(errors, rows="row", columns="column", value="value", label="error (%)").axes[0]
    assert texts(axes) == ["+10", "−25", "0"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["b", "a"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["Vext", "sphere"]


def test_errors_without_a_direction_have_no_sign():
    errors = pd.DataFrame({"row": ["a"], "column": ["sphere"], "value": [0.104]})
    figure = volume_figures.error_matrix(errors, rows="row", columns="column", value="value", label="rms (%)")
    assert texts(figure.axes[0]) == ["10"]


def test_errors_against_size_in_panels():
    errors = pd.DataFrame(
        {"shape": ["oval"] * 2 + ["lobed"] * 2, "diameter_um": [100, 50] * 2, "bias_fraction": [0.1, 0.2, 0.3, 0.4]}
    ).assign(method="sphere")
    figure = volume_figures.error_against_size(errors, methods=["sphere"], panels="shape", label="error")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["oval", "lobed"]
    line = figure.axes[0].lines[1]
    np.testing.assert_allclose(line.get_xydata(), [[50, 20], [100, 10]])


def test_boxes_of_single_islets():
    trials = pd.DataFrame({"true_ieq": np.ones(101), "ieq_sphere": np.linspace(1, 2, 101)})
    axes = volume_figures.single_islet_errors(trials, methods=["sphere"], label="error").axes[0]
    (box,) = axes.patches
    assert (box.get_x(), box.get_width()) == (pytest.approx(25), pytest.approx(50))


def test_bars_of_fates_reach_all_reference_islets():
    row = {f"{fate}_fraction": 0.2 for fate in FATES} | {"size": "50–100 µm", "reference_n": 10}
    empty = {f"{fate}_fraction": math.nan for fate in FATES} | {"size": "≥ 300 µm", "reference_n": 0}
    axes = error_figures.fates_figure(pd.DataFrame([row, empty]), by="size", label="diameter").axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert max(ends) == pytest.approx(100)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["50–100 µm (n 10)", "≥ 300 µm (n 0)"]


def test_confusion_is_in_shares_of_the_reference():
    figure = error_figures.confusion_figure(np.array([[90, 10], [0, 0]]), ["background", "islet"])
    assert texts(figure.axes[0]) == ["90 %\n90 px", "10 %\n10 px", "no pixel\n0 px", "no pixel\n0 px"]


def test_pictures_within_and_beyond_their_interval_are_told_apart():
    hits = pd.DataFrame({"stated_fraction": [0.2, 0.2], "error_fraction": [-0.1, 0.5], "holds": [True, False]})
    axes = error_figures.uncertainty_figure(hits).axes[0]
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert drawn["interval holds the truth"] == [[pytest.approx(20), pytest.approx(10)]]
    assert drawn["it does not"] == [[pytest.approx(20), pytest.approx(50)]]
    assert error_figures.uncertainty_figure(hits.iloc[:0]).axes[0].get_xlim()[1] > 0


def test_gallery_shows_every_crop_with_its_title():
    mask = np.zeros((20, 20), dtype=bool)
    mask[5:15, 5:15] = True
    crops = [
        error_pictures.Crop(
            pixels=np.zeros((20, 20, 3), np.uint8), found=mask, truth=np.zeros_like(mask), title=str(number)
        )
        for number in range(5)
    ]
    figure = error_pictures.gallery(crops)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["0", "1", "2", "3", "4", "", "", ""]
    assert len(figure.axes[0].collections) == 1


def test_where_a_curve_meets_the_wish():
    counted = np.array([10.0, 100.0, 1000.0])
    widths = pd.DataFrame({"quantity": "count", "islets_n": counted, "half_width_fraction": 1 / counted})
    axes = sampling_figures.width_figure(widths, wanted_half_width=0.01, level=0.95).axes[0]
    assert "100" in texts(axes)
    assert "wanted: ±1 %" in texts(axes)


def test_replicates_stand_around_their_mean():
    figure = sampling_figures.replicate_figure([90.0, 110.0, 5.0], ["a", "a", "alone"], label="IEQ")
    points = [line.get_xydata().tolist() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert points == [[[100, pytest.approx(-10)], [100, pytest.approx(10)]]]
    nothing = sampling_figures.replicate_figure([5.0], ["alone"], label="IEQ")
    assert texts(nothing.axes[0]) == ["No sample has two replicates"]


def test_slices_have_a_scale_bar_of_a_round_length():
    slices, labels = [np.zeros((50, 100, 3), np.uint8)] * 2, [np.zeros((50, 100), np.int32)] * 2
    figure = solid_figures.slices_figure(slices, labels, titles=["z = 0 µm", "z = 5 µm"], um_per_px=3.0)
    assert texts(figure.axes[0]) == ["50 µm"]
    bar = figure.axes[0].lines[0].get_xdata()
    assert (bar[1] - bar[0]) * 3.0 == pytest.approx(50)


def test_estimates_and_shapes_hold_every_solid():
    table = pd.DataFrame({"true_ieq": [0.5, 2.0], "ieq_sphere": [0.6, 2.2]})
    axes = solid_figures.estimates_figure(table, methods=["sphere"]).axes[0]
    np.testing.assert_allclose(axes.lines[1].get_xydata(), [[0.5, 0.6], [2.0, 2.2]])
    left, right = solid_figures.shape_figure([100.0, 200.0], [0.8, 1.4], [0.9, 0.95]).axes
    assert left.get_ylim()[1] >= 1.4
    np.testing.assert_allclose(right.lines[1].get_ydata(), [0.9, 0.95])
