"""The two attentions, as Keras layers on `(batch, patches, dim)`, and the one mapping from name to layer."""

from typing import Any

import keras
from keras import ops

from models.config import AttentionConfig


@keras.saving.register_keras_serializable("eanet-ablation")
class ExternalAttention(keras.layers.Layer):
    """Multi-head external attention: two small memories, shared by all heads and all images, replace keys and values.

    With x of shape `(batch, patches, dim)`, H = `heads * dim_coefficient` heads of width `dim / heads`, and
    S = `memory_units`:

        q = x W_q + b_q                          (batch, H, patches, dim / heads)
        a = normalise(q M_k + b_k)               (batch, H, patches, S)
        y = join(a M_v + b_v) W_o + b_o          (batch, patches, dim)

    `normalization` is "patches" (softmax over the patches), "units" (softmax over the S units) or "double": softmax
    over the patches, then each row divided by its sum over the units. The double form is computed as
    softmax_S(logits - logsumexp_N(logits)): the same function, without the published 1e-9 and safe in half precision.

    Cost is linear in `patches`. Source: Guo et al. 2021, arXiv:2105.02358, section 3.2 and algorithm 2;
    https://keras.io/examples/vision/eanet/. Raises `ValueError` when built on a dim that `heads` does not divide.
    """

    def __init__(
        self,
        heads: int = 4,
        dim_coefficient: int = 4,
        memory_units: int = 16,
        normalization: str = "double",
        attention_dropout: float = 0.2,
        projection_dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization {normalization!r}; allowed: {', '.join(NORMALIZATIONS)}")
        self.heads = heads
        self.dim_coefficient = dim_coefficient
        self.memory_units = memory_units
        self.normalization = normalization
        self.attention_dropout = attention_dropout
        self.projection_dropout = projection_dropout

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        batch, patches, dim = input_shape
        if dim is None or dim % self.heads:
            raise ValueError(f"heads {self.heads} does not divide the input's last dimension {dim}")
        self.head_dim = dim // self.heads
        self.total_heads = self.heads * self.dim_coefficient
        wide = self.head_dim * self.total_heads

        def dense(units: int, name: str, inputs: int) -> keras.layers.Dense:
            layer = keras.layers.Dense(units, dtype=self.dtype_policy, name=name)
            layer.build((batch, patches, inputs))
            return layer

        self.query = dense(wide, "query", dim)
        self.memory_key = dense(self.memory_units, "memory_key", self.head_dim)
        self.memory_value = dense(self.head_dim, "memory_value", self.memory_units)
        self.output_projection = dense(dim, "output_projection", wide)
        self.attention_drop = keras.layers.Dropout(self.attention_dropout, dtype=self.dtype_policy)
        self.projection_drop = keras.layers.Dropout(self.projection_dropout, dtype=self.dtype_policy)

    def call(self, x: Any, training: bool | None = None) -> Any:
        patches, dim = x.shape[1], x.shape[2]
        query = ops.reshape(self.query(x), (-1, patches, self.total_heads, self.head_dim))
        logits = self.memory_key(ops.transpose(query, (0, 2, 1, 3)))
        attention = self.attention_drop(NORMALIZATIONS[self.normalization](logits), training=training)
        values = ops.transpose(self.memory_value(attention), (0, 2, 1, 3))
        joined = ops.reshape(values, (-1, patches, dim * self.dim_coefficient))
        return self.projection_drop(self.output_projection(joined), training=training)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "heads": self.heads,
            "dim_coefficient": self.dim_coefficient,
            "memory_units": self.memory_units,
            "normalization": self.normalization,
            "attention_dropout": self.attention_dropout,
            "projection_dropout": self.projection_dropout,
        }


def _over_patches(logits: Any) -> Any:
    return ops.softmax(logits, axis=-2)


def _over_units(logits: Any) -> Any:
    return ops.softmax(logits, axis=-1)


def _double(logits: Any) -> Any:
    return ops.softmax(logits - ops.logsumexp(logits, axis=-2, keepdims=True), axis=-1)


NORMALIZATIONS = {"patches": _over_patches, "units": _over_units, "double": _double}
"""Name -> normalisation of logits of shape `(batch, heads, patches, units)`."""


@keras.saving.register_keras_serializable("eanet-ablation")
class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention, Keras's own `MultiHeadAttention` with query = key = value = x.

    x of shape `(batch, patches, dim)`: softmax(q k^T / sqrt(key_dim)) v per head, joined and projected back to dim.
    Cost is quadratic in `patches`. Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2. As in the tutorial
    there is dropout on the attention weights and none after the projection.
    """

    def __init__(self, heads: int = 4, key_dim: int = 64, attention_dropout: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.key_dim = key_dim
        self.attention_dropout = attention_dropout

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.attention = keras.layers.MultiHeadAttention(
            self.heads, self.key_dim, dropout=self.attention_dropout, dtype=self.dtype_policy, name="attention"
        )
        self.attention.build(input_shape, input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.attention(x, x, training=training)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "heads": self.heads,
            "key_dim": self.key_dim,
            "attention_dropout": self.attention_dropout,
        }


@keras.saving.register_keras_serializable("eanet-ablation")
class FusedSelfAttention(SelfAttention):
    """Self-attention with no dropout on its weights, which lets Keras hand it to the backend's fused kernel.

    Such a kernel never holds the `(batch, heads, patches, patches)` weights: its time stays quadratic in `patches`,
    its memory is linear. PyTorch has one everywhere, JAX on a GPU in half precision, TensorFlow none
    (`keras.ops.dot_product_attention`). Source: Dao et al. 2022, arXiv:2205.14135.
    """

    def __init__(self, heads: int = 4, key_dim: int = 64, **kwargs: Any) -> None:
        super().__init__(heads, key_dim, attention_dropout=0.0, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["attention_dropout"]
        return config


ATTENTION: dict[str, type[keras.layers.Layer]] = {
    "external": ExternalAttention,
    "self": SelfAttention,
    "fused_self": FusedSelfAttention,
}
"""The one mapping from an attention's name (`AttentionConfig.kind`) to its layer."""


def build_attention(config: AttentionConfig, **kwargs: Any) -> keras.layers.Layer:
    """The layer that `config` describes, unbuilt."""
    return ATTENTION[config.kind](**config.model_dump(exclude={"kind"}), **kwargs)
