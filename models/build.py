"""Builds every variant; the variants differ in their attention alone."""

from importlib import import_module

import keras
import numpy as np
from keras import layers

from models.attentions.attention import Attention
from models.augmentation import RECIPES
from models.config import ModelConfig
from models.layers.attention import AttentionLayer
from models.layers.blocks import EncoderBlock, PatchEmbedding

IMAGES_PER_CHUNK = 256


def layer_of(attention: Attention) -> type[AttentionLayer]:
    """Returns the Keras layer class of an attention, imported on demand: its namesake in `models/layers/KIND.py`."""
    layer: type[AttentionLayer] = getattr(import_module(f"models.layers.{attention.kind}"), type(attention).__name__)
    return layer


def build_attention(attention: Attention) -> AttentionLayer:
    """Returns the layer of one attention, unbuilt."""
    return layer_of(attention)(attention)


def build_model(config: ModelConfig, augmentation: str = "none") -> keras.Model:
    """Returns the classifier that `config` describes, behind the preprocessing of the recipe `augmentation`.

    Input `(batch, height, width, channels)` with values from 0 to 255; output `(batch, classes)`
    probabilities in float32. Call `adapt_normalization` before training. Source: https://keras.io/examples/vision/eanet/
    """
    inputs = layers.Input((config.image_size, config.width, config.channels))
    x = inputs
    for layer in RECIPES[augmentation]():
        if keras.backend.backend() == "jax":
            # Keras marks some random layers as not compilable, because of TensorFlow. JAX compiles them, and one marked
            # layer would make it run the whole model operation by operation.
            layer.supports_jit = True
        x = layer(x)
    x = PatchEmbedding(config.patch_size, config.embedding_dim, name="patch_embedding")(x)
    attentions = layer_of(config.attention).for_blocks(config.attention, config.embedding_dim, config.blocks)
    for index, attention in enumerate(attentions):
        x = EncoderBlock(attention, config.mlp_dim, config.mlp_dropout, name=f"block_{index}")(x)
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    outputs = layers.Dense(config.classes, activation="softmax", dtype="float32", name="head")(x)
    return keras.Model(inputs, outputs, name=config.attention.kind)


def adapt_normalization(model: keras.Model, images: np.ndarray) -> None:
    """Sets the model's normalization to mean and variance per channel of `images` `(n, height, width, channels)`.

    Keras's own `adapt` converts all images to float64, eight times their size; this function converts a chunk at a
    time. Sums of whole numbers from 0 to 255 are exact.
    """
    channels = images.shape[-1]
    total, squares = np.zeros(channels), np.zeros(channels)
    for start in range(0, len(images), IMAGES_PER_CHUNK):
        values = images[start : start + IMAGES_PER_CHUNK].reshape(-1, channels).astype(np.float64)
        total += values.sum(axis=0)
        squares += np.square(values, out=values).sum(axis=0)
    count = images.size // channels
    mean = total / count
    layer = model.get_layer("normalization")
    layer.adapt_mean.assign(mean)
    layer.adapt_variance.assign(squares / count - mean**2)
    layer.finalize_state()
