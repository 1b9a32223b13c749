"""The attentions and the controls that stand in for one, as Keras layers on `(batch, patches, dim)`."""

import math
from typing import Any, get_args

import keras
from keras import ops

from models import cost
from models.config import AttentionConfig, ExternalAttentionConfig, Implementation
from models.dropout import Dropout
from models.normalization import NORMALIZATIONS, dropped, without_effect


@keras.saving.register_keras_serializable("eanet-ablation")
class ExternalAttention(keras.layers.Layer):
    """Multi-head external attention: two small memories, shared by all heads and all images, replace keys and values.

    With x of shape `(batch, patches, dim)`, H = `heads * dim_coefficient` heads of width `dim / heads`, and
    S = `memory_units`:

        q = x W_q + b_q                          (batch, H, dim / heads, patches)
        a = normalise(q M_k + b_k)               (batch, H, S, patches)
        y = join(a M_v + b_v) W_o + b_o          (batch, patches, dim)

    `normalization` is "patches" (softmax over the patches), "units" (softmax over the S units) or "double": softmax
    over the patches, then each row divided by its sum over the units (`models.normalization`). The patches are the last
    axis throughout: no array is transposed but in the products themselves.

    Nothing non-linear stands between W_q and M_k, nor between M_v and W_o. With `implementation` "folded" W_q M_k and
    M_v W_o are multiplied first, in every step: the same function and gradients of the same parameters. "factored"
    computes as written above, and "auto" in whichever way has fewer multiply-adds a token (`models.cost.folds`).

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
        implementation: str = "auto",
        memories: tuple[keras.layers.Layer, keras.layers.Layer] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization {normalization!r}; allowed: {', '.join(NORMALIZATIONS)}")
        if implementation not in get_args(Implementation):
            raise ValueError(f"implementation {implementation!r}; allowed: {', '.join(get_args(Implementation))}")
        self.heads = heads
        self.dim_coefficient = dim_coefficient
        self.memory_units = memory_units
        self.normalization = normalization
        self.attention_dropout = attention_dropout
        self.projection_dropout = projection_dropout
        self.own_memories = own_memories
        self.implementation = implementation
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
        self.attention_drop = Dropout(self.attention_dropout, dtype=self.dtype_policy)
        self.projection_drop = Dropout(self.projection_dropout, dtype=self.dtype_policy)
        self.folds = cost.folds(self.implementation, dim, self.head_dim, self.memory_units)

    def call(self, x: Any, training: bool | None = None) -> Any:
        compute = self._folded if self.folds else self._factored
        return self.projection_drop(compute(x, bool(training)), training=training)

    def _factored(self, x: Any, training: bool) -> Any:
        patches = x.shape[1]
        query = ops.matmul(ops.transpose(self.query.kernel), _swap(x)) + _column(self.query.bias)
        query = ops.reshape(query, (-1, self.total_heads, self.head_dim, patches))
        logits = ops.matmul(_swap(self.memory_key.kernel), query)
        weights, share = self._weights(logits, _column(self.memory_key.bias), training)
        values = ops.matmul(_swap(self.memory_value.kernel) / share, weights) + _column(self.memory_value.bias)
        joined = ops.reshape(values, (-1, self.total_heads * self.head_dim, patches))
        return _swap(ops.matmul(_swap(self.output_projection.kernel), joined)) + self.output_projection.bias

    def _folded(self, x: Any, training: bool) -> Any:
        dim, patches = x.shape[2], x.shape[1]
        heads = (self.total_heads, self.head_dim)
        query = ops.transpose(ops.reshape(self.query.kernel, (dim, *heads)), (1, 2, 0))
        key = ops.reshape(ops.matmul(_swap(self.memory_key.kernel), query), (-1, dim))
        query_bias = ops.reshape(self.query.bias, (*heads, 1))
        key_bias = ops.matmul(_swap(self.memory_key.kernel), query_bias) + _column(self.memory_key.bias)
        logits = ops.reshape(ops.matmul(key, _swap(x)), (-1, *key_bias.shape[:2], patches))
        weights, share = self._weights(logits, key_bias, training)

        output = ops.reshape(self.output_projection.kernel, (*heads, dim))
        value = ops.reshape(ops.matmul(self.memory_value.kernel, output) / share, (-1, dim))
        value_bias = ops.sum(ops.matmul(_row(self.memory_value.bias), output), axis=(0, 1))
        weights = ops.reshape(weights, (-1, value.shape[0], patches))
        return _swap(ops.matmul(_swap(value), weights)) + (value_bias + self.output_projection.bias)

    def _weights(self, logits: Any, bias: Any, training: bool) -> tuple[Any, float]:
        """The normalised logits without those that the dropout drops, and by what share the others are to be divided:
        that is cheaper where they go to."""
        normalise = NORMALIZATIONS[self.normalization]
        if not training or not self.attention_dropout:
            return normalise(logits, bias), 1.0
        return normalise(logits, bias, self.attention_drop.kept(ops.shape(logits))), self.attention_drop.share_kept

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "heads": self.heads,
            "dim_coefficient": self.dim_coefficient,
            "memory_units": self.memory_units,
            "normalization": self.normalization,
            "attention_dropout": self.attention_dropout,
            "projection_dropout": self.projection_dropout,
            "own_memories": self.own_memories,
            "implementation": self.implementation,
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


def _swap(x: Any) -> Any:
    """Its last two axes exchanged."""
    return ops.swapaxes(x, -1, -2)


def _row(bias: Any) -> Any:
    """A bias `(units)`, or each head's own `(heads, 1, units)`, as rows."""
    return bias if len(bias.shape) > 1 else ops.expand_dims(bias, 0)


