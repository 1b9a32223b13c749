"""The Keras layer of self-attention, with a handwritten gradient."""

import math
from typing import Any

import keras
from keras import ops

from models.attentions.fused_self import FusedSelfAttention
from models.attentions.self import SelfAttention as SelfAttentionSettings
from models.layers.attention import AttentionLayer, plus_column, swap
from models.layers.dropout import Dropout
from models.layers.normalization import dropped, without_effect


@keras.saving.register_keras_serializable("eanet-ablation")
class SelfAttention(AttentionLayer):
    """Multi-head self-attention: function and parameters of Keras's `MultiHeadAttention` with query = key = value = x.

    With x of shape `(batch, patches, dim)` and `heads` heads of width k = `key_dim`:

        q, k, v = x W + b                        (batch, heads, key_dim, patches), each
        a = softmax(q^T k / sqrt(key_dim))       (batch, heads, patches, patches)
        y = join(v a^T) W_o + b_o                (batch, patches, dim)

    Dropout acts on a (`attention_dropout`) and, as in the tutorial, not on y. Cost is quadratic in `patches`.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.

    Where no weight is dropped, Keras's layer computes it on JAX and PyTorch, in the backend's fused kernel if there is
    one. TensorFlow has none: there, and with dropout, `attend` computes it, without the bias of the keys: that adds the
    same to all scores of a query, which the softmax cancels.
    """

    settings: SelfAttentionSettings | FusedSelfAttention

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        heads, key_dim = self.settings.heads, self.settings.key_dim
        self.attention = keras.layers.MultiHeadAttention(heads, key_dim, dtype=self.dtype_policy, name="attention")
        self.attention.build(input_shape, input_shape)
        self.attention_drop = Dropout(self.settings.attention_dropout, dtype=self.dtype_policy)

    def call(self, x: Any, training: bool | None = None) -> Any:
        drops = training and self.settings.attention_dropout
        if not drops and keras.backend.backend() != "tensorflow":
            return self.attention(x, x)
        dim, patches = x.shape[2], x.shape[1]
        heads, key_dim, keras_layer = self.settings.heads, self.settings.key_dim, self.attention

        def projected(layer: keras.layers.Layer, scale: float = 1.0) -> tuple[Any, Any]:
            """The projection over `scale`, `(batch, heads, key_dim, patches)`, and its bias as a column."""
            kernel = ops.transpose(ops.reshape(layer.kernel / scale, (dim, -1)))  # (heads key_dim, dim)
            values = ops.reshape(ops.matmul(kernel, swap(x)), (-1, heads, key_dim, patches))
            return values, ops.reshape(layer.bias / scale, (heads, key_dim, 1))

        query = plus_column(*projected(keras_layer.query_dense, math.sqrt(key_dim)))
        key = without_effect(*projected(keras_layer.key_dense))
        value = plus_column(*projected(keras_layer.value_dense, self.attention_drop.fraction_kept if drops else 1.0))
        kept = self.attention_drop.kept((ops.shape(x)[0], heads, patches, patches)) if drops else None
        mixed = attend(query, key, value, kept)  # (batch, heads, key_dim, patches)
        mixed = ops.reshape(mixed, (-1, heads * key_dim, patches))
        output = ops.reshape(keras_layer.output_dense.kernel, (-1, dim))  # (heads key_dim, dim)
        return swap(ops.matmul(ops.transpose(output), mixed)) + keras_layer.output_dense.bias  # (batch, patches, dim)


def attend(query: Any, key: Any, value: Any, kept: Any = None) -> Any:
    """softmax over the keys of query^T key, with weights that are not `kept` set to 0, times value.

    `query`, `key` and `value` are `(batch, heads, key_dim, patches)`, `kept` is `(batch, heads, patches, patches)`;
    None keeps all. The gradient takes the sum over a row of weights times their gradients from the output, which is
    smaller: sum_j a_ij g_ij = sum_d y_di dy_di. Source: Dao et al. 2022, arXiv:2205.14135, appendix B.2.
    """

    @ops.custom_gradient
    def weighted(query: Any, key: Any, value: Any) -> Any:
        weights = ops.softmax(ops.matmul(swap(query), key), axis=-1)  # (batch, heads, patches, patches)
        left = dropped(weights, kept)
        output = ops.matmul(value, swap(left))  # (batch, heads, key_dim, patches)

        def gradient(*args: Any, upstream: Any = None) -> Any:
            of_output = args[0] if upstream is None else upstream
            rows = swap(ops.sum(of_output * output, axis=-2, keepdims=True))  # (batch, heads, patches, 1)
            of_scores = left * ops.matmul(swap(of_output), value) - weights * rows
            return ops.matmul(key, swap(of_scores)), ops.matmul(query, of_scores), ops.matmul(of_output, left)

        return output, gradient

    return weighted(query, key, value)
