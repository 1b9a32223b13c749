"""Tests of single attentions; `test_variants` holds for all of them."""

import keras
import numpy as np
import pytest

from models.attentions.external import ExternalAttention
from models.attentions.random_mixing import RandomMixing
from models.attentions.self import SelfAttention
from models.build import build_attention, layer_of
from tests.models.test_variants import BATCH, CASES, COEFFICIENT, DIM, HEADS, PATCHES, UNITS, without_dropout


def external(**more):
    sizes = {"heads": HEADS, "dim_coefficient": COEFFICIENT, "memory_units": UNITS}
    return ExternalAttention(**sizes | more)


def outputs(layer, *values):
    return [keras.ops.convert_to_numpy(layer(value)) for value in values]


@pytest.fixture
def x():
    return np.random.default_rng(29).standard_normal((BATCH, PATCHES, DIM)).astype("float32")


def test_the_implementations_have_the_same_weights_and_give_the_same(x):
    layers = [build_attention(external(implementation=name)) for name in ("factored", "folded", "auto")]
    found = []
    for layer in layers:
        layer.build(x.shape)
        layer.set_weights(layers[0].get_weights())
        found += outputs(layer, x)
    np.testing.assert_allclose(found[1], found[0], atol=1e-5 * np.abs(found[0]).max())
    np.testing.assert_array_equal(found[2], found[0])
    assert not external().folds(DIM), "3 heads of width 7 are cheaper apart"


def test_external_attention_mixes_patches_through_its_normalization_alone(x):
    """With the softmax over units each patch stays alone; with the published normalization it does not."""
    changed = x.copy()
    changed[:, 0] += 1
    for normalization, mixes in (("units", False), ("double", True), ("patches", True)):
        before, after = outputs(build_attention(external(normalization=normalization)), x, changed)
        assert bool(np.abs(before[:, 1:] - after[:, 1:]).max() > 1e-6) is mixes


@pytest.mark.parametrize("name", [name for name in CASES if name != "random-mixing"])
def test_patches_are_a_set_whose_order_matters_only_through_their_positions(name, x):
    """A permutation of the patches is a permutation of the output."""
    order = np.random.default_rng(7).permutation(PATCHES)
    straight, permuted = outputs(build_attention(CASES[name].attention), x, x[:, order])
    np.testing.assert_allclose(permuted, straight[:, order], atol=1e-5)


def test_each_heads_own_memories_start_like_the_shared_ones():
    """Keras's initializer would count the heads as inputs, and start them smaller by the root of their number."""
    spreads = {}
    for sharing in ("heads", "none"):
        settings = ExternalAttention(heads=5, dim_coefficient=17, memory_units=31, memory_sharing=sharing)
        layer = build_attention(settings)
        layer.build((BATCH, PATCHES, 145))
        spreads[sharing] = [float(np.std(layer.get_weights()[index])) for index in (2, 4)]
    np.testing.assert_allclose(spreads["none"], spreads["heads"], rtol=0.1)


def test_attentions_of_one_model_share_their_memories_with_sharing_by_layers():
    def pairs(sharing):
        settings = external(memory_sharing=sharing)
        layers = layer_of(settings).for_blocks(settings, DIM, 3)
        for layer in layers:
            layer.build((BATCH, PATCHES, DIM))
        return {(id(layer.memory_key), id(layer.memory_value)) for layer in layers}

    assert {sharing: len(pairs(sharing)) for sharing in ("heads", "none", "layers")} == {
        "heads": 3,
        "none": 3,
        "layers": 1,
    }


def test_heads_that_do_not_divide_the_width_are_an_error():
    with pytest.raises(ValueError, match="heads 3 does not divide embedding_dim 13; allowed: 1, 13"):
        build_attention(external()).build((None, PATCHES, 13))


def test_random_mixing_is_drawn_again_for_each_block_and_keeps_the_size_of_its_input():
    first, second = (build_attention(RandomMixing()) for _ in range(2))
    for layer in (first, second):
        layer.build((BATCH, 401, DIM))
    assert np.abs(first.get_weights()[0] - second.get_weights()[0]).max() > 0.01
    assert np.std(first.get_weights()[0]) == pytest.approx(401**-0.5, rel=0.02)
    with pytest.raises(ValueError, match="number of patches"):
        build_attention(RandomMixing()).build((BATCH, None, DIM))


def test_dropout_acts_in_training_only(x):
    for attention in (external(), SelfAttention(heads=HEADS)):
        layer = build_attention(attention)
        calm = [keras.ops.convert_to_numpy(layer(x, training=False)) for _ in range(2)]
        wild = [keras.ops.convert_to_numpy(layer(x, training=True)) for _ in range(2)]
        np.testing.assert_array_equal(*calm)
        assert np.abs(wild[0] - wild[1]).max() > 1e-3
        still = build_attention(without_dropout(attention))
        np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(still(x, training=True)) for _ in range(2)))
