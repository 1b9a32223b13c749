"""The Keras layer of Performer's attention."""

from typing import Any

import keras
from keras import ops

from models.attentions import performer
from models.layers.heads import MultiHeadLayer
from models.layers.linear import by_features

SMALLEST_FEATURE = 1e-3
"""Added to each feature, as in the authors' code: a sum over them is never 0."""


@keras.saving.register_keras_serializable("eanet-ablation")
class Performer(MultiHeadLayer):
    """Linear attention with the features relu(W x / key_dim^(1/4)) + 1e-3, on `(batch, patches, dim)`.

    W `(features, key_dim)` has orthogonal rows, or columns, drawn once and never trained; all heads share it.
    Source: Choromanski et al. 2020, arXiv:2009.14794, section 2.3 (generalized attention with f = ReLU).
    """

    settings: performer.Performer

    def build(self, input_shape: tuple[Any, ...]) -> None:
        super().build(input_shape)
        self.random = self.add_weight(
            shape=(self.settings.features, self.settings.key_dim),
            initializer=keras.initializers.Orthogonal(gain=self.settings.key_dim**0.5),
            trainable=False,
            name="random",
        )

    def mix(self, query: Any, key: Any, value: Any, training: bool) -> Any:
        weights = ops.cast(self.random, "float32") / self.settings.key_dim**0.25

        def features(x: Any) -> Any:
            return ops.relu(ops.matmul(weights, ops.cast(x, "float32"))) + SMALLEST_FEATURE

        return by_features(features(query), features(key), value)
