"""The batches of a training, in the order of its seed, made while the step before them computes."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

AHEAD = 2
"""Batches that wait for their step."""


def batch_order(seed: int, epoch: int, images: int) -> np.ndarray:
    """The order of the training images in an epoch, a function of (seed, epoch) alone: no variant, no backend."""
    return np.random.default_rng([seed, epoch]).permutation(images)


def batches(
    images: np.ndarray, labels: np.ndarray, epochs: range, seed: int, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches of all epochs, each epoch's in the order of (seed, epoch)."""
    for epoch in epochs:
        order = batch_order(seed, epoch, len(images))
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            yield images[chosen], labels[chosen]


def prefetched(images: np.ndarray, labels: np.ndarray, epochs: range, seed: int, batch_size: int) -> Any:
    """The same as `fit` takes them best: on TensorFlow as a dataset that makes them ahead, elsewhere as they are.

    Of a plain generator Keras makes a dataset whose size TensorFlow tunes as it goes, and then waits for the tuner to
    wake up: after a fit, for up to as long as the fit took (docs/measurements.md).
    """
    if keras.backend.backend() != "tensorflow":
        return batches(images, labels, epochs, seed, batch_size)
    import tensorflow as tf

    signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in (images, labels))
    made = tf.data.Dataset.from_generator(
        lambda: batches(images, labels, epochs, seed, batch_size), output_signature=signature
    )
    options = tf.data.Options()
    options.autotune.enabled = False
    return made.prefetch(AHEAD).with_options(options)
