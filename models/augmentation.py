"""Augmentation recipes by name. Each ends in images that are normalised to mean 0 and variance 1 a channel.

Images come in as values from 0 to 255, shape `(batch, height, width, channels)`. Random layers act in training only.
"""

from collections.abc import Callable

import keras
from keras import layers


def _normalization() -> keras.layers.Layer:
    return layers.Normalization(name="normalization")


def _tutorial() -> list[keras.layers.Layer]:
    """The tutorial's layers in its order. RandomContrast, after normalisation, clips at its default (0, 255) in
    training only: every value below the mean becomes 0 there and stays in evaluation."""
    return [
        _normalization(),
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1),
        layers.RandomContrast(0.1),
        layers.RandomZoom(0.2, 0.2),
    ]


def _corrected() -> list[keras.layers.Layer]:
    """The same layers, with the normalisation last, so that the contrast's clip acts on true pixel values."""
    return [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1),
        layers.RandomContrast(0.1),
        layers.RandomZoom(0.2, 0.2),
        _normalization(),
    ]


def _digits() -> list[keras.layers.Layer]:
    """Small shifts only: a flipped digit is another digit, and at 8 x 8 pixels a rotation blurs it."""
    return [
        layers.RandomTranslation(0.05, 0.05, fill_mode="constant", fill_value=0.0),
        _normalization(),
    ]


def _none() -> list[keras.layers.Layer]:
    return [_normalization()]


RECIPES: dict[str, Callable[[], list[keras.layers.Layer]]] = {
    "tutorial": _tutorial,
    "corrected": _corrected,
    "digits": _digits,
    "none": _none,
}
"""Name -> the layers of the recipe, in order. Exactly one of them is the layer named `normalization`."""
