"""The Keras layer of Linformer's attention."""

from typing import Any

from keras import ops, saving

from models.attentions import linformer
from models.layers.dropout import Dropout
from models.layers.heads import MultiHeadLayer
from models.layers.self import attend


@saving.register_keras_serializable("eanet-ablation")
class Linformer(MultiHeadLayer):
    """y = softmax(q^T (k E) / sqrt(key_dim)) (v F)^T in each head, on `(batch, patches, dim)`.

    E and F `(patches, projected)` are trained and shared by the heads. Dropout acts on the softmax.
    Source: Wang et al. 2020, arXiv:2006.04768, equation 7.
    """

    settings: linformer.Linformer

    def build(self, input_shape: tuple[Any, ...]) -> None:
        super().build(input_shape)
        shape = (input_shape[1], self.settings.projected)
        self.of_keys = self.add_weight(shape=shape, initializer="glorot_uniform", name="of_keys")
        self.of_values = self.add_weight(shape=shape, initializer="glorot_uniform", name="of_values")
        self.attention_drop = Dropout(self.settings.attention_dropout, dtype=self.dtype_policy)

    def mix(self, query: Any, key: Any, value: Any, training: bool) -> Any:
        key = ops.matmul(key, ops.cast(self.of_keys, key.dtype))  # (batch, heads, key_dim, projected)
        value = ops.matmul(value, ops.cast(self.of_values, value.dtype))  # (batch, heads, key_dim, projected)
        query = query / self.settings.key_dim**0.5
        if not training or not self.settings.attention_dropout:
            return attend(query, key, value)
        batch, heads, _, patches = ops.shape(query)
        kept = self.attention_drop.kept((batch, heads, patches, self.settings.projected))
        return attend(query, key, value / self.attention_drop.fraction_kept, kept)
