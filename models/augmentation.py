"""Defines augmentation recipes by name. Each normalizes its images to mean 0 and variance 1 per channel.

Images come in as values from 0 to 255, shape `(batch, height, width, channels)`. Random layers act in training only.
"""

from collections.abc import Callable

import keras
from keras import layers


@keras.saving.register_keras_serializable("eanet")
class Normalization(layers.Normalization):
    """Normalizes by a mean and a variance that a compiled step reads anew: trainings on other images can share it.

    Keras's own layer hands a step that is compiled the values that it has by then.
    """

    def finalize_state(self) -> None:
        """Takes the weights `(channels,)` themselves, which broadcast over `(batch, height, width, channels)`."""
        if self.built:
            self.mean, self.variance = self.adapt_mean, self.adapt_variance


def _normalization() -> keras.layers.Layer:
    return Normalization(name="normalization")


def _random_layers() -> list[keras.layers.Layer]:
    """Returns the tutorial's random layers, in its order."""
    return [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1),
        layers.RandomContrast(0.1),
        layers.RandomZoom(0.2, 0.2),
    ]


RECIPES: dict[str, Callable[[], list[keras.layers.Layer]]] = {
    # RandomContrast, after normalization, clips at its default (0, 255) in training only: every value below the mean
    # becomes 0 there and stays in evaluation.
    "tutorial": lambda: [_normalization(), *_random_layers()],
    "corrected": lambda: [*_random_layers(), _normalization()],
    # Small shifts only: a flipped digit is another digit, and at 8 x 8 pixels a rotation blurs it.
    "digits": lambda: [layers.RandomTranslation(0.05, 0.05, fill_mode="constant", fill_value=0.0), _normalization()],
    "none": lambda: [_normalization()],
}
"""Name -> the layers of the recipe, in order. Exactly one of them is the layer named `normalization`."""
