"""The recipes: what the tutorial's order does to an image, and that the corrected one does not."""

import keras
import numpy as np
import pytest

from models.augmentation import RECIPES


def preprocess(recipe, images, training):
    """The images after the recipe, its normalization adapted to them."""
    x = keras.ops.convert_to_tensor(images)
    for layer in RECIPES[recipe]():
        if layer.name == "normalization":
            layer.adapt(images)
        x = layer(x, training=training) if "random" in layer.name else layer(x)
    return keras.ops.convert_to_numpy(x)


@pytest.fixture
def images():
    return np.random.default_rng(11).uniform(0, 255, (53, 13, 13, 3)).astype("float32")


def test_the_tutorials_order_clips_everything_below_the_mean_in_training_only(images):
    trained, evaluated = (preprocess("tutorial", images, training) for training in (True, False))
    assert trained.min() >= 0
    assert (evaluated < 0).mean() == pytest.approx(0.5, abs=0.05)


def test_the_corrected_order_shows_training_and_evaluation_the_same_kind_of_image(images):
    trained, evaluated = (preprocess("corrected", images, training) for training in (True, False))
    assert trained.mean() == pytest.approx(evaluated.mean(), abs=0.1)
    assert (trained < 0).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_normalizes_once_and_changes_nothing_else_in_evaluation(recipe, images):
    assert [layer.name for layer in RECIPES[recipe]()].count("normalization") == 1
    evaluated = preprocess(recipe, images, training=False)
    expected = (images - images.mean((0, 1, 2))) / images.std((0, 1, 2))
    np.testing.assert_allclose(evaluated, expected, atol=1e-3)


def test_corrected_has_the_tutorials_random_layers_and_digits_are_never_flipped():
    def names(recipe):
        return [type(layer).__name__ for layer in RECIPES[recipe]() if layer.name != "normalization"]

    assert names("corrected") == names("tutorial") == ["RandomFlip", "RandomRotation", "RandomContrast", "RandomZoom"]
    assert names("digits") == ["RandomTranslation"]
