"""Each attention against a slow NumPy reference in double precision, written from the papers' equations.

Gradients of the reference come from the complex step, f'(x) = Im f(x + ih) / h, which has no rounding error of
differences (Squire and Trapp 1998, https://doi.org/10.1137/S003614459631241X).
"""

import keras
import numpy as np
import pytest

from benchmarks.steptime import FORWARD, FORWARD_BACKWARD
from models.attention import ATTENTION, ExternalAttention, FusedSelfAttention, SelfAttention, build_attentions
from models.config import ExternalAttentionConfig

BATCH, PATCHES, DIM, HEADS, COEFFICIENT, UNITS, KEY_DIM = 3, 5, 14, 7, 2, 11, 13


def softmax(x, axis):
    e = np.exp(x - x.real.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def external_reference(x, weights, normalization="double"):
    """The published form: softmax over the patches, then division by 1e-9 + the sum over the units."""
    w_query, b_query, w_key, b_key, w_value, b_value, w_out, b_out = weights
    out = np.empty(x.shape, complex)
    for image in range(len(x)):
        query = x[image] @ w_query + b_query
        width = DIM // HEADS
        heads = []
        for head in range(HEADS * COEFFICIENT):
            own = (w[head] if w_key.ndim == 3 else w for w in (w_key, b_key, w_value, b_value))
            key, key_bias, value, value_bias = own
            logits = query[:, head * width : (head + 1) * width] @ key + key_bias
            attention = softmax(logits, axis=1 if normalization == "units" else 0)
            if normalization == "double":
                attention = attention / (1e-9 + attention.sum(axis=1, keepdims=True))
            heads.append(attention @ value + value_bias)
        out[image] = np.concatenate(heads, axis=1) @ w_out + b_out
    return out


def self_reference(x, weights):
    """Keras's layout: kernels (dim, heads, key_dim), output (heads, key_dim, dim)."""
    w_query, b_query, w_key, b_key, w_value, b_value, w_out, b_out = weights
    out = np.empty(x.shape, complex)
    for image in range(len(x)):
        total = np.zeros((PATCHES, DIM), complex) + b_out
        for head in range(HEADS):
            query, key, value = (
                x[image] @ w[:, head] + b[head] for w, b in ((w_query, b_query), (w_key, b_key), (w_value, b_value))
            )
            total = total + softmax(query @ key.T / np.sqrt(KEY_DIM), axis=1) @ value @ w_out[head]
        out[image] = total
    return out


def external(normalization="double", implementation="factored", **more):
    return ExternalAttention(
        HEADS,
        COEFFICIENT,
        UNITS,
        normalization,
        attention_dropout=0.0,
        projection_dropout=0.0,
        implementation=implementation,
        **more,
    )


CASES = {
    "external-double": (external, external_reference),
    "external-patches": (lambda: external("patches"), lambda x, w: external_reference(x, w, "patches")),
    "external-units": (lambda: external("units"), lambda x, w: external_reference(x, w, "units")),
    "external-own-memories": (lambda: external(own_memories=True), external_reference),
    "folded-double": (lambda: external(implementation="folded"), external_reference),
    "folded-patches": (
        lambda: external("patches", implementation="folded"),
        lambda x, w: external_reference(x, w, "patches"),
    ),
    "folded-units": (
        lambda: external("units", implementation="folded"),
        lambda x, w: external_reference(x, w, "units"),
    ),
    "folded-own-memories": (lambda: external(own_memories=True, implementation="folded"), external_reference),
    "self": (lambda: SelfAttention(HEADS, KEY_DIM, attention_dropout=0.0), self_reference),
    "fused": (lambda: FusedSelfAttention(HEADS, KEY_DIM), self_reference),
}


@pytest.fixture(params=CASES)
def case(request):
    """A layer with random weights (biases too), an input, and the reference."""
    build, reference = CASES[request.param]
    layer = build()
    layer.build((BATCH, PATCHES, DIM))
    rng = np.random.default_rng(17)
    layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.get_weights()])
    return layer, rng.standard_normal((BATCH, PATCHES, DIM)).astype("float32"), reference


