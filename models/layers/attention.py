"""Base of the attention layers: each is made from an attention's settings, and saved with them."""

from typing import Any, Self

import keras
from keras import ops
from pydantic import TypeAdapter

from models.attentions.attention import Attention
from models.config import AttentionConfig

_ATTENTION: TypeAdapter[Attention] = TypeAdapter(AttentionConfig)


class AttentionLayer(keras.layers.Layer):
    """The layer that computes an attention on `(batch, patches, dim)`; `settings` are that attention.

    A subclass has the name of its attention, in `models/layers/KIND.py`, and defines `build` and `call`.
    """

    def __init__(self, settings: Attention, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings

    @classmethod
    def for_blocks(cls, settings: Any, dim: int, blocks: int) -> list[Self]:
        """Returns a layer for each of `blocks` blocks of a model of `dim` features, unbuilt."""
        return [cls(settings) for _ in range(blocks)]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"settings": self.settings.model_dump(mode="json")}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config | {"settings": _ATTENTION.validate_python(config["settings"])})


def swap(x: Any) -> Any:
    """Exchanges the last two axes."""
    return ops.swapaxes(x, -1, -2)


def plus_column(x: Any, column: Any) -> Any:
    """Adds a bias of one value a row, `(..., 1)`, to `x` `(batch, ..., patches)`.

    The bias is repeated for each image first: its gradient is then a sum over the patches and a small one over the
    images. TensorFlow takes much longer for both sums in one (docs/speed.md).
    """
    between = (1,) * (len(x.shape) - 1 - len(column.shape))
    return x + ops.broadcast_to(column, (ops.shape(x)[0], *between, *column.shape))
