"""Turn trained weights into a network's folder: weights, converted graph, card."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

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
from isletnet.networks.unet import build_core, decision_graph, feature_graph

if TYPE_CHECKING:
    from collections.abc import Mapping


def convert_to_openvino(weights: Path, architecture: Mapping[str, Any], folder: Path) -> None:
    """Freeze both graphs and write them in OpenVINO's format.

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
    for file, function, output in (
        (FEATURES_GRAPH, feature_graph(), "features"),
        (NETWORK_GRAPH, decision_graph(core), "probabilities"),
    ):
        frozen = convert_variables_to_constants_v2(function.get_concrete_function())
        with tempfile.TemporaryDirectory() as scratch:
            graph = Path(scratch) / "frozen.pb"
            graph.write_bytes(frozen.graph.as_graph_def().SerializeToString())
            converted = openvino.convert_model(graph)
        for tensor in converted.inputs:
            tensor.get_tensor().set_names({tensor.get_any_name().split(":")[0]})
        converted.outputs[0].get_tensor().set_names({output})
        openvino.save_model(converted, folder / file, compress_to_fp16=False)


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