def relative_error(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


def test_output_equals_the_reference(case):
    layer, x, reference = case
    output = keras.ops.convert_to_numpy(FORWARD[keras.backend.backend()](layer, x).run())
    weights = [w.astype("float64") for w in layer.get_weights()[:8]]
    assert output.shape == (BATCH, PATCHES, DIM)
    assert relative_error(output, reference(x.astype("float64"), weights).real) < 1e-5


def test_gradients_equal_the_references(case):
    layer, x, reference = case
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the order of the gradients is that of TensorFlow's step")
    gradients = [keras.ops.convert_to_numpy(g) for g in FORWARD_BACKWARD["tensorflow"](layer, x).run()]
    values = [x.astype(complex), *(w.astype(complex) for w in layer.get_weights()[:8])]
    assert len(gradients) == len(values)
    # A bias that the softmax over patches cancels has gradient 0: errors are held against the largest gradient.
    largest = max(np.abs(gradient).max() for gradient in gradients)
    step = 1e-30
    rng = np.random.default_rng(19)
    for gradient, value in zip(gradients, values, strict=True):
        assert gradient.shape == value.shape
        for index in rng.permutation(value.size)[:41]:
            position = np.unravel_index(index, value.shape)
            kept = value[position]
            value[position] = kept + 1j * step
            derivative = reference(values[0], values[1:]).sum().imag / step
            value[position] = kept
            assert abs(gradient[position] - derivative) < 1e-5 * largest, (position, gradient[position], derivative)


def test_the_implementations_have_the_same_weights_and_give_the_same():
    x = np.random.default_rng(41).standard_normal((BATCH, PATCHES, DIM)).astype("float32")
    layers = [external(implementation=name) for name in ("factored", "folded", "auto")]
    outputs = []
    for layer in layers:
        layer.build(x.shape)
        layer.set_weights(layers[0].get_weights())
        outputs.append(keras.ops.convert_to_numpy(layer(x)))
    assert relative_error(outputs[1], outputs[0]) < 1e-5
    np.testing.assert_array_equal(outputs[2], outputs[0])
    assert [layer.folds for layer in layers] == [False, True, False], "7 heads of width 2 are cheaper apart"


def test_external_attention_mixes_patches_through_its_normalisation_alone():
    """With the softmax over units each patch is on its own; with the published normalisation it is not."""
    x = np.random.default_rng(29).standard_normal((1, PATCHES, DIM)).astype("float32")
    changed = x.copy()
    changed[0, 0] += 1
    for normalization, mixes in (("units", False), ("double", True), ("patches", True)):
        layer = external(normalization)
        before, after = (keras.ops.convert_to_numpy(layer(value)) for value in (x, changed))
        assert bool(np.abs(before[0, 1:] - after[0, 1:]).max() > 1e-6) is mixes


def test_each_heads_own_memories_start_like_the_shared_ones():
    """Keras's initializer alone would take the heads for inputs, and start them smaller by the root of their number."""
    spreads = {}
    for own in (False, True):
        layer = ExternalAttention(5, 17, 31, own_memories=own)
        layer.build((BATCH, PATCHES, 145))
        spreads[own] = [float(np.std(layer.get_weights()[index])) for index in (2, 4)]
    np.testing.assert_allclose(spreads[True], spreads[False], rtol=0.1)


def test_attentions_of_one_model_share_their_memories_where_they_are_told_to():
    def pairs(sharing):
        layers = build_attentions(ExternalAttentionConfig(memory_sharing=sharing), 12, 3)
        for layer in layers:
            layer.build((BATCH, PATCHES, 12))
        return {(id(layer.memory_key), id(layer.memory_value)) for layer in layers}

    assert {sharing: len(pairs(sharing)) for sharing in ("heads", "none", "layers")} == {
        "heads": 3,
        "none": 3,
        "layers": 1,
    }


def test_controls_do_what_they_say():
    x = np.random.default_rng(37).standard_normal((BATCH, PATCHES, DIM)).astype("float32")
    identity, mean, mixing = (ATTENTION[name]() for name in ("identity", "mean", "random_mixing"))
    outputs = [keras.ops.convert_to_numpy(layer(x)) for layer in (identity, mean, mixing)]
    np.testing.assert_array_equal(outputs[0], x)
    np.testing.assert_allclose(outputs[1], np.repeat(x.mean(axis=1, keepdims=True), PATCHES, axis=1), rtol=1e-5)
    (matrix,) = mixing.get_weights()
    np.testing.assert_allclose(outputs[2], np.einsum("nm,bmd->bnd", matrix, x), rtol=1e-4, atol=1e-5)
    assert not any(layer.trainable_weights for layer in (identity, mean, mixing))


def test_random_mixing_is_drawn_anew_for_each_block_and_keeps_the_size_of_its_input():
    first, second = (ATTENTION["random_mixing"]() for _ in range(2))
    for layer in (first, second):
        layer.build((BATCH, 401, DIM))
    assert np.abs(first.get_weights()[0] - second.get_weights()[0]).max() > 0.01
    assert np.std(first.get_weights()[0]) == pytest.approx(401**-0.5, rel=0.02)
    with pytest.raises(ValueError, match="number of patches"):
        ATTENTION["random_mixing"]().build((BATCH, None, DIM))


@pytest.mark.parametrize("name", ATTENTION)
def test_config_makes_the_same_layer_again(name):
    changed = {
        "external": {
            "heads": 2,
            "dim_coefficient": 3,
            "memory_units": 5,
            "attention_dropout": 0.25,
            "own_memories": True,
            "implementation": "folded",
        },
        "self": {"heads": 3, "key_dim": 5, "attention_dropout": 0.25},
        "fused_self": {"heads": 3, "key_dim": 5},
    }.get(name, {"name": "another"})
    layer = ATTENTION[name](**changed)
    again = ATTENTION[name].from_config(layer.get_config())
    assert changed.items() <= again.get_config().items()


def test_unknown_normalisation_and_width_are_errors():
    with pytest.raises(ValueError, match="normalization 'l1'; allowed: patches, units, double"):
        ExternalAttention(normalization="l1")
    with pytest.raises(ValueError, match="implementation 'fast'; allowed: auto, factored, folded"):
        ExternalAttention(implementation="fast")
    with pytest.raises(ValueError, match="heads 7 does not divide the input's last dimension 13"):
        ExternalAttention(heads=7).build((None, PATCHES, 13))


def test_dropout_acts_in_training_only():
    x = np.random.default_rng(31).standard_normal((1, PATCHES, DIM)).astype("float32")
    for layer in (ExternalAttention(HEADS, COEFFICIENT, UNITS), SelfAttention(HEADS, KEY_DIM)):
        calm = [keras.ops.convert_to_numpy(layer(x, training=False)) for _ in range(2)]
        wild = [keras.ops.convert_to_numpy(layer(x, training=True)) for _ in range(2)]
        np.testing.assert_array_equal(*calm)
        assert np.abs(wild[0] - wild[1]).max() > 1e-3
