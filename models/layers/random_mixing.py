"""The Keras layer that mixes the patches by a fixed random matrix: a control."""

from typing import Any

import keras
from keras import ops

from models.layers.attention import AttentionLayer


@keras.saving.register_keras_serializable("eanet-ablation")
class RandomMixing(AttentionLayer):
    """y = R x on `(batch, patches, dim)`; R `(patches, patches)` is normal with variance 1 / patches, never trained."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        patches = input_shape[1]
        if patches is None:
            raise ValueError("the number of patches has to be known")
        normal = keras.initializers.RandomNormal(stddev=patches**-0.5)
        self.mixing = self.add_weight(shape=(patches, patches), initializer=normal, trainable=False, name="mixing")

    def call(self, x: Any, training: bool | None = None) -> Any:
        return ops.matmul(ops.cast(self.mixing, self.compute_dtype), x)  # (batch, patches, dim)
