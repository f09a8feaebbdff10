"""OpenVINO: the fast engine on CPUs."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from queue import Empty, LifoQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from isletnet.networks.card import FEATURES_GRAPH, NETWORK_GRAPH

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


# A lane keeps its working memory of tiles up to this size: about 160 bytes a pixel in bf16, 240 in f32.
LANE_PX = 2_000_000


def _core() -> Any:
    # The package would otherwise try to report usage over the network.
    os.environ.setdefault("OPENVINO_TELEMETRY_OPT_OUT", "1")
    from openvino import Core

    return Core()


def cpu_has_bf16() -> bool:
    """Whether this processor computes in bf16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenvinoRunner:
    """A network compiled for this CPU; see `isletnet.networks.model.LaneRunner`.

    Every lane has all threads, not its share: with another number of threads the engine adds in another order, and
    the answers change by a level or more. Lanes divide the cores among themselves as they run, so that none waits for
    a thread of its own that the machine keeps waiting.

    Parameters
    ----------
    folder
        Holds the network's two graphs.
    precision
        ``f32`` or ``bf16`` for the network: always said, since the engine's default differs between chips. The
        features are made in f32.
    threads
        0 takes all cores.
    lanes
        Most tiles at once; others wait. The first lane is opened at once, the others when they are needed.
    """

    def __init__(self, folder: Path, *, precision: str, threads: int = 0, lanes: int = 1) -> None:
        self.lanes_n, self.lane_px = lanes, LANE_PX
        self._open = partial(_Lane, folder, precision=precision, threads=threads)
        # The lane used last is taken first, so that those not needed stay closed: None.
        self._free: LifoQueue[_Lane | None] = LifoQueue()
        self._put_back([*[None] * (lanes - 1), self._open()])

    def __call__(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Class probabilities, uint8 ``(h, w, 3)``."""
        lane = self._free.get()
        try:
            lane = lane or self._open()
            return lane(rgb, log_background)
        finally:
            self._free.put(lane)

    def rest(self) -> None:
        """Close all lanes but one that is not in use; they open again when they are needed."""
        free: list[_Lane | None] = []
        with suppress(Empty):
            while True:
                free.append(self._free.get_nowait())
        kept = free[:1] if len(free) == self.lanes_n else []
        self._put_back([*[None] * (len(free) - len(kept)), *kept])

    def _put_back(self, lanes: list[_Lane | None]) -> None:
        for lane in lanes:
            self._free.put(lane)


class _Lane:
    """A network compiled with working memory of its own, for one tile at a time."""

    def __init__(self, folder: Path, *, precision: str, threads: int) -> None:
        # Pinned, the threads of all lanes and of all processes would sit on the same cores.
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        core = _core()

        def compiled(file: str, hint: str) -> Any:
            return core.compile_model(
                core.read_model(folder / file), "CPU", {**config, "INFERENCE_PRECISION_HINT": hint}
            )

        self._graphs = compiled(FEATURES_GRAPH, "f32"), compiled(NETWORK_GRAPH, precision)
        self._features, self._decide = (graph.create_infer_request() for graph in self._graphs)

    def __call__(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        inputs = {"rgb": np.ascontiguousarray(rgb)[None], "log_background": np.ascontiguousarray(log_background)[None]}
        self._features.infer(inputs, share_inputs=True)
        self._decide.infer({"features": self._features.get_output_tensor(0)}, share_inputs=True)
        # A copy: the engine reuses its buffers.
        answer = np.array(self._decide.get_output_tensor(0).data[0], dtype=np.uint8)
        if rgb.shape[0] * rgb.shape[1] > LANE_PX:
            for graph in self._graphs:
                graph.release_memory()
        return answer
