"""From a network's folder to something that predicts, on the engine that suits this machine."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from isletnet.errors import NetworkError
from isletnet.networks.card import OPENVINO_FILES, WEIGHTS_FILE, Card
from isletnet.networks.catalogue import find_network
from isletnet.schemas import NetworkIdentity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EngineChoice = Literal["auto", "tensorflow", "openvino"]
PrecisionChoice = Literal["auto", "f32", "bf16"]

# Below this change of Dice on the fixed evaluation sets a faster precision may be used.
LARGEST_DICE_SHIFT = 0.002


class Runner(Protocol):
    """An engine with a network loaded: uint8 ``(h, w, 3)`` and log background -> probabilities uint8."""

    def __call__(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Sides are multiples of 16."""
        ...


@runtime_checkable
class BatchRunner(Runner, Protocol):
    """An engine that gains from several tiles at once."""

    def batch(self, rgb: NDArray[np.uint8], log_background: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Tiles of one shape, uint8 ``(n, h, w, 3)`` -> probabilities uint8 ``(n, h, w, 3)``."""
        ...


@runtime_checkable
class LaneRunner(Runner, Protocol):
    """An engine that may be called from several threads at once: each tile runs in a lane, with the same answer.

    A lane keeps its working memory of tiles up to ``lane_px``; larger ones are better run one after the other.
    """

    lanes_n: int
    lane_px: int

    def rest(self) -> None:
        """Give back the memory of lanes that nobody uses."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A loaded network: call ``run``; ``identity`` goes into every result."""

    card: Card
    identity: NetworkIdentity
    run: Runner

    @property
    def working_um_per_px(self) -> float:
        """Pixel size that it wants to see."""
        return self.card.working_um_per_px


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _choose_engine(card: Card, engine: EngineChoice) -> str:
    has_openvino = _has("openvino") and all(name in card.files for name in OPENVINO_FILES)
    has_gpu = any(Path("/dev", device).exists() for device in ("nvidia0", "kfd"))
    if engine == "openvino" and not has_openvino:
        raise NetworkError(
            "expected the package openvino and a converted network; choose the engine tensorflow", subject=card.name
        )
    if engine == "tensorflow" and not _has("tensorflow"):
        raise NetworkError(
            "expected the package tensorflow; install isletnet[training] or choose openvino", subject=card.name
        )
    if engine != "auto":
        return engine
    if _has("tensorflow") and (has_gpu or not has_openvino):
        return "tensorflow"
    if has_openvino:
        return "openvino"
    raise NetworkError("expected openvino or tensorflow to be installed; neither is", subject=card.name)


def _choose_precision(card: Card, precision: PrecisionChoice, *, chip_has_bf16: bool) -> str:
    shift = card.dice_shift("bf16")
    allowed = shift is not None and shift < LARGEST_DICE_SHIFT
    if precision == "bf16" and not allowed:
        measured = "not measured" if shift is None else f"{shift:.4f}"
        raise NetworkError(
            f"bf16 is allowed where Dice moves by less than {LARGEST_DICE_SHIFT}; here it is {measured}: choose f32",
            subject=card.name,
        )
    if precision == "bf16" and not chip_has_bf16:
        raise NetworkError(
            "expected a processor with bf16 arithmetic, this one has none: choose f32", subject=card.name
        )
    if precision == "auto":
        return "bf16" if allowed and chip_has_bf16 else "f32"
    return precision


def load_network(
    name: str,
    version: str | None = None,
    *,
    engine: EngineChoice = "auto",
    precision: PrecisionChoice = "auto",
    threads: int = 0,
    lanes: int = 1,
) -> Network:
    """Load a network.

    Parameters
    ----------
    name
        Name in the catalogue or path of a network's folder.
    version
        None takes the newest.
    engine
        ``auto``: TensorFlow where there is a GPU, OpenVINO on a CPU.
    precision
        ``auto``: bf16 where the chip has it and the network's card allows it, else f32.
    threads
        CPU threads; 0 takes all.
    lanes
        Most tiles at once on OpenVINO, when several threads call; each takes memory of its own.

    Returns
    -------
    Network

    Raises
    ------
    NetworkError
        If the network is unknown, damaged or cannot run here as asked.
    """
    card = find_network(name, version)
    chosen = _choose_engine(card, engine)
    if chosen == "openvino":
        from isletnet.networks.openvino_engine import OpenvinoRunner, cpu_has_bf16

        used = _choose_precision(card, precision, chip_has_bf16=precision != "f32" and cpu_has_bf16())
        run: Runner = OpenvinoRunner(card.folder, precision=used, threads=threads, lanes=lanes)
    else:
        from isletnet.networks.tensorflow_engine import TensorflowRunner

        if precision == "bf16":
            raise NetworkError("TensorFlow runs in f32 here; choose the engine openvino for bf16", subject=card.name)
        used = "f32"
        run = TensorflowRunner(
            card.folder / WEIGHTS_FILE, card.widths, card.stem_width, card.convolutions, threads=threads
        )
    identity = NetworkIdentity(
        name=card.name, version=card.version, weights_sha256=card.weights_sha256, engine=chosen, precision=used
    )
    return Network(card=card, identity=identity, run=run)
