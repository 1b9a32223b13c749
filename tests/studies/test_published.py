"""The suite's models compute what the tutorial's own construction computes, from the same weights."""

import keras
import numpy as np
import pytest

from models.attentions.external import ExternalAttention
from models.attentions.self import SelfAttention
from models.build import adapt_normalization, build_attention, build_model
from models.config import VARIANTS, ModelConfig
from models.layers.blocks import EncoderBlock
from models.layers.dropout import Dropout
from models.layers.self import attend
from tests.studies.published import attention_model, build_published_model

EANET, VIT = VARIANTS["eanet"].model, VARIANTS["vit"].model
SMALL = {"image_size": 12, "patch_size": 3, "classes": 5, "blocks": 3, "embedding_dim": 14, "mlp_dim": 11}
ATTENTIONS = {
    "factored": ExternalAttention(heads=7, dim_coefficient=3, memory_units=5, implementation="factored"),
    "folded": ExternalAttention(heads=7, dim_coefficient=3, memory_units=5, implementation="folded"),
    "self": SelfAttention(heads=7, key_dim=5),
}
tensorflow_alone = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes TensorFlow's gradients")


def without_dropout(config):
    off = {name: 0.0 for name in ("attention_dropout", "projection_dropout") if name in type(config).model_fields}
    return config.model_copy(update=off)


def weights_of(layer):
    """The trainable weights, those of a model of the suite in the tutorial's order."""
    if not isinstance(layer, keras.Model) or layer.layers[-1].name != "head":
        return layer.trainable_weights
    embedding, head = layer.get_layer("patch_embedding"), layer.get_layer("head")
    found = [*embedding.projection.trainable_weights, embedding.position]
    for block in (block for block in layer.layers if isinstance(block, EncoderBlock)):
        feed_forward = (block.feed_forward_norm, block.feed_forward.hidden, block.feed_forward.output_projection)
        for part in (block.attention_norm, block.attention, *feed_forward):
            found += part.trainable_weights
    return [*found, *head.trainable_weights]


def outputs_and_gradients(model, x):
    """Of a training step without dropout: the output, and the gradients of its mean square by input and weights."""
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = model(x, training=True)
        total = tf.reduce_mean(output**2)
    gradients = tape.gradient(total, [x, *(weight.value for weight in weights_of(model))])
    return [tf.convert_to_tensor(value).numpy() for value in (output, *gradients)]  # an embedding gives slices


def give_weights(model, like, seed):
    """The same random weights, biases too, for both."""
    rng = np.random.default_rng(seed)
    values = [rng.normal(0, 0.3, weight.shape) for weight in weights_of(like)]
    for of_model in (model, like):
        assert [tuple(weight.shape) for weight in weights_of(of_model)] == [value.shape for value in values]
        for weight, value in zip(weights_of(of_model), values, strict=True):
            weight.assign(value)


def largest_error(ours, theirs):
    """Relative to the largest value of all gradients, for those that cancel are 0; of the output to its own."""
    output = np.abs(ours[0] - theirs[0]).max() / np.abs(theirs[0]).max()
    scale = max(np.abs(gradient).max() for gradient in theirs[1:])
    return max(output, *(np.abs(a - b).max() / scale for a, b in zip(ours[1:], theirs[1:], strict=True)))


@tensorflow_alone
@pytest.mark.parametrize("name", ATTENTIONS)
def test_an_attention_has_the_published_outputs_and_gradients(name):
    config = without_dropout(ATTENTIONS[name])
    x = np.random.default_rng(3).standard_normal((3, 13, 14)).astype("float32")
    ours, theirs = build_attention(config), attention_model(config, 13, 14)
    ours.build(x.shape)
    give_weights(ours, theirs, seed=5)
    assert largest_error(outputs_and_gradients(ours, x), outputs_and_gradients(theirs, x)) < 1e-5


