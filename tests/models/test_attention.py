"""Tests of single attentions; those of all attentions are in `test_variants`."""

import keras
import numpy as np
import pytest

from models.attentions.external import ExternalAttention
from models.attentions.random_mixing import RandomMixing
from models.attentions.self import SelfAttention
from models.build import build_attention
from tests.models.test_variants import BATCH, CASES, DIM, HEADS, PATCHES, without_dropout


def test_each_heads_own_memories_start_like_the_shared_ones():
    """Keras's initializer would count the heads as inputs, and start them smaller by the root of their number."""
    spreads = {}
    for sharing in ("heads", "none"):
        settings = ExternalAttention(heads=5, dim_coefficient=17, memory_units=31, memory_sharing=sharing)
        layer = build_attention(settings)
        layer.build((BATCH, PATCHES, 145))
        spreads[sharing] = [float(np.std(layer.get_weights()[index])) for index in (2, 4)]
    np.testing.assert_allclose(spreads["none"], spreads["heads"], rtol=0.1)


def test_heads_that_do_not_divide_the_width_are_an_error():
    with pytest.raises(ValueError, match="heads 3 does not divide embedding_dim 13; allowed: 1, 13"):
        build_attention(CASES["external"].attention).build((None, PATCHES, 13))


def test_random_mixing_is_drawn_again_for_each_block_and_keeps_the_size_of_its_input():
    first, second = (build_attention(RandomMixing()) for _ in range(2))
    for layer in (first, second):
        layer.build((BATCH, 401, DIM))
    assert np.abs(first.get_weights()[0] - second.get_weights()[0]).max() > 0.01
    assert np.std(first.get_weights()[0]) == pytest.approx(401**-0.5, rel=0.02)
    with pytest.raises(ValueError, match="number of patches"):
        build_attention(RandomMixing()).build((BATCH, None, DIM))


def test_dropout_acts_in_training_only():
    x = np.random.default_rng(29).standard_normal((BATCH, PATCHES, DIM)).astype("float32")
    for attention in (CASES["external"].attention, SelfAttention(heads=HEADS)):
        layer = build_attention(attention)
        calm = [keras.ops.convert_to_numpy(layer(x, training=False)) for _ in range(2)]
        wild = [keras.ops.convert_to_numpy(layer(x, training=True)) for _ in range(2)]
        np.testing.assert_array_equal(*calm)
        assert np.abs(wild[0] - wild[1]).max() > 1e-3
        still = build_attention(without_dropout(attention))
        np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(still(x, training=True)) for _ in range(2)))
