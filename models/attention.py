"""The attentions and the controls that stand in for one, as Keras layers on `(batch, patches, dim)`."""

import math
from typing import Any

import keras
from keras import ops

from models.config import AttentionConfig, ExternalAttentionConfig


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

    With `own_memories` M_k, b_k, M_v and b_v are each head's own. `memories`, a pair of built layers for M_k and M_v,
    are used instead of new ones: that is how several attentions share them.

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
        own_memories: bool = False,
        memories: tuple[keras.layers.Layer, keras.layers.Layer] | None = None,
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
        self.own_memories = own_memories
        self.memories = memories

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        batch, patches, dim = input_shape
        if dim is None or dim % self.heads:
            raise ValueError(f"heads {self.heads} does not divide the input's last dimension {dim}")
        self.head_dim = dim // self.heads
        self.total_heads = self.heads * self.dim_coefficient
        wide = self.head_dim * self.total_heads

        own = (self.total_heads if self.own_memories else None, self.dtype_policy)

        self.query = keras.layers.Dense(wide, dtype=self.dtype_policy, name="query")
        self.memory_key, self.memory_value = self.memories or (
            _memory("memory_key", self.head_dim, self.memory_units, *own),
            _memory("memory_value", self.memory_units, self.head_dim, *own),
        )
        self.output_projection = keras.layers.Dense(dim, dtype=self.dtype_policy, name="output_projection")
        self.query.build((batch, patches, dim))
        for layer, inputs in ((self.memory_key, self.head_dim), (self.memory_value, self.memory_units)):
            if not layer.built:  # another attention may have built what they share
                layer.build((batch, self.total_heads, patches, inputs))
        self.output_projection.build((batch, patches, wide))
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
            "own_memories": self.own_memories,
            "memories": self.memories and [_shared(layer) for layer in self.memories],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ExternalAttention":
        memories = config["memories"]
        if memories:
            memories = tuple(keras.saving.deserialize_keras_object(layer) for layer in memories)
        return cls(**{**config, "memories": memories})


def _shared(layer: keras.layers.Layer) -> dict[str, Any]:
    """The layer's configuration with the mark by which Keras's files know that several hold the same one.

    Keras sets it itself where it meets a layer for the second time, but in a copy of the first one's.
    """
    return keras.saving.serialize_keras_object(layer) | {"shared_object_id": id(layer)}


def _memory(name: str, inputs: int, units: int, heads: int | None, dtype: Any) -> keras.layers.Layer:
    """M_k or M_v on `(batch, H, patches, inputs)`, unbuilt. With `heads`, the number H, each head has its own."""
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


@keras.saving.register_keras_serializable("eanet-ablation")
class Identity(keras.layers.Layer):
    """y = x: no patch learns of another. What a model does without attention."""

    def call(self, x: Any, training: bool | None = None) -> Any:
        return x


@keras.saving.register_keras_serializable("eanet-ablation")
class Mean(keras.layers.Layer):
    """y_n = the mean of x over the patches, for every patch n: the least that mixes them."""

    def call(self, x: Any, training: bool | None = None) -> Any:
        return ops.mean(x, axis=1, keepdims=True) + ops.zeros_like(x)


@keras.saving.register_keras_serializable("eanet-ablation")
class RandomMixing(keras.layers.Layer):
    """y = R x with R of shape `(patches, patches)`, drawn from a normal of variance 1 / patches and never trained."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        patches = input_shape[1]
        if patches is None:
            raise ValueError("the number of patches has to be known")
        normal = keras.initializers.RandomNormal(stddev=patches**-0.5)
        self.mixing = self.add_weight(shape=(patches, patches), initializer=normal, trainable=False, name="mixing")

    def call(self, x: Any, training: bool | None = None) -> Any:
        return ops.matmul(ops.cast(self.mixing, self.compute_dtype), x)


ATTENTION: dict[str, type[keras.layers.Layer]] = {
    "external": ExternalAttention,
    "self": SelfAttention,
    "fused_self": FusedSelfAttention,
    "identity": Identity,
    "mean": Mean,
    "random_mixing": RandomMixing,
}
"""The one mapping from an attention's name (`AttentionConfig.kind`) to its layer."""


def build_attention(config: AttentionConfig, **kwargs: Any) -> keras.layers.Layer:
    """The layer that `config` describes, unbuilt."""
    settings = config.model_dump(exclude={"kind", "memory_sharing"})
    if isinstance(config, ExternalAttentionConfig):
        settings["own_memories"] = config.memory_sharing == "none"
    return ATTENTION[config.kind](**settings, **kwargs)


def build_attentions(config: AttentionConfig, dim: int, blocks: int) -> list[keras.layers.Layer]:
    """An attention on `(batch, patches, dim)` for each block, unbuilt; with `memory_sharing` "layers" all have the same
    memories."""
    if not (isinstance(config, ExternalAttentionConfig) and config.memory_sharing == "layers"):
        return [build_attention(config) for _ in range(blocks)]
    width = dim // config.heads
    policy = keras.config.dtype_policy()
    memories = (
        _memory("memory_key", width, config.memory_units, None, policy),
        _memory("memory_value", config.memory_units, width, None, policy),
    )
    return [build_attention(config, memories=memories) for _ in range(blocks)]