def _column(bias: Any) -> Any:
    """The same as columns, for an array whose last axis are the patches."""
    return _swap(_row(bias))


def _memory(name: str, inputs: int, units: int, heads: int | None, dtype: Any) -> keras.layers.Layer:
    """The layer that holds M_k or M_v, unbuilt. With `heads`, the number H, each head has its own."""
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


@keras.saving.register_keras_serializable("eanet-ablation")
class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention: function and parameters of Keras's `MultiHeadAttention` with query = key = value = x.

    x of shape `(batch, patches, dim)`: softmax(q k^T / sqrt(key_dim)) v per head, joined and projected back to dim.
    Cost is quadratic in `patches`. Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2. As in the tutorial
    there is dropout on the attention weights and none after the projection.

    Keras's layer computes it where no weight is dropped, in the backend's fused kernel where there is one. With dropout
    it is computed here (`dropped_attention`), without the bias of the keys: it adds the same to all scores of a query,
    which the softmax cancels.
    """

    def __init__(self, heads: int = 4, key_dim: int = 64, attention_dropout: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.key_dim = key_dim
        self.attention_dropout = attention_dropout

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.attention = keras.layers.MultiHeadAttention(
            self.heads, self.key_dim, dtype=self.dtype_policy, name="attention"
        )
        self.attention.build(input_shape, input_shape)
        self.attention_drop = Dropout(self.attention_dropout, dtype=self.dtype_policy)

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training or not self.attention_dropout:
            return self.attention(x, x)
        dim, patches = x.shape[2], x.shape[1]
        keras_layer, column = self.attention, (self.heads, self.key_dim, 1)

        def projected(layer: keras.layers.Layer, scale: float) -> Any:
            kernel = ops.transpose(ops.reshape(layer.kernel / scale, (dim, -1)))
            return ops.reshape(ops.matmul(kernel, _swap(x)), (-1, self.heads, self.key_dim, patches))

        root, share = math.sqrt(self.key_dim), self.attention_drop.share_kept
        query = projected(keras_layer.query_dense, root) + ops.reshape(keras_layer.query_dense.bias / root, column)
        value = projected(keras_layer.value_dense, share) + ops.reshape(keras_layer.value_dense.bias / share, column)
        key = without_effect(projected(keras_layer.key_dense, 1.0), ops.reshape(keras_layer.key_dense.bias, column))
        kept = self.attention_drop.kept((ops.shape(x)[0], self.heads, patches, patches))
        mixed = ops.reshape(dropped_attention(query, key, value, kept), (-1, self.heads * self.key_dim, patches))
        output = ops.reshape(keras_layer.output_dense.kernel, (-1, dim))
        return _swap(ops.matmul(ops.transpose(output), mixed)) + keras_layer.output_dense.bias

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "heads": self.heads,
            "key_dim": self.key_dim,
            "attention_dropout": self.attention_dropout,
        }


def dropped_attention(query: Any, key: Any, value: Any, kept: Any) -> Any:
    """softmax over the keys of query^T key, without the weights that are not `kept`, times value.

    `query`, `key` and `value` are `(batch, heads, key_dim, patches)`, `kept` is `(batch, heads, patches, patches)`. The
    gradient takes the sum over a row of weights times their gradients from the output, which is smaller:
    sum_j a_ij g_ij = sum_d y_di dy_di. Source: Dao et al. 2022, arXiv:2205.14135, appendix B.2.
    """

    @ops.custom_gradient
    def attend(query: Any, key: Any, value: Any) -> Any:
        weights = ops.softmax(ops.matmul(_swap(query), key), axis=-1)
        left = dropped(weights, kept)
        output = ops.matmul(value, _swap(left))

        def gradient(*args: Any, upstream: Any = None) -> Any:
            of_output = args[0] if upstream is None else upstream
            rows = _swap(ops.sum(of_output * output, axis=-2, keepdims=True))
            of_scores = left * ops.matmul(_swap(of_output), value) - weights * rows
            return ops.matmul(key, _swap(of_scores)), ops.matmul(query, of_scores), ops.matmul(of_output, left)

        return output, gradient

    return attend(query, key, value)


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
