"""Dropout with half the random bits of Keras's dropout, which spends most of its time on a CPU drawing them."""

from typing import Any

import keras
from keras import ops

LEVELS = 2**16


@keras.saving.register_keras_serializable("eanet-ablation")
class Dropout(keras.layers.Layer):
    """In training, sets values to 0 with probability `rate` and divides the others by the fraction that is kept.

    `keras.layers.Dropout` draws 32 bits per value. This layer draws 16, which round the rate to within 2^-17; the
    fraction is that of the rounded rate. Source: Srivastava et al. 2014,
    https://jmlr.org/papers/v15/srivastava14a.html.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.dropped_levels = min(round(rate * LEVELS), LEVELS - 1)
        self.fraction_kept = 1 - self.dropped_levels / LEVELS

    def kept(self, shape: tuple[Any, ...]) -> Any:
        """Draws which values of an array of `shape` are kept: a boolean array."""
        pairs = (shape[-1] + 1) // 2
        bits = keras.random.randint((*shape[:-1], pairs), -(2**31), 2**31 - 1, "int32", self.seed_generator)
        kept = ops.view(bits, "int16") >= self.dropped_levels - LEVELS // 2
        return kept if shape[-1] == 2 * pairs else kept[..., : shape[-1]]

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training or not self.dropped_levels:
            return x
        return ops.where(self.kept(ops.shape(x)), x / self.fraction_kept, 0.0)
