"""One training on several devices: each step's batch is split over them, and every one has all weights. JAX only.

Source: `keras.distribution.DataParallel`, https://keras.io/api/distribution/.
"""

from typing import Any

import keras


class TooFewDevicesError(Exception):
    """There are fewer devices than were asked for; the message says how many of both."""


def split_batches(count: int) -> None:
    """Has the models that are built from now on train on the first `count` devices. Raises `TooFewDevicesError`."""
    there = keras.distribution.list_devices()
    if len(there) < count:
        raise TooFewDevicesError(f"{count} devices were asked for, and there are {len(there)}: {', '.join(there)}")
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=there[:count]))


class WholeTests(keras.callbacks.Callback):
    """Evaluates on batches that are not split: the last one of a test set may not be a multiple of the devices."""

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.distribution = keras.distribution.distribution()
        keras.distribution.set_distribution(None)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        keras.distribution.set_distribution(self.distribution)
