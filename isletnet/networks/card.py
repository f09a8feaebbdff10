"""The card of a network (`model.json`): what it is, what it needs, how good it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isletnet.errors import NetworkError
from isletnet.schemas import CELL_PX

if TYPE_CHECKING:
    from pathlib import Path

CARD_FILE = "model.json"
WEIGHTS_FILE = "core.weights.h5"
FEATURES_GRAPH, NETWORK_GRAPH = "features.xml", "network.xml"
OPENVINO_FILES = (FEATURES_GRAPH, "features.bin", NETWORK_GRAPH, "network.bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A network's folder and its card. ``files`` maps file names to sha256; ``content`` is the whole JSON."""

    folder: Path
    name: str
    version: str
    working_um_per_px: float
    islet_threshold: float
    widths: tuple[int, ...]
    stem_width: int
    convolutions: int
    files: dict[str, str]
    content: dict[str, Any]

    @property
    def weights_sha256(self) -> str:
        """Hash of the reference weights: the identity of the network."""
        return self.files[WEIGHTS_FILE]

    @property
    def halo_px(self) -> int:
        """How far the network looks beyond a tile, at its working scale, rounded up to whole cells.

        A 3x3 convolution at stride s looks s px further; pooling and upsampling add up to the coarsest stride, the
        convolutions at full resolution four.
        """
        strides = [2 << level for level in range(len(self.widths))]
        radius_px = self.convolutions * (sum(strides) + sum(strides[:-1])) + strides[-1] + 4
        return -(-radius_px // CELL_PX) * CELL_PX

    def dice_shift(self, precision: str) -> float | None:
        """Largest change of a class's Dice on the fixed evaluation sets against float32, if it was measured."""
        shift = self.content.get("precision_dice_shift", {}).get(precision)
        return None if shift is None else float(shift)


def sha256_of(path: Path) -> str:
    """Hash a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_card(folder: Path) -> Card:
    """Read a network's card and check that its files are what the card says.

    Parameters
    ----------
    folder
        The network's version folder.

    Returns
    -------
    Card

    Raises
    ------
    NetworkError
        If the card is absent or incomplete, or a file is absent or changed.
    """
    path = folder / CARD_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        card = Card(
            folder=folder,
            name=content["name"],
            version=content["version"],
            working_um_per_px=float(content["working_um_per_px"]),
            islet_threshold=float(content["thresholds"]["islet"]),
            widths=tuple(content["architecture"]["widths"]),
            stem_width=int(content["architecture"]["stem_width"]),
            convolutions=int(content["architecture"]["convolutions"]),
            files=dict(content["files"]),
            content=content,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NetworkError(
            f"expected a readable {CARD_FILE}, got {type(error).__name__}: {error}", subject=str(folder)
        ) from error
    if WEIGHTS_FILE not in card.files:
        raise NetworkError(f"its {CARD_FILE} lists no {WEIGHTS_FILE}; install the network again", subject=card.name)
    for name, expected in card.files.items():
        if not (folder / name).is_file():
            raise NetworkError(f"the file {name} is missing; install the network again", subject=card.name)
        found = sha256_of(folder / name)
        if found != expected:
            raise NetworkError(
                f"{name} has sha256 {found[:12]}..., its card says {expected[:12]}...; install the network again",
                subject=card.name,
            )
    return card
