"""TensorFlow: the reference engine, and the one for GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from isletnet.networks.unet import build_core, decision_graph, feature_graph

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class TensorflowRunner:
    """A network with its reference weights.

    Parameters
    ----------
    weights
        ``core.weights.h5``.
    widths, stem_width, convolutions
        Architecture, see `isletnet.networks.unet.build_core`.
    threads
        CPU threads; 0 takes all. Has an effect only before TensorFlow's first operation.
    """

    def __init__(
        self, weights: Path, widths: tuple[int, ...], stem_width: int, convolutions: int, *, threads: int = 0
    ) -> None:
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        core = build_core(widths, stem_width, convolutions)
        core.load_weights(weights)
        self._features, self._decide = feature_graph(), decision_graph(core)

    def __call__(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Class probabilities, uint8 ``(h, w, 3)``."""
        output = self._decide(self._features(tf.constant(rgb[None]), tf.constant(log_background[None])))
        return np.asarray(output[0], dtype=np.uint8)
