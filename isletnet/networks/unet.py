"""The encoder-decoder, and the graphs around it.

`features` normalises colour, the core maps features to logits, `decision_graph` makes quantised probabilities of
them. TensorFlow runs these; `openvino_graph` builds them again for OpenVINO. The features stay in float32 on every
engine: logarithms near 5 in bf16 step by 0.03, half of what tells pale exocrine tissue apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from isletnet.schemas import CELL_PX, FLOOR_LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

FEATURES_N = 5


def features(rgb: tf.Tensor, log_background: tf.Tensor) -> tf.Tensor:
    """Colour as the network sees it.

    Parameters
    ----------
    rgb
        ``(n, height, width, 3)``, grey levels 0..255, any numeric dtype.
    log_background
        ``(n, height/16, width/16, 3)`` natural logarithm of the background's levels plus `FLOOR_LEVELS`.

    Returns
    -------
    tf.Tensor
        float32 ``(n, height, width, 5)``: log ratio to the background for red, green and blue, then the
        absolute redness log(R/G) and the absolute brightness.
    """
    levels = tf.math.log(tf.cast(rgb, tf.float32) + FLOOR_LEVELS)
    background = keras.ops.repeat(keras.ops.repeat(log_background, CELL_PX, axis=1), CELL_PX, axis=2)
    ratio = levels - background
    redness = levels[..., 0:1] - levels[..., 1:2]
    brightness = 0.5 * (levels[..., 0:1] + levels[..., 1:2]) - 4.0
    return tf.concat([ratio, redness, brightness], axis=-1)


def _block(x: Any, width: int, name: str, convolutions: int = 2) -> Any:
    for i in range(convolutions):
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_conv{i}")(x)
        x = keras.layers.BatchNormalization(momentum=0.97, name=f"{name}_norm{i}")(x)
        x = keras.layers.ReLU(name=f"{name}_relu{i}")(x)
    return x


def build_core(widths: Sequence[int], stem_width: int, convolutions: int = 2) -> keras.Model:
    """Make the untrained core.

    Parameters
    ----------
    widths
        Channels at 1/2, 1/4, 1/8, ... of the working resolution.
    stem_width
        Channels of the thin path at full resolution that draws the contour.
    convolutions
        3x3 convolutions per stage.

    Returns
    -------
    keras.Model
        float32 ``(n, height, width, 5)`` -> logits ``(n, height, width, 3)``; no operation looks beyond a
        bounded neighbourhood, so tiles with a halo equal the whole picture.
    """
    inputs = keras.Input((None, None, FEATURES_N), name="features")
    stem = keras.layers.Conv2D(stem_width, 3, padding="same", activation="relu", name="stem")(inputs)
    x = keras.layers.Conv2D(widths[0], 4, strides=2, padding="same", use_bias=False, name="down0")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.97, name="down0_norm")(x)
    x = keras.layers.ReLU(name="down0_relu")(x)
    skips = []
    for level, width in enumerate(widths):
        if level:
            skips.append(x)
            x = keras.layers.MaxPooling2D(2, name=f"pool{level}")(x)
        x = _block(x, width, f"encode{level}", convolutions)
    for level in range(len(widths) - 2, -1, -1):
        x = keras.layers.Conv2D(widths[level], 1, name=f"narrow{level}")(x)
        x = keras.layers.UpSampling2D(2, interpolation="nearest", name=f"up{level}")(x)
        x = keras.layers.Concatenate(name=f"join{level}")([x, skips[level]])
        x = _block(x, widths[level], f"decode{level}", convolutions)
    x = keras.layers.Conv2D(stem_width, 1, name="narrow_full")(x)
    x = keras.layers.UpSampling2D(2, interpolation="nearest", name="up_full")(x)
    x = keras.layers.Concatenate(name="join_full")([x, stem])
    x = keras.layers.Conv2D(stem_width, 3, padding="same", activation="relu", name="contour")(x)
    logits = keras.layers.Conv2D(3, 3, padding="same", dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="core")


def feature_graph(pictures_n: int | None = 1) -> Any:
    """Trace `features` for that many pictures (None: any number): the part that every engine runs in float32."""
    signature = [
        tf.TensorSpec([pictures_n, None, None, 3], tf.uint8, name="rgb"),
        tf.TensorSpec([pictures_n, None, None, 3], tf.float32, name="log_background"),
    ]
    return tf.function(features, input_signature=signature)


def decision_graph(core: keras.Model, pictures_n: int | None = 1) -> Any:
    """Wrap the core: features of one picture in, quantised probabilities out.

    Parameters
    ----------
    core
        A model of `build_core`.
    pictures_n
        How many pictures it takes at once; None: any number.

    Returns
    -------
    tf.function
        float32 ``(n, h, w, 5)`` -> uint8 ``(n, h, w, 3)``, where 255 is certain.
    """

    def decide(features: tf.Tensor) -> tf.Tensor:
        probability = tf.nn.softmax(core(features, training=False))
        return tf.cast(tf.round(probability * 255.0), tf.uint8)

    signature = [tf.TensorSpec([pictures_n, None, None, FEATURES_N], tf.float32, name="features")]
    return tf.function(decide, input_signature=signature)
