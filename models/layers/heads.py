"""Base of the attention layers with heads: the projections into the heads, and out of them."""

from typing import Any

import keras
from keras import ops

from models.layers.attention import AttentionLayer, plus_column, swap


class MultiHeadLayer(AttentionLayer):
    """Projects `(batch, patches, dim)` to queries, keys and values, mixes these, and projects the joined heads back.

    A subclass defines `mix`. Each head is `settings.key_dim` wide. The patches are the last axis in between.
    """

    settings: Any

    def build(self, input_shape: tuple[Any, ...]) -> None:
        batch, patches, dim = input_shape
        self.wide = self.settings.heads * self.settings.key_dim
        self.query, self.key, self.value = (
            keras.layers.Dense(self.wide, dtype=self.dtype_policy, name=name) for name in ("query", "key", "value")
        )
        self.output_projection = keras.layers.Dense(dim, dtype=self.dtype_policy, name="output_projection")
        for layer in (self.query, self.key, self.value):
            layer.build(input_shape)
        self.output_projection.build((batch, patches, self.wide))

    def mix(self, query: Any, key: Any, value: Any, training: bool) -> Any:
        """Mixes the patches; all arrays are `(batch, heads, key_dim, patches)`."""
        raise NotImplementedError

    def call(self, x: Any, training: bool | None = None) -> Any:
        patches = x.shape[1]

        def heads(layer: keras.layers.Layer) -> Any:
            wide = plus_column(ops.matmul(ops.transpose(layer.kernel), swap(x)), ops.expand_dims(layer.bias, -1))
            return ops.reshape(wide, (-1, self.settings.heads, self.settings.key_dim, patches))

        mixed = self.mix(heads(self.query), heads(self.key), heads(self.value), bool(training))
        joined = ops.reshape(mixed, (-1, self.wide, patches))  # (batch, heads key_dim, patches)
        output = ops.matmul(ops.transpose(self.output_projection.kernel), joined)  # (batch, dim, patches)
        return swap(output) + self.output_projection.bias  # (batch, patches, dim)
