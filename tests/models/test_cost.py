"""Closed forms against the tutorial's own figures, TensorFlow's counters, and products counted one by one."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from models import cost
from models.attention import build_attention
from models.build import build_model
from models.config import (
    EANET,
    PRESETS,
    VIT,
    VIT_FUSED,
    ExternalAttentionConfig,
    FusedSelfAttentionConfig,
    ModelConfig,
    SelfAttentionConfig,
)

COUNTS = st.integers(1, 7)


def test_the_tutorials_figures_per_token_and_block():
    def per_token(attention, patches):
        return cost.multiply_adds(cost.attention(attention, 64, patches)) / patches

    for patches in (16, 256, 1024):
        assert per_token(EANET.attention, patches) == 40_960
        assert per_token(VIT.attention, patches) == 65_536 + 512 * patches
        assert per_token(SelfAttentionConfig(key_dim=16), patches) == 16_384 + 128 * patches


def test_the_memories_hold_544_of_a_blocks_42208_parameters():
    parts = {part.name: part.parameters for part in cost.model(EANET)}
    assert parts["attention.memory_key"] + parts["attention.memory_value"] == 8 * 544
    assert sum(n for name, n in parts.items() if name.startswith(("attention", "layer", "feed"))) == 8 * 42_208


def test_the_usual_vit_has_fewer_parameters_than_eanet():
    usual = VIT.model_copy(update={"attention": SelfAttentionConfig(key_dim=16)})
    assert cost.parameters(cost.model(usual)) == 225_444


def test_memories_are_counted_as_often_as_there_are():
    """544 parameters a pair: one a block as published, one for each of 16 heads, or one for all 8 blocks."""

    def counted(sharing):
        attention = ExternalAttentionConfig(memory_sharing=sharing)
        parts = cost.model(EANET.model_copy(update={"attention": attention}))
        return sum(part.parameters for part in parts if "memory" in part.name)

    assert {sharing: counted(sharing) for sharing in ("heads", "none", "layers")} == {
        "heads": 8 * 544,
        "none": 8 * 16 * 544,
        "layers": 544,
    }


def test_controls_have_no_parameters_and_random_mixing_has_one_product():
    for name in ("identity", "mean", "random-mixing"):
        parts = cost.attention(PRESETS[name].attention, 7, 11)
        assert cost.parameters(parts) == 0
        assert cost.multiply_adds(parts) == (11 * 11 * 7 if name == "random-mixing" else 0)


@given(heads=COUNTS, coefficient=COUNTS, units=COUNTS, width=COUNTS, patches=COUNTS)
def test_external_attention_counted_product_by_product(heads, coefficient, units, width, patches):
    """Counts the multiply-adds of each matrix product from the operands' shapes, in the layer's order."""
    dim = heads * width
    x, w_query = np.ones((patches, dim)), np.ones((dim, dim * coefficient))
    head, key, value = np.ones((patches, width)), np.ones((width, units)), np.ones((units, width))
    total_heads = heads * coefficient
    expected = products(x, w_query) + total_heads * (products(head, key) + products(head @ key, value))
    expected += products(np.ones((patches, dim * coefficient)), np.ones((dim * coefficient, dim)))
    config = ExternalAttentionConfig(heads=heads, dim_coefficient=coefficient, memory_units=units)
    assert cost.multiply_adds(cost.attention(config, dim, patches)) == expected


@given(heads=COUNTS, key_dim=COUNTS, dim=COUNTS, patches=COUNTS)
def test_self_attention_counted_product_by_product(heads, key_dim, dim, patches):
    x, w_in, w_out = np.ones((patches, dim)), np.ones((dim, key_dim)), np.ones((key_dim, dim))
    query = np.ones((patches, key_dim))
    scores = np.ones((patches, patches))
    per_head = 3 * products(x, w_in) + products(query, query.T) + products(scores, query) + products(query, w_out)
    config = SelfAttentionConfig(heads=heads, key_dim=key_dim)
    assert cost.multiply_adds(cost.attention(config, dim, patches)) == heads * per_head


def products(a, b):
    return a.shape[0] * a.shape[1] * b.shape[1]


@pytest.mark.parametrize("attention", [ExternalAttentionConfig(), SelfAttentionConfig()], ids=lambda a: a.kind)
def test_parts_that_are_not_attention_cost_the_same_for_both(attention):
    config = ModelConfig(
        attention=attention, image_size=12, patch_size=3, blocks=5, mlp_dim=7, embedding_dim=8, classes=11
    )
    rest = [part for part in cost.model(config) if not part.name.startswith("attention")]
    assert {part.name: part.multiply_adds for part in rest} == {
        "patch_projection": 16 * 27 * 8,
        "position": 0,
        "layer_norms": 0,
        "feed_forward": 5 * 2 * 16 * 8 * 7,
        "head": 8 * 11,
    }


def profiled_multiply_adds(layer, shape):
    """What TensorFlow's profiler counts in the matrix products of the layer's graph, two operations each."""
    run = tf.function(lambda x: layer(x, training=False)).get_concrete_function(tf.TensorSpec(shape, "float32"))
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()

    def products_in(node):
        own = node.float_ops if "MatMul" in node.name else 0
        return own + sum(map(products_in, node.children))

    return products_in(tf.compat.v1.profiler.profile(run.graph, cmd="op", options=options)) / 2


@pytest.mark.parametrize("patches", [64, 256, 1024])
@pytest.mark.parametrize("attention", [EANET.attention, VIT.attention], ids=lambda a: a.kind)
def test_tensorflows_profiler_counts_the_same_multiply_adds(attention, patches):
    layer = build_attention(attention)
    layer.build((1, patches, 64))
    counted = profiled_multiply_adds(layer, (1, patches, 64))
    assert counted == pytest.approx(cost.multiply_adds(cost.attention(attention, 64, patches)), rel=0.01)


@pytest.mark.parametrize("side", [8, 16, 32])
@pytest.mark.parametrize("config", [EANET, VIT], ids=lambda c: c.attention.kind)
def test_tensorflows_profiler_counts_the_same_multiply_adds_in_a_whole_model(config, side):
    config = config.model_copy(update={"blocks": 2, "image_size": 2 * side})
    counted = profiled_multiply_adds(build_model(config), (1, 2 * side, 2 * side, 3))
    assert counted == pytest.approx(cost.multiply_adds(cost.model(config)), rel=0.01)


def test_a_fused_kernel_does_the_same_products_in_memory_that_is_linear():
    fused = FusedSelfAttentionConfig(heads=3, key_dim=5)
    parts, plain = (cost.attention(config, 7, 1009) for config in (fused, cost.unfused(fused)))
    assert cost.multiply_adds(parts) == cost.multiply_adds(plain)
    assert cost.parameters(cost.model(VIT_FUSED)) == cost.parameters(cost.model(VIT))
    for phase in ("train", "infer"):
        larger = cost.activation_bytes(cost.attention(fused, 7, 2018), 2, phase)
        assert larger == 2 * cost.activation_bytes(parts, 2, phase)
        assert cost.activation_bytes(plain, 2, phase) > 2 * 4 * 3 * 1009**2


def test_activations_scale_with_the_batch_and_the_bytes_of_a_value_and_training_needs_the_optimizers_copies():
    parts = cost.model(EANET)
    assert cost.activation_bytes(parts, 7, "train") == 7 * cost.activation_bytes(parts, 1, "train")
    assert cost.activation_bytes(parts, 7, "train", 2) * 2 == cost.activation_bytes(parts, 7, "train")
    extra = {p: cost.needed_bytes(parts, 1, p) - cost.activation_bytes(parts, 1, p) for p in ("train", "infer")}
    assert extra == {"train": 4 * 4 * 361_380, "infer": 4 * 361_380}
