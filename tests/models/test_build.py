"""Every variant passes one check: shapes, parameters, save and load, a training step, half precision."""

import tracemalloc

import keras
import numpy as np
import pytest

from models import cost
from models.build import IMAGES_A_CHUNK, adapt_normalization, build_model
from models.config import (
    EANET,
    PRESETS,
    ExternalAttentionConfig,
    FusedSelfAttentionConfig,
    IdentityConfig,
    MeanConfig,
    ModelConfig,
    RandomMixingConfig,
    SelfAttentionConfig,
)

SMALL = {
    "image_size": 15,
    "channels": 2,
    "classes": 7,
    "patch_size": 5,
    "blocks": 2,
    "embedding_dim": 22,
    "mlp_dim": 13,
}
VARIANTS = {
    "external-double": ExternalAttentionConfig(heads=11, dim_coefficient=3, memory_units=5),
    "external-patches": ExternalAttentionConfig(heads=2, dim_coefficient=1, memory_units=3, normalization="patches"),
    "external-units": ExternalAttentionConfig(heads=1, dim_coefficient=2, memory_units=17, normalization="units"),
    "external-own-memories": ExternalAttentionConfig(heads=2, dim_coefficient=3, memory_units=5, memory_sharing="none"),
    "external-one-memory": ExternalAttentionConfig(heads=2, dim_coefficient=3, memory_units=5, memory_sharing="layers"),
    "self": SelfAttentionConfig(heads=3, key_dim=5),
    "fused": FusedSelfAttentionConfig(heads=3, key_dim=5),
    "identity": IdentityConfig(),
    "mean": MeanConfig(),
    "random-mixing": RandomMixingConfig(),
}
BATCH = 3


@pytest.fixture(params=VARIANTS)
def config(request):
    return ModelConfig(**SMALL, attention=VARIANTS[request.param])


@pytest.fixture
def images():
    return np.random.default_rng(3).uniform(0, 255, (BATCH, 15, 15, 2)).astype("float32")


@pytest.fixture
def labels():
    return np.eye(7, dtype="float32")[[1, 3, 5]]


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize("count", [1, 257, 1009])
def test_the_normalisation_has_mean_and_variance_of_every_image(count):
    """Against NumPy's own, over whole and partial chunks."""
    images = np.random.default_rng(5).integers(0, 256, (count, 15, 15, 2), dtype=np.uint8)
    model = build_model(ModelConfig(**SMALL, attention=IdentityConfig()), "corrected")
    adapt_normalization(model, images)
    layer = model.get_layer("normalization")
    for weight, expected in ((layer.adapt_mean, np.mean), (layer.adapt_variance, np.var)):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), expected(images, axis=(0, 1, 2)), rtol=1e-6)


def test_the_normalisation_is_adapted_in_constant_memory():
    """By what NumPy allocates: Keras's own `adapt` takes eight times the images' bytes."""
    images = np.zeros((60 * IMAGES_A_CHUNK, 15, 15, 2), np.uint8)
    model = build_model(ModelConfig(**SMALL, attention=IdentityConfig()), "corrected")
    tracemalloc.start()
    adapt_normalization(model, images)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < images.nbytes / 2


def test_the_model_is_what_its_config_says(config, images, tmp_path):
    model = build_model(config, "corrected")
    adapt_normalization(model, images)
    probabilities = model.predict(images, verbose=0)
    assert probabilities.shape == (BATCH, 7)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert trainable(model) == cost.parameters(cost.model(config))

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again.predict(images, verbose=0), probabilities)


def test_one_training_step_changes_every_weight(config, images, labels):
    model = build_model(config)
    model.compile("sgd", "categorical_crossentropy", jit_compile=False)
    before = [weight.copy() for weight in model.get_weights()]
    assert np.isfinite(model.train_on_batch(images, labels))
    after = model.get_weights()
    unchanged = [w.path for w, old, new in zip(model.weights, before, after, strict=True) if np.array_equal(old, new)]
    # The softmax over the patches cancels a bias that is the same for all of them, and self-attention's over the keys
    # cancels the key's: their gradients are zero but for rounding.
    over_patches = config.attention.kind == "external" and config.attention.normalization != "units"
    cancelled = ("memory_key/bias", "query/bias") if over_patches else ("/key/bias",)
    cancelled += ("mixing",)  # which is never trained
    assert all(path.startswith(("normalization", "seed_generator")) or path.endswith(cancelled) for path in unchanged)


def test_half_precision_stays_finite(config, images, labels):
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = build_model(config)
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("adam", "categorical_crossentropy", jit_compile=False)
    assert model.get_layer("block_0").compute_dtype == "bfloat16"
    assert all(np.isfinite(model.train_on_batch(images * 1e3, labels)) for _ in range(3))
    assert np.isfinite(model.predict(images, verbose=0)).all()


@pytest.mark.parametrize(("name", "parameters"), [("eanet", 361_380), ("vit", 623_268)])
def test_parameters_at_the_tutorials_settings(name, parameters):
    model = build_model(PRESETS[name], "tutorial")
    assert trainable(model) == parameters
    assert cost.parameters(cost.model(PRESETS[name])) == parameters
    assert model.count_params() == parameters + 7  # and the normalisation's mean, variance and count


def test_the_attention_is_the_only_difference_between_variants():
    def weights_beside_attention(name):
        model = build_model(PRESETS[name].model_copy(update={"blocks": 2, "image_size": 6}))
        attention = {id(weight) for index in range(2) for weight in model.get_layer(f"block_{index}").attention.weights}
        return [tuple(weight.shape) for weight in model.weights if id(weight) not in attention]

    assert weights_beside_attention("eanet") == weights_beside_attention("vit")
    assert len(weights_beside_attention("vit")) == 3 + 3 + 2 * 8 + 2  # normalisation, embedding, blocks, head


def test_patches_are_cut_row_by_row():
    from models.blocks import PatchEmbedding

    layer = PatchEmbedding(2, 12)
    image = np.arange(4 * 6 * 3, dtype="float32").reshape(1, 4, 6, 3)
    layer.build(image.shape)
    layer.set_weights([np.zeros((6, 12)), np.eye(12), np.zeros(12)])
    patches = keras.ops.convert_to_numpy(layer(image))
    assert patches.shape == (1, 6, 12)
    np.testing.assert_array_equal(patches[0, 1], image[0, 0:2, 2:4].reshape(12))
    np.testing.assert_array_equal(patches[0, 3], image[0, 2:4, 0:2].reshape(12))


def test_the_order_of_patches_matters_only_through_their_positions():
    """Every attention treats patches as a set: a permutation of them is a permutation of the output."""
    from models.attention import build_attention

    x = np.random.default_rng(5).standard_normal((2, 7, 22)).astype("float32")
    order = np.random.default_rng(7).permutation(7)
    for attention in VARIANTS.values():
        if attention.kind == "random_mixing":  # which has a weight for each pair of places
            continue
        layer = build_attention(attention)
        straight, permuted = (keras.ops.convert_to_numpy(layer(value)) for value in (x, x[:, order]))
        np.testing.assert_allclose(permuted, straight[:, order], atol=1e-5)


def test_an_image_that_patches_do_not_fit_is_an_error():
    from models.blocks import PatchEmbedding

    with pytest.raises(ValueError, match="patch_size 4 does not divide images of 6 x 8"):
        PatchEmbedding(4, EANET.embedding_dim).build((None, 6, 8, 3))
