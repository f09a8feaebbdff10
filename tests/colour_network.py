"""A network folder for tests: it tells tissue by red against green, and is made without TensorFlow."""

import json
from pathlib import Path

import numpy as np
import openvino
from openvino import opset13 as ops

from isletnet.networks.card import CARD_FILE, FEATURES_GRAPH, NETWORK_GRAPH, OPENVINO_FILES, WEIGHTS_FILE, sha256_of


def write_colour_network(folder: Path) -> Path:
    """Write a network whose logits are linear in the grey levels: red alone is islet."""
    rgb = ops.parameter([1, -1, -1, 3], np.uint8, name="rgb")
    background = ops.parameter([1, -1, -1, 3], np.float32, name="log_background")
    features = ops.parameter([1, -1, -1, 3], np.float32, name="features")
    # Columns: background, islet, exocrine; rows: red, green, blue.
    weights = np.array([[0.0, 0.2, 0.0], [0.0, -0.4, 0.0], [0.0, 0.0, 0.0]], np.float32)
    logits = ops.add(
        ops.matmul(features, ops.constant(weights), False, False),
        ops.constant(np.array([0.0, -2.0, -8.0], np.float32)),
    )
    levels = ops.multiply(ops.softmax(logits, 3), ops.constant(np.float32(255)))
    probabilities = ops.convert(ops.round(levels, "half_to_even"), "u8")
    folder.mkdir(parents=True)
    for file, output, inputs in (
        (FEATURES_GRAPH, ops.convert(rgb, "f32"), [rgb, background]),
        (NETWORK_GRAPH, probabilities, [features]),
    ):
        model = openvino.Model([ops.result(output)], inputs, "colour")
        for tensor in model.inputs:
            tensor.get_tensor().set_names({tensor.node.get_friendly_name()})
        openvino.save_model(model, folder / file, compress_to_fp16=False)
    (folder / WEIGHTS_FILE).write_bytes(b"linear")
    card = {
        "name": "colour",
        "version": "1",
        "working_um_per_px": 4.0,
        "thresholds": {"islet": 0.5},
        "architecture": {"widths": [1], "stem_width": 1, "convolutions": 1},
        "files": {name: sha256_of(folder / name) for name in (WEIGHTS_FILE, *OPENVINO_FILES)},
    }
    (folder / CARD_FILE).write_text(json.dumps(card))
    return folder
