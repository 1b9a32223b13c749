"""The Keras layer that does nothing: a control."""

from typing import Any

import keras

from models.layers.attention import AttentionLayer


@keras.saving.register_keras_serializable("eanet-ablation")
class Identity(AttentionLayer):
    """y = x, `(batch, patches, dim)`: no patch depends on another."""

    def call(self, x: Any, training: bool | None = None) -> Any:
        return x
