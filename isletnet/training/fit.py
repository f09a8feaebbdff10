"""Fit a network: synthetic scenes and real micrographs, with checkpoints, the same run from the same seed."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from queue import Queue
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from isletnet.networks.unet import FEATURES_N, build_core
from isletnet.training.augment import CropSource, colour, crop_source, straight_crop, warped_crop
from isletnet.training.datasets import NOT_ISLET, TrainingPicture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from isletnet.training.recipes import FitPlan

Batch = tuple["NDArray[np.float32]", "NDArray[np.uint8]"]


def _crop(
    rng: np.random.Generator,
    plan: FitPlan,
    synthetic: Sequence[TrainingPicture],
    real: Sequence[CropSource],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    if real and rng.random() < plan.real_fraction:
        levels, background, labels = warped_crop(
            rng, real[int(rng.choice(len(real), p=weights))], plan.side_px, variation=plan.variation
        )
    else:
        levels, background, labels = straight_crop(rng, synthetic[int(rng.integers(len(synthetic)))], plan.side_px)
    return colour(rng, levels, background, strength=plan.variation), labels


def _batches(
    plan: FitPlan, synthetic: Sequence[TrainingPicture], real: Sequence[TrainingPicture], first_step: int
) -> Queue[Batch | Exception]:
    """Fill a queue from a thread; the crops of a step depend on the seed and the step alone."""
    queue: Queue[Batch | Exception] = Queue(maxsize=4)
    sources = [crop_source(p) for p in real]
    # A picture with several kinds of tissue teaches more than one with a single islet.
    shares = np.array([2.0 if (p.labels == 2).any() else 1.0 for p in real])

    def work() -> None:
        try:
            for step in range(first_step, plan.steps):
                rng = np.random.default_rng([plan.seed, step])
                crops = [_crop(rng, plan, synthetic, sources, shares / shares.sum()) for _ in range(plan.batch)]
                queue.put((np.stack([c[0] for c in crops]), np.stack([c[1] for c in crops])))
        except Exception as error:  # noqa: BLE001 (handed to the thread that trains, which raises it)
            queue.put(error)

    threading.Thread(target=work, daemon=True).start()
    return queue


def segmentation_loss(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross entropy, heavier along islet contours, most at small islets, plus soft Dice of both tissues.

    Parameters
    ----------
    labels
        uint8 ``(n, height, width)``: 0, 1, 2, or `NOT_ISLET` where background and exocrine are not told apart.
    logits
        float32 ``(n, height, width, 3)``.

    Returns
    -------
    tf.Tensor
        Scalar.
    """
    probability = tf.nn.softmax(logits)
    partial = labels == NOT_ISLET
    known = tf.cast(~partial, tf.float32)
    truth = tf.one_hot(tf.where(partial, tf.zeros_like(labels), labels), 3)
    log_probability = tf.nn.log_softmax(logits)
    full = -tf.reduce_sum(truth * log_probability, axis=-1)
    not_islet = tf.reduce_logsumexp(tf.gather(log_probability, [0, 2], axis=-1), axis=-1)
    entropy = tf.where(partial, -not_islet, full)
    islet = truth[..., 1:2]
    rim = tf.nn.max_pool2d(islet, 7, 1, "SAME") + tf.nn.max_pool2d(-islet, 7, 1, "SAME")
    # A pixel of contour is a larger share of a small islet, so it weighs more there.
    crowding = tf.nn.avg_pool2d(islet, 31, 1, "SAME")
    small = tf.clip_by_value(1.0 - crowding / 0.45, 0.0, 1.0)
    weight = 1.0 + (rim * (2.0 + 4.0 * small))[..., 0] + truth[..., 2]
    dice = 0.0
    for c in (1, 2):
        mask = known if c == 2 else tf.ones_like(known)
        overlap = tf.reduce_sum(probability[..., c] * truth[..., c] * mask)
        total = tf.reduce_sum((probability[..., c] + truth[..., c]) * mask)
        dice += 1.0 - (2.0 * overlap + 200.0) / (total + 200.0)
    return tf.reduce_mean(weight * entropy) + 0.5 * dice


def fit(
    plan: FitPlan,
    folder: Path,
    synthetic: Sequence[TrainingPicture],
    real: Sequence[TrainingPicture] = (),
    *,
    start_from: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> keras.Model:
    """Train a core, or go on where ``folder`` stopped.

    Parameters
    ----------
    plan
        Architecture, length and seed.
    folder
        Gets ``plan.json``, checkpoints, ``log.jsonl`` and at the end ``core.weights.h5`` (averaged weights).
    synthetic, real
        Pictures to learn from.
    start_from
        Weights file of the same architecture to begin with.
    report
        Called with a line of progress now and then.

    Returns
    -------
    keras.Model
        The trained core.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(asdict(plan), indent=1))
    keras.utils.set_random_seed(plan.seed)
    core = build_core(plan.widths, plan.stem_width, plan.convolutions)
    if start_from is not None:
        core.load_weights(start_from)
    schedule = keras.optimizers.schedules.CosineDecay(
        plan.learning_rate / 20,
        plan.steps,
        alpha=0.01,
        warmup_target=plan.learning_rate,
        warmup_steps=min(200, plan.steps // 10),
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-4, clipnorm=5.0, use_ema=True, ema_momentum=0.995)
    optimizer.build(core.trainable_variables)
    checkpoint = tf.train.Checkpoint(core=core, optimizer=optimizer, step=tf.Variable(0))
    manager = tf.train.CheckpointManager(checkpoint, str(folder / "checkpoints"), max_to_keep=2)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint)
    first_step = int(checkpoint.step)

    def step_eagerly(inputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = segmentation_loss(labels, core(inputs, training=True))
        optimizer.apply(tape.gradient(loss, core.trainable_variables), core.trainable_variables)
        return loss

    signature = [
        tf.TensorSpec([None, None, None, FEATURES_N], tf.float32),
        tf.TensorSpec([None, None, None], tf.uint8),
    ]
    train_step = tf.function(step_eagerly, input_signature=signature)
    queue = _batches(plan, synthetic, real, first_step)
    losses: list[float] = []
    for step in range(first_step, plan.steps):
        batch = queue.get()
        if isinstance(batch, Exception):
            raise batch
        inputs, labels = batch
        losses.append(float(train_step(inputs, labels)))
        if (step + 1) % 50 == 0:
            line = {"step": step + 1, "of": plan.steps, "loss": round(float(np.mean(losses[-50:])), 4)}
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            report(f"step {step + 1} of {plan.steps}, loss {line['loss']}")
        if (step + 1) % plan.checkpoint_steps == 0:
            checkpoint.step.assign(step + 1)
            manager.save()
    optimizer.finalize_variable_values(core.trainable_variables)
    core.save_weights(folder / "core.weights.h5")
    return core
