"""Turn trained weights into a network's folder: weights, converted graph, card."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from isletnet.networks.card import (
    CARD_FILE,
    FEATURES_GRAPH,
    NETWORK_GRAPH,
    OPENVINO_FILES,
    WEIGHTS_FILE,
    Card,
    read_card,
    sha256_of,
)
from isletnet.networks.openvino_graph import feature_model, network_model
from isletnet.networks.unet import build_core

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def convert_to_openvino(weights: Path, architecture: Mapping[str, Any], folder: Path) -> None:
    """Write both graphs in OpenVINO's format.

    Parameters
    ----------
    weights
        ``core.weights.h5``.
    architecture
        ``widths``, ``stem_width``, ``convolutions``.
    folder
        Where the four files go.
    """
    import openvino

    core = build_core(architecture["widths"], architecture["stem_width"], architecture["convolutions"])
    core.load_weights(weights)
    network = network_model(core, architecture["widths"], architecture["convolutions"])
    for file, model in ((FEATURES_GRAPH, feature_model()), (NETWORK_GRAPH, network)):
        openvino.save_model(model, folder / file, compress_to_fp16=False)


def release(
    weights: Path,
    folder: Path,
    *,
    name: str,
    version: str,
    working_um_per_px: float,
    islet_threshold: float,
    architecture: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> Card:
    """Write a network's folder.

    Parameters
    ----------
    weights
        Trained ``core.weights.h5``.
    folder
        The version's folder; made if absent, files in it replaced.
    name, version
        Of the network.
    working_um_per_px
        Pixel size that it was trained at.
    islet_threshold
        Probability from which a pixel is islet.
    architecture
        ``widths``, ``stem_width``, ``convolutions``.
    facts
        What else the card holds: training data, parent, metrics, ``precision_dice_shift``, colours seen.

    Returns
    -------
    Card
        Read back and checked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, folder / WEIGHTS_FILE)
    convert_to_openvino(weights, architecture, folder)
    content = {
        "name": name,
        "version": version,
        "working_um_per_px": working_um_per_px,
        "thresholds": {"islet": islet_threshold},
        "classes": ["background", "islet", "exocrine"],
        "architecture": dict(architecture),
        "normalisation": "log ratio to a quadratic background surface, log redness, log brightness; in the graph",
        **facts,
        "files": {file: sha256_of(folder / file) for file in (WEIGHTS_FILE, *OPENVINO_FILES)},
        "framework": {"tensorflow": tf.__version__},
    }
    (folder / CARD_FILE).write_text(json.dumps(content, indent=1) + "\n")
    return read_card(folder)
