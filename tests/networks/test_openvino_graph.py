"""The graphs for OpenVINO compute what TensorFlow computes."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
openvino = pytest.importorskip("openvino")

from isletnet.networks.openvino_graph import feature_model, network_model  # noqa: E402
from isletnet.networks.unet import build_core, decision_graph, features  # noqa: E402


def infer(model: object, inputs: dict[str, np.ndarray]) -> np.ndarray:
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled(inputs)[0])


@pytest.mark.parametrize("shape", [(16, 16), (48, 80), (160, 96)])
def test_the_features_are_the_same(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    rgb = rng.integers(0, 256, (1, *shape, 3), dtype=np.uint8)
    background = rng.uniform(2, 5.5, (1, shape[0] // 16, shape[1] // 16, 3)).astype(np.float32)
    found = infer(feature_model(), {"rgb": rgb, "log_background": background})
    wanted = np.asarray(features(tf.constant(rgb), tf.constant(background)))
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1), wanted, atol=2e-6)


@pytest.mark.parametrize(("widths", "stem", "convolutions"), [((5, 7, 6, 9), 4, 2), ((6, 4), 3, 1), ((4, 6, 5), 8, 3)])
def test_the_decisions_are_the_same(widths: tuple[int, ...], stem: int, convolutions: int) -> None:
    keras.utils.set_random_seed(5)
    rng = np.random.default_rng(5)
    core = build_core(widths, stem, convolutions)
    # Weights that no layer has by chance, normalisations and biases among them.
    core.set_weights([rng.uniform(0.3, 1.2, w.shape) * rng.choice([1, 1, 1, -1], w.shape) for w in core.get_weights()])
    for layer in core.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, 0.1 * beta, 0.1 * mean, 30 * np.abs(variance)])
    inputs = rng.normal(0, 1, (1, 64, 112, 5)).astype(np.float32)
    wanted = np.asarray(decision_graph(core)(tf.constant(inputs)))
    found = infer(network_model(core, widths, convolutions), {"features": inputs.transpose(0, 3, 1, 2).copy()})
    assert wanted.std() > 10
    assert np.abs(found.astype(int) - wanted.astype(int)).max() <= 1
