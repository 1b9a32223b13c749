"""Makes the batches of a training: in its seed's order, while the step before computes, split over devices."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

AHEAD = 2
"""Batches that wait for their step."""


def batch_order(seed: int, epoch: int, images: int) -> np.ndarray:
    """Draws the order of the training images in an epoch, from (seed, epoch) alone: no variant, no backend."""
    return np.random.default_rng([seed, epoch]).permutation(images)


def batches(
    images: np.ndarray, labels: np.ndarray, chosen: np.ndarray, *, epochs: range, seed: int, batch_size: int
) -> Any:
    """Makes the batches of the `chosen` images for all epochs, each epoch's in the order of (seed, epoch).

    No image is copied but into its batch.

    On TensorFlow that is a dataset that is ahead of its step, elsewhere a generator. Keras would make a generator a
    dataset whose size TensorFlow tunes, and after a fit would wait for the tuner to wake up, for up to as long as the
    fit took (docs/measurements.md).
    """

    def made() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for epoch in epochs:
            order = chosen[batch_order(seed, epoch, len(chosen))]
            for start in range(0, len(order), batch_size):
                members = order[start : start + batch_size]
                yield images[members], labels[members]

    if keras.backend.backend() != "tensorflow":
        return made()
    import tensorflow as tf

    signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in (images, labels))
    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_generator(made, output_signature=signature).prefetch(AHEAD).with_options(options)


class TooFewDevicesError(Exception):
    """There are fewer devices than asked for; the message says how many of both."""


def split_batches(count: int) -> None:
    """Makes models that are built later split each batch over the first `count` devices. JAX only.

    Each device has all weights. Raises `TooFewDevicesError`.
    Source: `keras.distribution.DataParallel`, https://keras.io/api/distribution/.
    """
    there = keras.distribution.list_devices()
    if len(there) < count:
        raise TooFewDevicesError(f"{count} devices were asked for, and there are {len(there)}: {', '.join(there)}")
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=there[:count]))


class WholeTests(keras.callbacks.Callback):
    """Evaluates on unsplit batches: the last one of a test set may not be a multiple of the devices."""

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.distribution = keras.distribution.distribution()
        keras.distribution.set_distribution(None)

    def on_predict_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.on_test_begin()

    def on_predict_end(self, logs: dict[str, Any] | None = None) -> None:
        self.on_test_end()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        keras.distribution.set_distribution(self.distribution)
