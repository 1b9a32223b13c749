"""The normalizations and the dropout behind them, in every precision, compared with the published form in float64."""

import keras
import numpy as np
import pytest

from models.layers.normalization import NORMALIZATIONS
from tests.models.test_variants import softmax

BATCH, HEADS, UNITS, PATCHES = 2, 3, 7, 11
NO_BIAS = np.zeros((1, UNITS, 1), "float32")


def normalized(name, logits, bias=NO_BIAS, kept=None):
    """The normalization of that name, applied to logits, as a tensor."""
    tensors = (keras.ops.convert_to_tensor(x) for x in (logits, bias))
    return NORMALIZATIONS[name](*tensors, None if kept is None else keras.ops.convert_to_tensor(kept))


def weights_of(*args):
    return keras.ops.convert_to_numpy(normalized(*args))


def reference(logits, kept=1.0):
    """Softmax over the patches, then each patch's weights over their sum; dropped weights are 0."""
    columns = softmax(logits, -1)
    return kept * columns / columns.sum(axis=-2, keepdims=True)


def random(seed, scale=2.0):
    return np.random.default_rng(seed).normal(0, scale, (BATCH, HEADS, UNITS, PATCHES))


def gradient_of(function, values, by_output):
    """Gradient of the sum of `by_output` times the function's value, by the backend."""
    x = keras.ops.convert_to_tensor(values.astype("float32"))
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(function(x) * by_output)
        return tape.gradient(total, x).numpy()
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: (function(x) * by_output).sum())(x))
    x.requires_grad_()
    (function(x) * keras.ops.convert_to_tensor(by_output)).sum().backward()
    return x.grad.numpy()


@pytest.mark.parametrize("share_kept", [1.0, 0.7])
def test_the_gradient_is_that_of_the_published_form_with_dropout_and_without(share_kept):
    logits, by_output = random(3), random(5).astype("float32")
    kept = np.random.default_rng(7).random(logits.shape) < share_kept
    actual = gradient_of(lambda x: normalized("double", x, kept=None if share_kept == 1 else kept), logits, by_output)
    step = 1e-30
    for position in np.ndindex(logits.shape):
        changed = logits.astype(complex)
        changed[position] += 1j * step
        expected = (reference(changed, kept) * by_output).sum().imag / step
        assert abs(actual[position] - expected) < 1e-5 * np.abs(actual).max(), position


@pytest.mark.parametrize("name", ["patches", "double"])
def test_a_bias_has_no_effect_on_a_softmax_over_the_patches_and_gradient_zero(name):
    logits, by_output = random(11).astype("float32"), random(13).astype("float32")
    bias = np.random.default_rng(17).normal(0, 3, NO_BIAS.shape).astype("float32")
    with_bias = weights_of(name, logits + bias)
    np.testing.assert_allclose(weights_of(name, logits, bias), with_bias, rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(gradient_of(lambda b: normalized(name, logits, b), bias, by_output), 0)


@pytest.mark.parametrize(("dtype", "resolution"), [("bfloat16", 2**-8), ("float16", 2**-11)])
def test_half_precision_is_the_function_of_its_logits_rounded_once(dtype, resolution):
    """With so many patches that in float16 most weights, and the published 1e-9, are 0."""
    logits = np.random.default_rng(29).normal(0, 5, (1, 1, UNITS, 4099)).astype("float32")
    half = keras.ops.cast(logits, dtype)
    actual = normalized("double", half)
    assert keras.backend.standardize_dtype(actual.dtype) == dtype
    expected = reference(keras.ops.convert_to_numpy(keras.ops.cast(half, "float32")).astype("float64"))
    found = keras.ops.convert_to_numpy(keras.ops.cast(actual, "float32"))
    large = expected > 1e-4  # below, float16 has fewer digits
    np.testing.assert_allclose(found[large], expected[large], rtol=1.01 * resolution)
    np.testing.assert_allclose(found.sum(axis=-2), 1, rtol=UNITS * resolution)


def test_a_patch_whose_weights_are_too_small_for_float32_gets_none():
    logits = np.zeros((1, 1, UNITS, PATCHES), "float32")
    logits[..., 5] = -200
    weights = weights_of("double", logits)
    np.testing.assert_array_equal(weights[..., 5], 0)
    np.testing.assert_allclose(weights[..., :5].sum(axis=-2), 1, rtol=1e-6)
    assert np.isfinite(
        gradient_of(lambda x: normalized("double", x), logits, random(1)[:1, :1].astype("float32"))
    ).all()
