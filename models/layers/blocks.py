"""The parts that all models share: patch embedding, feed-forward and the encoder block around an attention."""

from typing import Any

import keras
from keras import ops

from models.layers.dropout import Dropout


@keras.saving.register_keras_serializable("eanet-ablation")
class PatchEmbedding(keras.layers.Layer):
    """Cuts images into patches, projects each to `dim` and adds a learned position embedding.

    `(batch, height, width, channels)` -> `(batch, patches, dim)`; a patch is read row, column, channel.
    Source: Dosovitskiy et al. 2020, arXiv:2010.11929, equation 1 (without the class token).
    """

    def __init__(self, patch_size: int, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.patch_size = patch_size
        self.dim = dim

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        batch, height, width, channels = input_shape
        if height is None or width is None or channels is None or height % self.patch_size or width % self.patch_size:
            raise ValueError(f"patch_size {self.patch_size} does not divide images of {height} x {width}")
        self.rows, self.columns = height // self.patch_size, width // self.patch_size
        self.values = self.patch_size**2 * channels
        self.projection = keras.layers.Dense(self.dim, dtype=self.dtype_policy, name="projection")
        self.projection.build((batch, self.rows * self.columns, self.values))
        self.position = self.add_weight(
            shape=(self.rows * self.columns, self.dim), initializer="uniform", name="position"
        )

    def call(self, images: Any) -> Any:
        size, channels = self.patch_size, images.shape[-1]
        tiles = ops.reshape(images, (-1, self.rows, size, self.columns, size, channels))
        tiles = ops.transpose(tiles, (0, 1, 3, 2, 4, 5))  # (batch, rows, columns, size, size, channels)
        patches = ops.reshape(tiles, (-1, self.rows * self.columns, self.values))  # (batch, patches, values)
        return self.projection(patches) + ops.cast(self.position, self.compute_dtype)


@keras.saving.register_keras_serializable("eanet-ablation")
class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's layer normalization over the features of `(batch, patches, dim)`, with a handwritten gradient.

    TensorFlow computes the operations of Keras's own one by one on a CPU, and those of its gradient; with h the
    normalized values, g = gamma * upstream and r = 1 / sqrt(variance + epsilon) the gradient by the input is
    r (g - mean(g) - h mean(g h)). The other backends have kernels of their own, or fuse the operations. It is computed
    in float32. Source: Ba et al. 2016, arXiv:1607.06450.
    """

    def call(self, inputs: Any) -> Any:
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs)

        @ops.custom_gradient
        def normalize(x: Any, gamma: Any, beta: Any) -> Any:
            centered = x - ops.mean(x, axis=-1, keepdims=True)
            inverse = ops.rsqrt(ops.mean(centered * centered, axis=-1, keepdims=True) + self.epsilon)
            normalized = centered * inverse

            def gradient(upstream: Any) -> Any:
                of_normalized = upstream * gamma
                along = ops.mean(of_normalized * normalized, axis=-1, keepdims=True)
                across = of_normalized - ops.mean(of_normalized, axis=-1, keepdims=True)
                of_gamma = ops.sum(upstream * normalized, axis=(0, 1))
                return inverse * (across - normalized * along), of_gamma, ops.sum(upstream, axis=(0, 1))

            return normalized * gamma + beta, gradient

        outputs = normalize(ops.cast(inputs, "float32"), self.gamma.value, self.beta.value)
        return ops.cast(outputs, self.compute_dtype)


@keras.saving.register_keras_serializable("eanet-ablation")
class FeedForward(keras.layers.Layer):
    """y = gelu(x W + b) W' + b' on `(batch, patches, dim)`, through `hidden_dim` features; `dropout` after each layer.

    GELU is in its tanh form. Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.3.
    """

    def __init__(self, hidden_dim: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.dropout = dropout

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.hidden = keras.layers.Dense(self.hidden_dim, dtype=self.dtype_policy, name="hidden")
        self.output_projection = keras.layers.Dense(input_shape[-1], dtype=self.dtype_policy, name="output")
        self.hidden_drop = Dropout(self.dropout, dtype=self.dtype_policy)
        self.output_drop = Dropout(self.dropout, dtype=self.dtype_policy)
        self.hidden.build(input_shape)
        self.output_projection.build((*input_shape[:-1], self.hidden_dim))

    def call(self, x: Any, training: bool | None = None) -> Any:
        hidden = ops.gelu(self.hidden(x), approximate=True)  # (batch, patches, hidden_dim)
        hidden = self.hidden_drop(hidden, training=training)
        return self.output_drop(self.output_projection(hidden), training=training)


@keras.saving.register_keras_serializable("eanet-ablation")
class EncoderBlock(keras.layers.Layer):
    """One pre-norm block around an attention: x + attention(norm(x)), then x + feed_forward(norm(x)).

    Shapes `(batch, patches, dim)` in and out. The attention is the only difference between variants; `hidden_dim` and
    `dropout` are the feed-forward's. Source: Dosovitskiy et al. 2020, arXiv:2010.11929, equations 2 and 3.
    """

    def __init__(self, attention: keras.layers.Layer, hidden_dim: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = attention
        self.hidden_dim = hidden_dim
        self.dropout = dropout

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.attention_norm = LayerNormalization(epsilon=1e-5, dtype=self.dtype_policy)
        self.feed_forward_norm = LayerNormalization(epsilon=1e-5, dtype=self.dtype_policy)
        self.feed_forward = FeedForward(self.hidden_dim, self.dropout, dtype=self.dtype_policy)
        for layer in (self.attention_norm, self.attention, self.feed_forward_norm, self.feed_forward):
            if not layer.built:  # an attention from a saved file is built already
                layer.build(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = x + self.attention(self.attention_norm(x), training=training)
        return x + self.feed_forward(self.feed_forward_norm(x), training=training)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "attention": keras.saving.serialize_keras_object(self.attention),
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "EncoderBlock":
        attention = keras.saving.deserialize_keras_object(config["attention"])
        return cls(**{**config, "attention": attention})
