"""The Keras layer of cross-covariance attention."""

from typing import Any

from keras import ops, saving

from models.attentions import cross_covariance
from models.layers.attention import swap
from models.layers.dropout import Dropout
from models.layers.heads import MultiHeadLayer

SMALLEST_NORM = 1e-12


@saving.register_keras_serializable("eanet-ablation")
class CrossCovariance(MultiHeadLayer):
    """y = softmax(t q k^T) v in each head, with each feature of q and k of length 1 over the patches.

    Shapes `(batch, patches, dim)` in and out; the scores are `(batch, heads, key_dim, key_dim)`, t is trained, one a
    head, and starts at 1. Dropout acts on the softmax. Source: El-Nouby et al. 2021, arXiv:2106.09681, equation 1.
    """

    settings: cross_covariance.CrossCovariance

    def build(self, input_shape: tuple[Any, ...]) -> None:
        super().build(input_shape)
        self.temperature = self.add_weight(shape=(self.settings.heads, 1, 1), initializer="ones", name="temperature")
        self.attention_drop = Dropout(self.settings.attention_dropout, dtype=self.dtype_policy)

    def mix(self, query: Any, key: Any, value: Any, training: bool) -> Any:
        scores = ops.matmul(_of_length_one(query), swap(_of_length_one(key)))  # (batch, heads, key_dim, key_dim)
        weights = ops.softmax(scores * ops.cast(self.temperature, "float32"), axis=-1)
        weights = self.attention_drop(ops.cast(weights, value.dtype), training=training)
        return ops.matmul(weights, value)  # (batch, heads, key_dim, patches)


def _of_length_one(x: Any) -> Any:
    """Divides each row by its length over the patches, in float32."""
    full = ops.cast(x, "float32")
    return full / ops.maximum(ops.sqrt(ops.sum(full * full, axis=-1, keepdims=True)), SMALLEST_NORM)
