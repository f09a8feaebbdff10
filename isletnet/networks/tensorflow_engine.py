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
        self._features, self._decide = feature_graph(None), decision_graph(core, None)

    def __call__(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Class probabilities, uint8 ``(h, w, 3)``."""
        answer: NDArray[np.uint8] = self.batch(rgb[None], log_background[None])[0]
        return answer

    def batch(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Class probabilities of tiles of one shape, uint8 ``(n, h, w, 3)``."""
        output = self._decide(self._features(tf.constant(rgb), tf.constant(log_background)))
        return np.asarray(output, dtype=np.uint8)
