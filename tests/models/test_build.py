"""The builder: normalization, patches, and parameters at the tutorial's settings; see `test_variants` for the rest."""

import tracemalloc

import keras
import numpy as np
import pytest

from models.augmentation import RECIPES
from models.build import IMAGES_PER_CHUNK, adapt_normalization, build_model
from models.config import VARIANTS, ModelConfig
from models.layers.blocks import PatchEmbedding
from tests.models.test_variants import SMALL

NO_MIXING = ModelConfig(**SMALL, embedding_dim=23, attention=VARIANTS["identity"].attention)


@pytest.mark.parametrize("count", [1, 257, 1009])
def test_the_normalization_has_mean_and_variance_of_every_image(count):
    """Compared with NumPy's, over whole and partial chunks."""
    images = np.random.default_rng(5).integers(0, 256, (count, 15, 15, 2), dtype=np.uint8)
    model = build_model(NO_MIXING, "corrected")
    adapt_normalization(model, images)
    layer = model.get_layer("normalization")
    for weight, expected in ((layer.adapt_mean, np.mean), (layer.adapt_variance, np.var)):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), expected(images, axis=(0, 1, 2)), rtol=1e-6)


def test_a_compiled_step_sees_that_the_normalization_is_adapted_anew():
    """To images twice as bright: their mean is then normalized to 0 by the step that was compiled before."""
    images = np.random.default_rng(7).integers(0, 128, (53, 15, 15, 2), dtype=np.uint8)
    inputs = keras.Input(images.shape[1:])
    model = keras.Model(inputs, RECIPES["none"]()[0](inputs))
    for brightness in (1, 2):
        adapt_normalization(model, images * np.uint8(brightness))
        assert np.abs(model.predict(images * brightness, verbose=0).mean(axis=(0, 1, 2))).max() < 1e-4


def test_the_normalization_is_adapted_in_constant_memory():
    """By what NumPy allocates: Keras's own `adapt` takes eight times the images' bytes."""
    images = np.zeros((60 * IMAGES_PER_CHUNK, 15, 15, 2), np.uint8)
    model = build_model(NO_MIXING, "corrected")
    tracemalloc.start()
    adapt_normalization(model, images)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < images.nbytes / 2


@pytest.mark.parametrize(("name", "parameters"), [("eanet", 361_380), ("vit", 623_268)])
def test_parameters_at_the_tutorials_settings(name, parameters):
    model = build_model(VARIANTS[name].model, "tutorial")
    assert VARIANTS[name].model.cost().parameters == parameters
    assert model.count_params() == parameters + 7  # and the normalization's mean, variance and count


def test_patches_are_cut_row_by_row():
    layer = PatchEmbedding(2, 12)
    image = np.arange(4 * 6 * 3, dtype="float32").reshape(1, 4, 6, 3)
    layer.build(image.shape)
    layer.set_weights([np.zeros((6, 12)), np.eye(12), np.zeros(12)])
    patches = keras.ops.convert_to_numpy(layer(image))
    assert patches.shape == (1, 6, 12)
    np.testing.assert_array_equal(patches[0, 1], image[0, 0:2, 2:4].reshape(12))
    np.testing.assert_array_equal(patches[0, 3], image[0, 2:4, 0:2].reshape(12))


def test_an_image_that_patches_do_not_fit_is_an_error():
    with pytest.raises(ValueError, match="patch_size 4 does not divide images of 6 x 8"):
        PatchEmbedding(4, 7).build((None, 6, 8, 3))
