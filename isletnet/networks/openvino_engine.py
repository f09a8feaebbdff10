"""OpenVINO: the fast engine on CPUs."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from isletnet.networks.card import FEATURES_GRAPH, NETWORK_GRAPH

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


# Working memory is about 130 bytes a pixel of a tile; that of tiles up to this size is kept for the next.
KEPT_BUFFERS_PX = 2_200_000


def _core() -> Any:
    # The package would otherwise try to report usage over the network.
    os.environ.setdefault("OPENVINO_TELEMETRY_OPT_OUT", "1")
    from openvino import Core

    return Core()


def cpu_has_bf16() -> bool:
    """Whether this processor computes in bf16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenvinoRunner:
    """A network compiled for this CPU.

    Parameters
    ----------
    folder
        Holds the network's two graphs.
    precision
        ``f32`` or ``bf16`` for the network: always said, since the engine's default differs between chips. The
        features are made in f32.
    threads
        0 takes all cores.
    """

    def __init__(self, folder: Path, *, precision: str, threads: int = 0) -> None:
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        core = _core()

        def compiled(file: str, hint: str) -> Any:
            return core.compile_model(
                core.read_model(folder / file), "CPU", {**config, "INFERENCE_PRECISION_HINT": hint}
            )

        self._graphs = compiled(FEATURES_GRAPH, "f32"), compiled(NETWORK_GRAPH, precision)
        self._features, self._decide = (graph.create_infer_request() for graph in self._graphs)
        self._turn = threading.Lock()

    def __call__(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Class probabilities, uint8 ``(h, w, 3)``."""
        inputs = {"rgb": np.ascontiguousarray(rgb)[None], "log_background": np.ascontiguousarray(log_background)[None]}
        # One picture at a time, and a copy of the output: the engine reuses its buffers.
        with self._turn:
            self._features.infer(inputs, share_inputs=True)
            self._decide.infer({"features": self._features.get_output_tensor(0)}, share_inputs=True)
            answer = np.array(self._decide.get_output_tensor(0).data[0], dtype=np.uint8)
            if rgb.shape[0] * rgb.shape[1] > KEPT_BUFFERS_PX:
                for graph in self._graphs:
                    graph.release_memory()
        return answer
