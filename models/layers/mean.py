"""The Keras layer that gives every patch the mean: a control."""

from typing import Any

import keras
from keras import ops

from models.layers.attention import AttentionLayer


@keras.saving.register_keras_serializable("eanet-ablation")
class Mean(AttentionLayer):
    """y_n = mean over m of x_m, for every patch n of `(batch, patches, dim)`."""

    def call(self, x: Any, training: bool | None = None) -> Any:
        return ops.mean(x, axis=1, keepdims=True) + ops.zeros_like(x)  # (batch, 1, dim) -> (batch, patches, dim)
