"""What stands in the figures of agreement: read back from their axes."""

import numpy as np
import pytest

from isletnet.views.agreement_figures import FittedLine, bland_altman_figure, identity_scatter, interval_figure

REFERENCE = np.array([10.0, 20.0, 40.0, 80.0, 0.0])
FOUND = np.array([12.0, 18.0, 44.0, 80.0, 3.0])


def points(axes):
    """All samples drawn, as (x, y) rows."""
    drawn = [line.get_xydata() for line in axes.lines if line.get_marker() != "None"]
    return np.concatenate(drawn)


def test_scatter_holds_every_sample_on_equal_axes():
    figure = identity_scatter(FOUND, REFERENCE, found_label="found (IEQ)", reference_label="reference (IEQ)")
    axes = figure.axes[0]
    np.testing.assert_array_equal(points(axes), np.column_stack([REFERENCE, FOUND]))
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_xlabel() == "reference (IEQ)"


def test_logarithmic_scatter_leaves_out_what_has_no_logarithm():
    figure = identity_scatter(FOUND, REFERENCE, found_label="found", reference_label="reference", is_log=True)
    assert len(points(figure.axes[0])) == 4


def test_groups_and_lines_are_named():
    figure = identity_scatter(
        FOUND,
        REFERENCE,
        found_label="found",
        reference_label="reference",
        groups=["A", "B", "A", "B", "A"],
        lines=[FittedLine(name="Deming", slope=2.0, intercept=1.0)],
    )
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["identity", "Deming", "A", "B"]
    line = next(line for line in axes.lines if line.get_label() == "Deming")
    np.testing.assert_allclose(line.get_ydata(), 1.0 + 2.0 * line.get_xdata())


def test_too_many_groups_are_not_told_apart():
    figure = identity_scatter(
        np.arange(9.0), np.arange(9.0), found_label="a", reference_label="b", groups=[str(n) for n in range(9)]
    )
    assert len([line for line in figure.axes[0].lines if line.get_marker() != "None"]) == 1


def test_differences_stand_against_means():
    figure = bland_altman_figure(
        FOUND, REFERENCE, bias=1.4, limits=(-3.0, 6.0), bias_interval=(0.1, 2.7), quantity_label="volume (IEQ)"
    )
    axes = figure.axes[0]
    np.testing.assert_allclose(points(axes), np.column_stack([(FOUND + REFERENCE) / 2, FOUND - REFERENCE]))
    assert axes.get_ylabel() == "found − reference (IEQ)"
    assert [note.get_text() for note in axes.texts] == ["+1.96 SD\n6 IEQ", "bias\n1.4 IEQ", "−1.96 SD\n−3 IEQ"]


def test_large_differences_are_written_without_powers_of_ten():
    figure = bland_altman_figure(
        FOUND * 1000,
        REFERENCE * 1000,
        bias=1400.0,
        limits=(-3000.0, 6000.0),
        bias_interval=(100.0, 2700.0),
        quantity_label="volume (IEQ)",
    )
    assert "bias\n1\u202f400 IEQ" in [note.get_text() for note in figure.axes[0].texts]


def test_ratios_stand_against_geometric_means():
    figure = bland_altman_figure(
        FOUND,
        REFERENCE,
        bias=1.05,
        limits=(0.8, 1.3),
        bias_interval=(0.9, 1.2),
        quantity_label="volume (IEQ)",
        is_ratio=True,
    )
    axes = figure.axes[0]
    np.testing.assert_allclose(points(axes)[0], (np.sqrt(120.0), 1.2))
    assert len(points(axes)) == 4
    assert axes.get_yscale() == "log"


def test_intervals_run_from_the_top():
    figure = interval_figure(
        ["first", "second"],
        [1.0, 1.2],
        [0.9, 1.1],
        [1.1, 1.4],
        label="factor",
        reference=1.0,
        is_log=True,
        counts=[3, 4],
    )
    axes = figure.axes[0]
    labels = {tick.get_text(): place for tick, place in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)}
    assert labels["first (n 3)"] > labels["second (n 4)"]
    segments = axes.collections[0].get_segments()
    np.testing.assert_allclose([segment[:, 0] for segment in segments], [[0.9, 1.1], [1.1, 1.4]])


def test_an_interval_without_a_value_leaves_its_row_empty():
    figure = interval_figure(["none"], [np.nan], [np.nan], [np.nan], label="factor", is_log=True)
    assert figure.axes[0].get_xlabel() == "factor"
    with pytest.raises(ValueError, match="zip"):
        interval_figure(["one"], [1.0], [1.0], [1.0], label="factor", counts=[1, 2])


@pytest.mark.parametrize(("low", "high", "told"), [(2, 12, ["2", "5", "10"]), (0.05, 400, ["0.1", "1", "10", "100"])])
def test_logarithmic_axes_are_written_in_plain_numbers(low: float, high: float, told: list[str]) -> None:
    x = np.geomspace(low, high, 20)
    scatter = identity_scatter(x, x, found_label="a", reference_label="b", is_log=True)
    plot = bland_altman_figure(
        x, x, bias=1.0, limits=(0.9, 1.1), bias_interval=(0.95, 1.05), quantity_label="IEQ", is_ratio=True
    )
    for axis in (scatter.axes[0].xaxis, scatter.axes[0].yaxis, plot.axes[0].xaxis):
        first, last = axis.get_view_interval()
        shown = [axis.get_major_formatter()(tick) for tick in axis.get_majorticklocs() if first <= tick <= last]
        assert shown == told
