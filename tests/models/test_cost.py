"""Closed forms against the tutorial's own figures, TensorFlow's graphs, and products counted one by one."""

import math

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
        assert per_token(ExternalAttentionConfig(implementation="factored"), patches) == 40_960
        assert per_token(ExternalAttentionConfig(implementation="folded"), patches) == 32_768
        assert per_token(EANET.attention, patches) == 32_768, "folded, which is fewer"
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
    """Counts the multiply-adds of each matrix product from the operands' shapes, in the layer's order.

    Folded there are two products of images and two of weights, each of these with its bias as one more row.
    """
    dim = heads * width
    total_heads = heads * coefficient
    x, w_query, w_out = (np.ones(shape) for shape in ((patches, dim), (dim, width), (width, dim)))
    key, value = np.ones((width, units)), np.ones((units, width))
    head = x @ w_query
    counted = {
        "factored": (
            products(x, w_query) + products(head, key) + products(head @ key, value) + products(head, w_out),
            0,
        ),
        "folded": (
            products(x, w_query @ key) + products(head @ key, value @ w_out),
            products(np.ones((dim + 1, width)), key) + products(np.ones((units + 1, width)), w_out),
        ),
    }
    own = {"heads": heads, "dim_coefficient": coefficient, "memory_units": units}
    for implementation, (of_images, of_weights) in counted.items():
        parts = cost.attention(ExternalAttentionConfig(**own, implementation=implementation), dim, patches)
        assert cost.multiply_adds(parts) == total_heads * of_images
        assert sum(part.weight_multiply_adds for part in parts) == total_heads * of_weights
    chosen = cost.multiply_adds(cost.attention(ExternalAttentionConfig(**own), dim, patches))
    assert chosen == total_heads * min(of_images for of_images, _ in counted.values())


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


def counted_multiply_adds(step, *shapes):
    """Those of the matrix products in TensorFlow's graph of a step, from the shapes of their operands."""
    graph = tf.function(step).get_concrete_function(*(tf.TensorSpec(shape, "float32") for shape in shapes)).graph
    return sum(map(multiply_adds_of, graph.get_operations()))


def multiply_adds_of(operation):
    if operation.type == "Einsum":
        given, _ = operation.get_attr("equation").decode().split("->")
        axes = zip(given.split(","), (operand.shape for operand in operation.inputs), strict=True)
        return math.prod(
            {name: size for names, shape in axes for name, size in zip(names, shape, strict=True)}.values()
        )
    if operation.type in ("MatMul", "BatchMatMulV2"):
        swapped = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
        return operation.outputs[0].shape.num_elements() * operation.inputs[0].shape[-2 if swapped else -1]
    assert "MatMul" not in operation.type, operation.type
    return 0


def of_a_step(parts):
    """Multiply-adds of one image's step: its own and those of the weights."""
    return cost.multiply_adds(parts) + sum(part.weight_multiply_adds for part in parts)


ATTENTIONS = {
    "factored": ExternalAttentionConfig(implementation="factored"),
    "folded": ExternalAttentionConfig(implementation="folded"),
    "folded-own-memories": ExternalAttentionConfig(implementation="folded", memory_sharing="none"),
    "self": SelfAttentionConfig(),
}


@pytest.mark.parametrize("patches", [64, 256, 1024])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_tensorflows_graph_has_the_same_multiply_adds(attention, patches):
    config = ATTENTIONS[attention]
    layer = build_attention(config)
    layer.build((1, patches, 64))
    counted = counted_multiply_adds(lambda x: layer(x, training=False), (1, patches, 64))
    assert counted == of_a_step(cost.attention(config, 64, patches))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_training_step_has_thrice_the_multiply_adds_of_its_forward_pass(attention):
    """Two gradients for each product: nothing is computed twice, and none is left out."""
    config = ATTENTIONS[attention]
    layer = build_attention(config)
    layer.build((1, 61, 64))

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x, training=True)
        return tape.gradient(output, [x, *(weight.value for weight in layer.trainable_weights)])

    assert counted_multiply_adds(step, (1, 61, 64)) == 3 * of_a_step(cost.attention(config, 64, 61))


@pytest.mark.parametrize("side", [8, 16, 32])
@pytest.mark.parametrize("config", [EANET, VIT], ids=lambda c: c.attention.kind)
def test_tensorflows_graph_has_the_same_multiply_adds_in_a_whole_model(config, side):
    config = config.model_copy(update={"blocks": 2, "image_size": 2 * side})
    model = build_model(config)
    counted = counted_multiply_adds(lambda images: model(images, training=False), (1, 2 * side, 2 * side, 3))
    assert counted == of_a_step(cost.model(config))


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


def test_moved_bytes_are_every_parts_inputs_and_outputs_once_and_thrice_in_training():
    """Counted by hand for one block: x in and out of each part, and the weights of the attention between them."""
    patches, dim, heads, units = 13, 7, 7 * 2, 5
    attention = ExternalAttentionConfig(heads=7, dim_coefficient=2, memory_units=units, implementation="folded")
    x, weights = patches * dim, patches * heads * units
    parts = cost.attention(attention, dim, patches)
    assert cost.moved_bytes(parts, 3, "infer") == 4 * 3 * ((x + weights) + 2 * weights + (weights + x))
    assert cost.moved_bytes(parts, 3, "train") == 3 * cost.moved_bytes(parts, 3, "infer")
    assert cost.moved_bytes(parts, 3, "infer", 2) * 2 == cost.moved_bytes(parts, 3, "infer")


def test_what_a_model_moves_grows_by_the_same_with_every_block():
    moved = [cost.moved_bytes(cost.model(EANET.model_copy(update={"blocks": n})), 1, "infer") for n in (1, 2, 3, 5)]
    of_a_block = moved[1] - moved[0]
    assert [moved[2] - moved[1], moved[3] - moved[2]] == [of_a_block, 2 * of_a_block]
    assert of_a_block > cost.moved_bytes(cost.attention(EANET.attention, 64, 256), 1, "infer")


def test_folding_is_chosen_where_the_units_are_few_beside_the_width_of_a_head():
    def folds(heads, units):
        return cost.folds("auto", 64, 64 // heads, units)

    assert [folds(4, units) for units in (2, 16, 21, 22, 64)] == [True, True, True, False, False]
    assert [folds(heads, 16) for heads in (1, 2, 4, 8)] == [True, True, True, False]
    assert cost.folds("folded", 64, 1, 10**6)
    assert not cost.folds("factored", 64, 64, 1)
