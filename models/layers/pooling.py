"""The Keras layer of PoolFormer's pooling."""

from typing import Any

from keras import ops, saving

from models.attentions import pooling
from models.layers.attention import AttentionLayer


@saving.register_keras_serializable("eanet-ablation")
class Pooling(AttentionLayer):
    """y = the mean of the 3 x 3 patches around, of those that are on the grid, less x, on `(batch, patches, dim)`.

    Source: Yu et al. 2021, arXiv:2111.11418, equation 4.
    """

    settings: pooling.Pooling

    def call(self, x: Any, training: bool | None = None) -> Any:
        patches, dim = x.shape[1], x.shape[2]
        rows = self.settings.grid_rows or pooling.nearest_to_a_square(patches)
        grid = ops.reshape(x, (-1, rows, patches // rows, dim))  # (batch, rows, columns, dim)
        around = ops.average_pool(grid, 3, strides=1, padding="same", data_format="channels_last")
        return ops.reshape(around, (-1, patches, dim)) - x  # (batch, patches, dim)
