"""The Keras layer of linear attention, and what it shares with Performer's."""

from typing import Any

import keras
from keras import ops

from models.layers.attention import swap
from models.layers.heads import MultiHeadLayer


@keras.saving.register_keras_serializable("eanet-ablation")
class LinearAttention(MultiHeadLayer):
    """y_i = sum_j (f(q_i) . f(k_j)) v_j / sum_j f(q_i) . f(k_j) with f(x) = elu(x) + 1, on `(batch, patches, dim)`.

    Source: Katharopoulos et al. 2020, arXiv:2006.16236, equations 5 to 7.
    """

    def mix(self, query: Any, key: Any, value: Any, training: bool) -> Any:
        return by_features(ops.elu(_full(query)) + 1, ops.elu(_full(key)) + 1, value)


def by_features(query: Any, key: Any, value: Any) -> Any:
    """Attention whose weights are products of positive features of query and key.

    `query` and `key` are `(batch, heads, features, patches)`, `value` and the result `(batch, heads, key_dim,
    patches)`. It is computed in float32: sums over patches are long, and features small.
    """
    state = ops.matmul(_full(value), swap(key))  # (batch, heads, key_dim, features)
    total = ops.sum(key, axis=-1, keepdims=True)  # (batch, heads, features, 1)
    mixed = ops.matmul(state, query) / ops.sum(query * total, axis=-2, keepdims=True)
    return ops.cast(mixed, value.dtype)  # (batch, heads, key_dim, patches)


def _full(x: Any) -> Any:
    return ops.cast(x, "float32")
