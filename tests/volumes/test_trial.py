"""The computed figures about volumes from one projection, by closed forms and by the trial of what is reported."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from isletnet.errors import ParameterError
from isletnet.schemas import IEQ_UM3, VOLUME_METHODS
from isletnet.volumes import trial
from isletnet.volumes.trial import Condition, run_trial

OVAL = np.array([1.0, 0.8, 0.65])
TRUE = OVAL.prod()


def closed_form_ratios(turns: Rotation) -> dict[str, np.ndarray]:
    """Volume by method over true volume of the oval, from the semi-axes of its shadow."""
    spread = turns.as_matrix() * OVAL
    forms = np.einsum("nij,nkj->nik", spread, spread)[:, :2, :2]
    minor, major = np.sqrt(np.linalg.eigvalsh(forms)).T
    angle = np.linspace(0, np.pi, 361)[:-1]
    rays = 1 / np.hypot(np.cos(angle) / major[:, None], np.sin(angle) / minor[:, None])
    return {
        "sphere": (major * minor) ** 1.5 / TRUE,
        "prolate": major * minor**2 / TRUE,
        "oblate": major**2 * minor / TRUE,
        "mean_diameter": ((major + minor) / 2) ** 3 / TRUE,
        "nucleator": (rays**3).mean(axis=1) / TRUE,
    }


# Mean and SD in percent of a random orientation, and the error of one lying flat.
PUBLISHED = {
    "sphere": (4, 17, 38),
    "prolate": (-8, 16, 23),
    "oblate": (19, 20, 54),
    "mean_diameter": (7, 17, 40),
    "nucleator": (5, 17, 39),
}


@pytest.fixture(scope="module")
def any_way():
    return run_trial(Condition(name="any", diameter_um=150.0), islets_n=400, seed=3)


@pytest.mark.parametrize("method", PUBLISHED)
def test_closed_forms_give_the_known_figures(method):
    mean, sd, flat = PUBLISHED[method]
    ratios = closed_form_ratios(Rotation.random(20_000, rng=np.random.default_rng(0)))[method]
    assert 100 * (ratios.mean() - 1) == pytest.approx(mean, abs=0.8)
    assert 100 * ratios.std() == pytest.approx(sd, abs=0.8)
    assert 100 * (closed_form_ratios(Rotation.identity(1))[method][0] - 1) == pytest.approx(flat, abs=1.0)


@pytest.mark.parametrize("method", PUBLISHED)
def test_silhouettes_give_the_closed_forms(method, any_way):
    mean, sd, flat = PUBLISHED[method]
    ratios = any_way[f"ieq_{method}"] / any_way["true_ieq"]
    # Three standard errors of 400 islets.
    assert 100 * (ratios.mean() - 1) == pytest.approx(mean, abs=3 * sd / 20 + 0.8)
    assert 100 * ratios.std() == pytest.approx(sd, abs=2.5)
    settled = run_trial(Condition(name="settled", lie="settled", diameter_um=150.0), islets_n=4, seed=3)
    assert 100 * (settled[f"ieq_{method}"] / settled["true_ieq"] - 1).mean() == pytest.approx(flat, abs=1.5)


def test_vext_is_the_prolate_of_an_ellipse(any_way):
    np.testing.assert_allclose(any_way["ieq_vext"], any_way["ieq_prolate"], rtol=0.02)


def test_pairs_that_are_not_split():
    """Two equal touching balls: sphere 1.41 of the truth (the square root of 2), the others from their geometry."""
    pairs = run_trial(Condition(name="pairs", shape="sphere", diameter_um=150.0, pairs=True), islets_n=10, seed=1)
    ratios = {method: (pairs[f"ieq_{method}"] / pairs["true_ieq"]).mean() for method in VOLUME_METHODS}
    assert ratios["sphere"] == pytest.approx(2**0.5, abs=0.01)
    assert ratios["vext"] == pytest.approx(1.00, abs=0.012)
    assert ratios["revolution"] == pytest.approx(1.00, abs=0.01)
    # Second moments of two discs side by side, in radii: across 1/4, along 1/4 + 1; full axes are four roots of them.
    across, along = 4 * 0.25**0.5, 4 * 1.25**0.5
    assert ratios["prolate"] == pytest.approx(along * across**2 / 6 / (2 * 4 / 3), rel=0.01)


@pytest.mark.parametrize(("error", "expected"), [(0.01, 3.0), (0.02, 6.1)])
def test_pixel_size_error(error, expected):
    right = run_trial(Condition(name="right", shape="sphere"), islets_n=40, seed=2)
    wrong = run_trial(Condition(name="wrong", shape="sphere", pixel_size_error=error), islets_n=40, seed=2)
    for method in ("sphere", "vext", "revolution"):
        excess = 100 * (wrong[f"ieq_{method}"].sum() / right[f"ieq_{method}"].sum() - 1)
        assert excess == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("shift_um", "expected"), [(1.0, 2.9), (2.0, 5.9), (5.0, 15.4)])
def test_outline_shift_of_the_published_sizes(shift_um, expected):
    """Total IEQ of balls grows by sum((d + 2s)^3) / sum(d^3)."""
    sizes = 50 + 84 * np.random.default_rng(0).weibull(1.18, 1_000_000)
    assert 100 * (((sizes + 2 * shift_um) ** 3).sum() / (sizes**3).sum() - 1) == pytest.approx(expected, abs=0.1)
    found = run_trial(Condition(name="shift", shape="sphere", outline_shift_um=shift_um), islets_n=30, seed=4)
    ideal = ((found["true_diameter_um"] + 2 * shift_um) ** 3).sum() / (found["true_diameter_um"] ** 3).sum()
    assert found["ieq_sphere"].sum() / found["true_ieq"].sum() == pytest.approx(ideal, rel=0.006)


def test_class_factors_overstate_the_published_sizes():
    """Ricordi over continuous is 1.025 to 1.039 for the published sizes."""
    sizes = 50 + 84 * np.random.default_rng(0).weibull(1.18, 400_000)
    from isletnet.analysis.volume import ricordi_ieq

    for table in ("long", "short"):
        assert 1.02 < ricordi_ieq(sizes, table=table).sum() / ((sizes / 150) ** 3).sum() < 1.045


def test_lobes_keep_the_nominal_volume():
    lobed = run_trial(Condition(name="lobed", shape="lobed", diameter_um=150.0), islets_n=150, seed=5)
    assert lobed["true_ieq"].mean() == pytest.approx(1.0, abs=0.03)


def test_the_same_seed_gives_the_same_table():
    first, second = (run_trial(Condition(name="x", shape="lobed"), islets_n=3, seed=9) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_touching_masks_share_a_side_and_no_pixel():
    one, other = np.tri(9, dtype=bool), np.tri(5, dtype=bool)[::-1]
    pair = trial.touching(one, other)
    assert pair.sum() == one.sum() + other.sum()
    from scipy import ndimage

    assert ndimage.label(pair)[1] == 1


def test_silhouettes_are_measured_in_their_order():
    masks = [np.ones((side, 2000), dtype=bool) for side in (3, 7, 5)]
    assert trial.measure_silhouettes(masks, um_per_px=1.0)["area_px"].tolist() == [6000, 14000, 10000]


def test_measured_pairs():
    table = pd.DataFrame({"true_volume_um3": [IEQ_UM3, 2 * IEQ_UM3], "volume_vext_um3": [IEQ_UM3, 3 * IEQ_UM3]})
    pairs = trial.measured_pairs(table)
    assert pairs["ieq_vext"].tolist() == [1.0, 3.0]
    assert pairs["true_ieq"].tolist() == [1.0, 2.0]
    for bad in (table.drop(columns="true_volume_um3"), table[["true_volume_um3"]], table.assign(true_volume_um3=0.0)):
        with pytest.raises(ParameterError, match="expected"):
            trial.measured_pairs(bad)


def test_no_islet_is_refused():
    with pytest.raises(ParameterError, match="at least 1"):
        run_trial(Condition(name="x"), islets_n=0, seed=1)
