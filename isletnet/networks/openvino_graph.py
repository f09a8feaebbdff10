"""A trained core as OpenVINO graphs: the same arithmetic in fewer and faster operations.

Normalisations are folded into the convolutions before them. A convolution of "enlarged deep features beside shallow
ones" becomes the sum of a transposed convolution of the deep ones (four products a pixel where there were nine) and a
convolution of the shallow ones, so that nothing is enlarged, copied or joined at full resolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from isletnet.networks.unet import FEATURES_N
from isletnet.schemas import CELL_PX, FLOOR_LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    from numpy.typing import NDArray

# A 3-tap filter on pixels that were doubled is, at the pixels as they were, this 4-tap filter of stride 2.
_DOUBLED = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=np.float64)


def feature_model() -> Any:
    """Build `isletnet.networks.unet.features` for one picture.

    Returns
    -------
    openvino.Model
        ``rgb`` uint8 ``(1, h, w, 3)`` and ``log_background`` float32 ``(1, h/16, w/16, 3)`` to ``features`` float32
        ``(1, 5, h, w)``.
    """
    from openvino import Model
    from openvino import opset13 as ops

    rgb = ops.parameter([1, -1, -1, 3], np.uint8, name="rgb")
    cells = ops.parameter([1, -1, -1, 3], np.float32, name="log_background")
    order = np.array([0, 3, 1, 2])
    levels = ops.log(ops.add(ops.convert(ops.transpose(rgb, order), "f32"), np.float32(FLOOR_LEVELS)))
    background = ops.interpolate(
        ops.transpose(cells, order),
        np.array([CELL_PX, CELL_PX], dtype=np.float32),
        "nearest",
        "scales",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
        axes=np.array([2, 3]),
    )
    red, green, _ = (ops.gather(levels, np.array([c]), np.int64(1)) for c in range(3))
    brightness = ops.subtract(ops.multiply(ops.add(red, green), np.float32(0.5)), np.float32(4.0))
    joined = ops.concat([ops.subtract(levels, background), ops.subtract(red, green), brightness], 1)
    return _named(Model([joined], [rgb, cells], "features"), "features")


def network_model(core: keras.Model, widths: Sequence[int], convolutions: int) -> Any:
    """Build what `isletnet.networks.unet.decision_graph` computes.

    Parameters
    ----------
    core
        Trained, of `build_core` with these ``widths`` and ``convolutions``.

    Returns
    -------
    openvino.Model
        ``features`` float32 ``(1, 5, h, w)`` to ``probabilities`` uint8 ``(1, h, w, 3)``, where 255 is certain.
    """
    from openvino import Model
    from openvino import opset13 as ops

    features = ops.parameter([1, FEATURES_N, -1, -1], np.float32, name="features")
    stem = _relu(_convolve(features, *_plain(core, "stem")))
    x = _relu(_convolve(features, *_folded(core, "down0", "down0_norm"), stride=2))
    skips = []
    for level in range(len(widths)):
        if level:
            skips.append(x)
            x = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
        x = _block(core, x, f"encode{level}", range(convolutions))
    for level in range(len(widths) - 2, -1, -1):
        x = _convolve(x, *_plain(core, f"narrow{level}"))
        kernel, bias = _folded(core, f"decode{level}_conv0", f"decode{level}_norm0")
        x = _relu(_joined(x, skips[level], kernel, bias))
        x = _block(core, x, f"decode{level}", range(1, convolutions))
    x = _convolve(x, *_plain(core, "narrow_full"))
    x = _relu(_joined(x, stem, *_plain(core, "contour")))
    probability = ops.softmax(_convolve(x, *_plain(core, "logits")), 1)
    quantised = ops.convert(ops.round(ops.multiply(probability, np.float32(255)), "half_to_even"), "u8")
    return _named(Model([ops.transpose(quantised, np.array([0, 2, 3, 1]))], [features], "network"), "probabilities")


def _named(model: Any, output: str) -> Any:
    for tensor in model.inputs:
        tensor.get_tensor().set_names({tensor.get_node().get_friendly_name()})
    model.outputs[0].get_tensor().set_names({output})
    return model


def _plain(core: keras.Model, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    kernel, bias = core.get_layer(name).get_weights()
    return kernel.astype(np.float64), bias.astype(np.float64)


def _folded(core: keras.Model, name: str, norm: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kernel and bias of a convolution with the normalisation that follows it."""
    (kernel,) = core.get_layer(name).get_weights()
    layer = core.get_layer(norm)
    gamma, beta, mean, variance = (part.astype(np.float64) for part in layer.get_weights())
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return kernel.astype(np.float64) * scale, beta - mean * scale


def _block(core: keras.Model, x: Any, name: str, numbers: range) -> Any:
    for i in numbers:
        x = _relu(_convolve(x, *_folded(core, f"{name}_conv{i}", f"{name}_norm{i}")))
    return x


def _relu(x: Any) -> Any:
    from openvino import opset13 as ops

    return ops.relu(x)


def _convolve(x: Any, kernel: NDArray[np.float64], bias: NDArray[np.float64] | None, stride: int = 1) -> Any:
    """Convolve with a kernel ``(rows, columns, in, out)``, zeros around the picture."""
    from openvino import opset13 as ops

    margin = (kernel.shape[0] - 1) // 2
    weights = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)).astype(np.float32)
    y = ops.convolution(x, weights, [stride] * 2, [margin] * 2, [margin] * 2, [1, 1])
    return y if bias is None else ops.add(y, bias.astype(np.float32)[None, :, None, None])


def _joined(deep: Any, shallow: Any, kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> Any:
    """Convolve doubled ``deep`` features beside ``shallow`` ones."""
    from openvino import opset13 as ops

    deep_n = kernel.shape[2] - shallow.get_output_partial_shape(0)[1].get_length()
    own = np.einsum("ar,bc,rcio->ioab", _DOUBLED, _DOUBLED, kernel[:, :, :deep_n])
    enlarged = ops.convolution_backprop_data(
        deep,
        np.ascontiguousarray(own).astype(np.float32),
        strides=[2, 2],
        pads_begin=[1, 1],
        pads_end=[1, 1],
        dilations=[1, 1],
    )
    return ops.add(enlarged, _convolve(shallow, kernel[:, :, deep_n:], bias))
