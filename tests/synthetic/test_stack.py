"""Synthetic stacks: labels and volumes belong together."""

import numpy as np
import pytest

from isletnet.synthetic.stack import make_stack


@pytest.fixture(scope="module")
def stack():
    return make_stack(4, islets_n=5)


def test_labels_hold_the_true_volumes(stack):
    voxel_um3 = stack.um_per_px**2 * stack.um_per_slice
    counted = np.bincount(stack.labels.ravel())[1:] * voxel_um3
    assert len(counted) == len(stack.volumes_um3) == 5
    np.testing.assert_allclose(counted, stack.volumes_um3, rtol=0.04)


def test_islets_are_bright_and_apart(stack):
    inside, outside = stack.samples[stack.labels > 0], stack.samples[stack.labels == 0]
    assert np.median(inside) > 2 * np.percentile(outside, 95)
    border = np.concatenate([stack.labels[[0, -1]].ravel(), stack.labels[:, [0, -1]].ravel()])
    assert border.max() == 0


def test_the_same_seed_gives_the_same_bytes(stack):
    again = make_stack(4, islets_n=5)
    np.testing.assert_array_equal(again.samples, stack.samples)
    assert not np.array_equal(make_stack(5, islets_n=5).volumes_um3, stack.volumes_um3)
