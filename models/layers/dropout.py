"""Dropout with a quarter of the random bits of Keras's dropout, which spends most of its time on a CPU drawing them."""

from typing import Any

import keras
from keras import ops

from models.layers.random_bits import random_bytes

LEVELS = 2**8


@keras.saving.register_keras_serializable("eanet-ablation")
class Dropout(keras.layers.Layer):
    """In training, sets values to 0 with probability `rate` and divides the others by the fraction that is kept.

    `keras.layers.Dropout` draws 32 bits per value. This layer draws 8, and drops a value where they are below a
    threshold. A rate between two thresholds takes the upper one in as many of its calls as makes it exact: 0.2 is 51.2
    of 256, so one call in five drops 52 of 256 values and the others 51. A rate above 255 of 256 is 255 of 256.
    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.dropped_levels = min(rate * LEVELS, LEVELS - 1)
        self.fraction_kept = 1 - self.dropped_levels / LEVELS

    def kept(self, shape: tuple[Any, ...]) -> Any:
        """Draws which values of an array of `shape` are kept: a boolean array."""
        return random_bytes(shape, self.seed_generator) >= self._threshold()

    def _threshold(self) -> Any:
        if float(self.dropped_levels).is_integer():
            return ops.cast(int(self.dropped_levels), "uint8")
        return ops.cast(self.dropped_levels + keras.random.uniform((), seed=self.seed_generator), "uint8")

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training or not self.dropped_levels:
            return x
        return x * (ops.cast(self.kept(ops.shape(x)), x.dtype) / self.fraction_kept)