@tensorflow_alone
@pytest.mark.parametrize("name", ATTENTIONS)
def test_a_model_has_the_published_outputs_and_gradients(name):
    config = ModelConfig(**SMALL, mlp_dropout=0.0, attention=without_dropout(ATTENTIONS[name]))
    images = np.random.default_rng(7).uniform(0, 255, (3, 12, 12, 3)).astype("float32")
    ours, theirs = build_model(config), build_published_model(config)
    for model in (ours, theirs):
        adapt_normalization(model, images)
    give_weights(ours, theirs, seed=11)
    assert largest_error(outputs_and_gradients(ours, images), outputs_and_gradients(theirs, images)) < 1e-5


@pytest.mark.parametrize("config", [EANET, VIT], ids=lambda config: config.attention.kind)
def test_the_tutorials_own_models_have_the_same_outputs(config):
    config = config.model_copy(update={"blocks": 2})
    images = np.random.default_rng(13).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    ours, theirs = build_model(config), build_published_model(config)
    give_weights(ours, theirs, seed=17)
    found, expected = (keras.ops.convert_to_numpy(model(images, training=False)) for model in (ours, theirs))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_published_models_have_the_published_parameters():
    counts = {name: build_published_model(config).count_params() for name, config in (("eanet", EANET), ("vit", VIT))}
    assert counts == {"eanet": 361_387, "vit": 623_275}


@tensorflow_alone
def test_self_attention_with_dropout_has_the_gradients_of_its_product_with_the_same_mask():
    """Against NumPy in double precision, by the complex step (see test_variants)."""
    import tensorflow as tf

    rng = np.random.default_rng(19)
    heads, width, patches = 2, 5, 7
    values = [rng.standard_normal((3, heads, width, patches)) for _ in range(3)]
    by_output = rng.standard_normal((3, heads, width, patches))
    kept = rng.random((3, heads, patches, patches)) < 0.7
    inputs = [tf.constant(value.astype("float32")) for value in values]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(attend(*inputs, kept) * by_output)
    gradients = tape.gradient(total, inputs)

    def reference(query, key, value):
        scores = np.einsum("bhdi,bhdj->bhij", query, key)
        e = np.exp(scores - scores.real.max(axis=-1, keepdims=True))
        return np.einsum("bhdj,bhij->bhdi", value, kept * e / e.sum(axis=-1, keepdims=True))

    step = 1e-30
    for place, gradient in enumerate(gradients):
        for position in np.ndindex(2, heads, width, patches):
            changed = [value.astype(complex) for value in values]
            changed[place][position] += 1j * step
            expected = (reference(*changed) * by_output).sum().imag / step
            assert abs(gradient.numpy()[position] - expected) < 1e-5 * np.abs(gradient).max(), (place, position)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_dropout_in_training_keeps_the_mean_of_the_output(name):
    """The outputs of many draws average to that without: it is linear in the weights that are kept."""
    config = ATTENTIONS[name]
    layer = build_attention(config)
    x = np.random.default_rng(23).standard_normal((1, 7, 14)).astype("float32")
    layer.build(x.shape)
    for seed, weight in enumerate(layer.trainable_weights):  # the biases, too
        weight.assign(np.random.default_rng(seed).normal(0, 0.5, weight.shape))
    calm = keras.ops.convert_to_numpy(layer(x, training=False))
    many = np.repeat(x, 4001, axis=0)
    drawn = keras.ops.convert_to_numpy(layer(many, training=True))
    error = drawn.std(axis=0) / np.sqrt(len(many))
    assert (drawn.std(axis=0) > 0).all()
    assert np.abs((drawn.mean(axis=0) - calm[0]) / error).max() < 5


def test_every_dropout_of_the_models_is_the_suites():
    for config in (EANET, VIT):
        layers = build_model(config.model_copy(update={"blocks": 1}))._flatten_layers()
        kinds = {type(layer) for layer in layers if "Dropout" in type(layer).__name__ and getattr(layer, "rate", 0)}
        assert kinds == {Dropout}
