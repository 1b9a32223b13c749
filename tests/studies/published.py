"""The tutorial's own construction, layer for layer: what the suite's models are held against, in function and time.

No result comes from it. It is the yardstick of `tests.studies.speed` and of `test_published.py`: Dense, Softmax,
Lambda and Dropout as published, on the same parameters in the same order. Source:
https://keras.io/examples/vision/eanet/ (ZhiYong Chang, 2021; Keras 3 since 2023).
"""

from typing import Any

import keras
from keras import layers, ops

from models.attentions.external import ExternalAttention
from models.attentions.self import SelfAttention
from models.augmentation import RECIPES
from models.config import ModelConfig


def external_attention(config: ExternalAttention, dim: int, x: Any) -> Any:
    """External attention on `(batch, patches, dim)` as published: it adds the 1e-9 and divides in a `Lambda`."""
    heads, patches = config.heads * config.dim_coefficient, x.shape[1]
    wide = dim * config.dim_coefficient
    x = layers.Dense(wide)(x)
    x = ops.reshape(x, (-1, patches, heads, wide // heads))
    x = ops.transpose(x, (0, 2, 1, 3))
    attention = layers.Dense(config.memory_units)(x)
    attention = layers.Softmax(axis=2)(attention)
    attention = layers.Lambda(
        lambda a: ops.divide(a, ops.convert_to_tensor(1e-9) + ops.sum(a, axis=-1, keepdims=True)),
        output_shape=attention.shape[1:],
    )(attention)
    attention = layers.Dropout(config.attention_dropout)(attention)
    x = layers.Dense(wide // heads)(attention)
    x = ops.transpose(x, (0, 2, 1, 3))
    x = ops.reshape(x, (-1, patches, wide))
    x = layers.Dense(dim)(x)
    return layers.Dropout(config.projection_dropout)(x)


def self_attention(config: SelfAttention, x: Any) -> Any:
    """Self-attention on `(batch, patches, dim)` as published: Keras's own layer."""
    return layers.MultiHeadAttention(config.heads, config.key_dim, dropout=config.attention_dropout)(x, x)


def attention_model(config: ExternalAttention | SelfAttention, patches: int, dim: int) -> keras.Model:
    """One attention alone, `(batch, patches, dim)` to the same."""
    inputs = layers.Input((patches, dim))
    return keras.Model(inputs, _attention(config, dim, inputs))


def build_published_model(config: ModelConfig, augmentation: str = "none") -> keras.Model:
    """The tutorial's `get_model`, on images of `config`'s size: the function of the same weights as `build_model`'s."""
    inputs = layers.Input((config.image_size, config.image_size, config.channels))
    x = inputs
    for layer in RECIPES[augmentation]():
        x = layer(x)
    x = ops.image.extract_patches(x, config.patch_size)
    x = ops.reshape(x, (-1, config.patches, x.shape[-1]))
    x = _PatchEmbedding(config.patches, config.embedding_dim)(x)
    for _ in range(config.blocks):
        normed = layers.LayerNormalization(epsilon=1e-5)(x)
        x = layers.add([x, _attention(config.attention, config.embedding_dim, normed)])
        x = layers.add([x, _feed_forward(config, layers.LayerNormalization(epsilon=1e-5)(x))])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(config.classes, activation="softmax")(x))


def _attention(config: Any, dim: int, x: Any) -> Any:
    return external_attention(config, dim, x) if isinstance(config, ExternalAttention) else self_attention(config, x)


def _feed_forward(config: ModelConfig, x: Any) -> Any:
    x = layers.Dense(config.mlp_dim, activation=ops.gelu)(x)
    x = layers.Dropout(config.mlp_dropout)(x)
    x = layers.Dense(config.embedding_dim)(x)
    return layers.Dropout(config.mlp_dropout)(x)


class _PatchEmbedding(keras.layers.Layer):
    """The tutorial's: a projection of the patches, and an `Embedding` looked up at their positions."""

    def __init__(self, patches: int, dim: int) -> None:
        super().__init__()
        self.patches = patches
        self.projection = layers.Dense(dim)
        self.position = layers.Embedding(patches, dim)

    def call(self, patch: Any) -> Any:
        return self.projection(patch) + self.position(ops.arange(self.patches))
