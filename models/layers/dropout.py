"""Dropout from half the random bits of Keras's own: drawing them is most of its time on a processor."""

from typing import Any

import keras
from keras import ops

LEVELS = 2**16


@keras.saving.register_keras_serializable("eanet-ablation")
class Dropout(keras.layers.Layer):
    """In training, sets values to 0 with probability `rate` and divides the others by the share that is kept.

    The function of `keras.layers.Dropout`, which draws 32 bits a value. Here 16 decide, so the rate is met to within
    2^-17, and the share is exactly that of the rate that is met. Source: Srivastava et al. 2014,
    https://jmlr.org/papers/v15/srivastava14a.html.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.dropped_levels = min(round(rate * LEVELS), LEVELS - 1)
        self.share_kept = 1 - self.dropped_levels / LEVELS

    def kept(self, shape: tuple[Any, ...]) -> Any:
        """Draws which values of an array of `shape` are kept: a boolean array."""
        pairs = (shape[-1] + 1) // 2
        bits = keras.random.randint((*shape[:-1], pairs), -(2**31), 2**31 - 1, "int32", self.seed_generator)
        kept = ops.view(bits, "int16") >= self.dropped_levels - LEVELS // 2
        return kept if shape[-1] == 2 * pairs else kept[..., : shape[-1]]

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training or not self.dropped_levels:
            return x
        return ops.where(self.kept(ops.shape(x)), x / self.share_kept, 0.0)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate, "seed": self.seed}
