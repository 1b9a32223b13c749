"""The Keras layer of external attention, folded and as published."""

import math
from typing import Any, Self

import keras
from keras import ops

from models.attentions import external
from models.layers.attention import AttentionLayer, plus_column, swap
from models.layers.dropout import Dropout
from models.layers.normalization import NORMALIZATIONS


@keras.saving.register_keras_serializable("eanet-ablation")
class ExternalAttention(AttentionLayer):
    """Multi-head external attention: two small memories, shared by all heads and all images, replace keys and values.

    With x of shape `(batch, patches, dim)`, d_h = `dim / heads`, H = `heads * dim_coefficient` heads, and
    S = `memory_units`:

        q = x W_q + b_q                          (batch, H, d_h, patches)
        a = normalize(q M_k + b_k)               (batch, H, S, patches)
        y = join(a M_v + b_v) W_o + b_o          (batch, patches, dim)

    `normalization` is "patches" (softmax over the patches), "units" (softmax over the S units) or "double": softmax
    over the patches, then each row divided by its sum over the units (`models.layers.normalization`). Dropout acts on a
    (`attention_dropout`) and on y (`projection_dropout`). The patches are the last axis throughout: no array is
    transposed except in the products themselves.

    No non-linearity stands between W_q and M_k, nor between M_v and W_o. Folded (`ExternalAttention.folds`), W_q M_k
    and M_v W_o are multiplied first, in every step: the same function, and gradients of the same parameters.
    `memories`, a pair of layers for M_k and M_v, are used instead of new ones: with `memory_sharing` "layers" all
    blocks share them. With "none" each head has its own M_k, b_k, M_v and b_v.

    Cost is linear in `patches`. Source: Guo et al. 2021, arXiv:2105.02358, section 3.2 and algorithm 2;
    https://keras.io/examples/vision/eanet/. Raises `ValueError` when built on a dim that `heads` does not divide.
    """

    settings: external.ExternalAttention

    def __init__(
        self,
        settings: external.ExternalAttention,
        memories: tuple[keras.layers.Layer, keras.layers.Layer] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(settings, **kwargs)
        self.memories = memories

    @classmethod
    def for_blocks(cls, settings: external.ExternalAttention, dim: int, blocks: int) -> list[Self]:
        if settings.memory_sharing != "layers":
            return super().for_blocks(settings, dim, blocks)
        memories = _memories(dim // settings.heads, settings.memory_units, dtype=keras.config.dtype_policy())
        return [cls(settings, memories) for _ in range(blocks)]

    def build(self, input_shape: tuple[Any, ...]) -> None:
        batch, patches, dim = input_shape
        s = self.settings
        s.require_width(dim)
        self.head_dim = dim // s.heads
        self.total_heads = s.heads * s.dim_coefficient
        wide = self.head_dim * self.total_heads
        own_heads = self.total_heads if s.memory_sharing == "none" else None

        self.query = keras.layers.Dense(wide, dtype=self.dtype_policy, name="query")
        self.memory_key, self.memory_value = self.memories or _memories(
            self.head_dim, s.memory_units, heads=own_heads, dtype=self.dtype_policy
        )
        self.output_projection = keras.layers.Dense(dim, dtype=self.dtype_policy, name="output_projection")
        self.query.build((batch, patches, dim))
        for layer, inputs in ((self.memory_key, self.head_dim), (self.memory_value, s.memory_units)):
            if not layer.built:  # another block may have built shared memories
                layer.build((batch, self.total_heads, patches, inputs))
                if layer is self.memory_value and s.memory_value_start == "keys":
                    layer.kernel.assign(swap(self.memory_key.kernel))
        self.output_projection.build((batch, patches, wide))
        self.attention_drop = Dropout(s.attention_dropout, dtype=self.dtype_policy)
        self.projection_drop = Dropout(s.projection_dropout, dtype=self.dtype_policy)

    def call(self, x: Any, training: bool | None = None) -> Any:
        compute = self._folded if self.settings.folds(x.shape[-1]) else self._factored
        return self.projection_drop(compute(x, bool(training)), training=training)

    def _factored(self, x: Any, training: bool) -> Any:
        patches = x.shape[1]
        query = plus_column(ops.matmul(ops.transpose(self.query.kernel), swap(x)), _column(self.query.bias))
        query = ops.reshape(query, (-1, self.total_heads, self.head_dim, patches))  # (batch, H, d_h, patches)
        logits = ops.matmul(swap(self.memory_key.kernel), query)  # (batch, H, S, patches)
        weights, fraction = self._weights(logits, _column(self.memory_key.bias), training)
        values = ops.matmul(swap(self.memory_value.kernel) / fraction, weights)
        values = plus_column(values, _column(self.memory_value.bias))  # (batch, H, d_h, patches)
        joined = ops.reshape(values, (-1, self.total_heads * self.head_dim, patches))  # (batch, H d_h, patches)
        output = ops.matmul(swap(self.output_projection.kernel), joined)  # (batch, dim, patches)
        return swap(output) + self.output_projection.bias  # (batch, patches, dim)

    def _folded(self, x: Any, training: bool) -> Any:
        dim, patches = x.shape[2], x.shape[1]
        heads = (self.total_heads, self.head_dim)
        query = ops.transpose(ops.reshape(self.query.kernel, (dim, *heads)), (1, 2, 0))  # (H, d_h, dim)
        key = ops.reshape(ops.matmul(swap(self.memory_key.kernel), query), (-1, dim))  # (H S, dim)
        query_bias = ops.reshape(self.query.bias, (*heads, 1))
        key_bias = ops.matmul(swap(self.memory_key.kernel), query_bias) + _column(self.memory_key.bias)  # (H, S, 1)
        logits = ops.matmul(key, swap(x))  # (batch, H S, patches)
        logits = ops.reshape(logits, (-1, *key_bias.shape[:2], patches))  # (batch, H, S, patches)
        weights, fraction = self._weights(logits, key_bias, training)

        output = ops.reshape(self.output_projection.kernel, (*heads, dim))  # (H, d_h, dim)
        value = ops.reshape(ops.matmul(self.memory_value.kernel, output) / fraction, (-1, dim))  # (H S, dim)
        value_bias = ops.sum(ops.matmul(_row(self.memory_value.bias), output), axis=(0, 1))  # (dim,)
        weights = ops.reshape(weights, (-1, value.shape[0], patches))  # (batch, H S, patches)
        return swap(ops.matmul(swap(value), weights)) + (value_bias + self.output_projection.bias)

    def _weights(self, logits: Any, bias: Any, training: bool) -> tuple[Any, float]:
        """Returns the normalized logits after dropout, and the fraction to divide by, which is cheaper later."""
        normalize = NORMALIZATIONS[self.settings.normalization]
        if not training or not self.settings.attention_dropout:
            return normalize(logits, bias), 1.0
        return normalize(logits, bias, self.attention_drop.kept(ops.shape(logits))), self.attention_drop.fraction_kept

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"memories": self.memories and [_shared(layer) for layer in self.memories]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        memories = config["memories"] and tuple(map(keras.saving.deserialize_keras_object, config["memories"]))
        return super().from_config(config | {"memories": memories})


def _shared(layer: keras.layers.Layer) -> dict[str, Any]:
    """Returns the layer's configuration, marked so that a saved model shares the layer again when it is loaded.

    Keras sets the mark itself where it meets a layer for the second time, but not in the first one's configuration.
    """
    return keras.saving.serialize_keras_object(layer) | {"shared_object_id": id(layer)}


def _row(bias: Any) -> Any:
    """Returns a bias `(units)`, or each head's own `(heads, 1, units)`, as rows."""
    return bias if len(bias.shape) > 1 else ops.expand_dims(bias, 0)


def _column(bias: Any) -> Any:
    """Returns the same as columns, for an array whose last axis is the patches."""
    return swap(_row(bias))


def _memories(
    width: int, units: int, *, heads: int | None = None, dtype: Any
) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    """Returns the layers that hold M_k and M_v, unbuilt. With `heads`, the number H, each head has its own."""
    return (
        _memory("memory_key", width, units, heads, dtype),
        _memory("memory_value", units, width, heads, dtype),
    )


def _memory(name: str, inputs: int, units: int, heads: int | None, dtype: Any) -> keras.layers.Layer:
    if heads is None:
        return keras.layers.Dense(units, dtype=dtype, name=name)
    limit = math.sqrt(6 / (inputs + units))  # Glorot's for one head: Keras would count the heads as inputs
    return keras.layers.EinsumDense(
        "bhni,hiu->bhnu",
        (heads, None, units),
        bias_axes="hu",
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        dtype=dtype,
        name=name,
    )
