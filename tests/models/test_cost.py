"""Closed forms against the tutorial's own figures, TensorFlow's graphs, and products counted one by one."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from models.attentions.external import ExternalAttention
from models.attentions.fused_self import FusedSelfAttention
from models.attentions.self import SelfAttention
from models.build import build_attention, build_model
from models.config import VARIANTS, ModelConfig
from tests.models.test_variants import counted_multiply_adds

EANET, VIT = VARIANTS["eanet"].model, VARIANTS["vit"].model
COUNTS = st.integers(1, 7)


def test_the_tutorials_figures_per_token_and_block():
    def per_token(attention, patches):
        return attention.cost(64, patches).multiply_adds / patches

    for patches in (16, 256, 1024):
        assert per_token(ExternalAttention(implementation="factored"), patches) == 40_960
        assert per_token(ExternalAttention(implementation="folded"), patches) == 32_768
        assert per_token(EANET.attention, patches) == 32_768, "folded, which is fewer"
        assert per_token(VIT.attention, patches) == 65_536 + 512 * patches
        assert per_token(SelfAttention(key_dim=16), patches) == 16_384 + 128 * patches


def test_the_memories_hold_544_of_a_blocks_42208_parameters():
    parts = {part.name: part.parameters for part in EANET.cost().parts}
    assert parts["attention.memory_key"] + parts["attention.memory_value"] == 8 * 544
    assert sum(n for name, n in parts.items() if name.startswith(("attention", "layer", "feed"))) == 8 * 42_208


def test_the_usual_vit_has_fewer_parameters_than_eanet():
    usual = VIT.model_copy(update={"attention": SelfAttention(key_dim=16)})
    assert usual.cost().parameters == 225_444


def test_memories_are_counted_as_often_as_there_are():
    """544 parameters a pair: one a block as published, one for each of 16 heads, or one for all 8 blocks."""

    def counted(sharing):
        attention = ExternalAttention(memory_sharing=sharing)
        model = EANET.model_copy(update={"attention": attention})
        return sum(part.parameters for part in model.cost().parts if "memory" in part.name)

    assert {sharing: counted(sharing) for sharing in ("heads", "none", "layers")} == {
        "heads": 8 * 544,
        "none": 8 * 16 * 544,
        "layers": 544,
    }


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
        cost = ExternalAttention(**own, implementation=implementation).cost(dim, patches)
        assert cost.multiply_adds == total_heads * of_images
        assert cost.weight_multiply_adds == total_heads * of_weights
    chosen = ExternalAttention(**own).cost(dim, patches).multiply_adds
    assert chosen == total_heads * min(of_images for of_images, _ in counted.values())


@given(heads=COUNTS, key_dim=COUNTS, dim=COUNTS, patches=COUNTS)
def test_self_attention_counted_product_by_product(heads, key_dim, dim, patches):
    x, w_in, w_out = np.ones((patches, dim)), np.ones((dim, key_dim)), np.ones((key_dim, dim))
    query = np.ones((patches, key_dim))
    scores = np.ones((patches, patches))
    per_head = 3 * products(x, w_in) + products(query, query.T) + products(scores, query) + products(query, w_out)
    assert SelfAttention(heads=heads, key_dim=key_dim).cost(dim, patches).multiply_adds == heads * per_head


def products(a, b):
    return a.shape[0] * a.shape[1] * b.shape[1]


@pytest.mark.parametrize("attention", [ExternalAttention(), SelfAttention()], ids=lambda a: a.kind)
def test_parts_that_are_not_attention_cost_the_same_for_both(attention):
    config = ModelConfig(
        attention=attention, image_size=12, patch_size=3, blocks=5, mlp_dim=7, embedding_dim=8, classes=11
    )
    rest = [part for part in config.cost().parts if not part.name.startswith("attention")]
    assert {part.name: part.multiply_adds for part in rest} == {
        "patch_projection": 16 * 27 * 8,
        "position": 0,
        "layer_norms": 0,
        "feed_forward": 5 * 2 * 16 * 8 * 7,
        "head": 8 * 11,
    }


ATTENTIONS = {
    "factored": ExternalAttention(implementation="factored"),
    "folded": ExternalAttention(implementation="folded"),
    "folded-own-memories": ExternalAttention(implementation="folded", memory_sharing="none"),
    "self": SelfAttention(),
}


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_training_step_has_thrice_the_multiply_adds_of_its_forward_pass(attention):
    """Two gradients for each product: nothing is computed twice, and none is left out."""
    layer, cost = build_attention(ATTENTIONS[attention]), ATTENTIONS[attention].cost(64, 61)
    layer.build((1, 61, 64))

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x, training=True)
        return tape.gradient(output, [x, *(weight.value for weight in layer.trainable_weights)])

    assert counted_multiply_adds(step, (1, 61, 64)) == 3 * (cost.multiply_adds + cost.weight_multiply_adds)


@pytest.mark.parametrize("side", [8, 16, 32])
@pytest.mark.parametrize("config", [EANET, VIT], ids=lambda c: c.attention.kind)
def test_tensorflows_graph_has_the_same_multiply_adds_in_a_whole_model(config, side):
    config = config.model_copy(update={"blocks": 2, "image_size": 2 * side})
    model = build_model(config)
    counted = counted_multiply_adds(lambda images: model(images, training=False), (1, 2 * side, 2 * side, 3))
    assert counted == config.cost().multiply_adds + config.cost().weight_multiply_adds


def test_a_fused_kernel_does_the_same_products_in_memory_that_is_linear():
    fused = FusedSelfAttention(heads=3, key_dim=5)
    cost, twice, plain = fused.cost(7, 1009), fused.cost(7, 2018), fused.unfused.cost(7, 1009)
    assert cost.multiply_adds == plain.multiply_adds
    assert VARIANTS["vit-fused"].model.cost().parameters == VIT.cost().parameters
    for phase in ("train", "infer"):
        assert twice.activation_bytes(2, phase) == 2 * cost.activation_bytes(2, phase)
        assert plain.activation_bytes(2, phase) > 2 * 4 * 3 * 1009**2


@pytest.mark.parametrize("phase", ["train", "infer"])
@pytest.mark.parametrize("kernel", [False, True])
def test_what_is_held_follows_the_kernel_that_the_backend_has(kernel, phase):
    """What drops weights holds them all, whatever the kernel; external attention has none."""
    fused = FusedSelfAttention(heads=3, key_dim=5)
    drops, calm = (SelfAttention(heads=3, key_dim=5, attention_dropout=rate) for rate in (0.2, 0.0))
    assert EANET.attention.held(kernel, phase) is EANET.attention
    assert fused.held(kernel, phase) == calm.held(kernel, phase) == (fused if kernel else calm)
    assert drops.held(kernel, phase) == (fused if kernel and phase == "infer" else drops)


def test_activations_scale_with_the_batch_and_the_bytes_of_a_value_and_training_needs_the_optimizers_copies():
    cost = EANET.cost()
    assert cost.activation_bytes(7, "train") == 7 * cost.activation_bytes(1, "train")
    assert cost.activation_bytes(7, "train", 2) * 2 == cost.activation_bytes(7, "train")
    extra = {phase: cost.needed_bytes(1, phase) - cost.activation_bytes(1, phase) for phase in ("train", "infer")}
    assert extra == {"train": 4 * 4 * 361_380, "infer": 4 * 361_380}


def test_folding_is_chosen_where_the_units_are_few_beside_the_width_of_a_head():
    def folds(heads, units):
        return ExternalAttention(heads=heads, memory_units=units).folds(64)

    assert [folds(4, units) for units in (2, 16, 21, 22, 64)] == [True, True, True, False, False]
    assert [folds(heads, 16) for heads in (1, 2, 4, 8)] == [True, True, True, False]
    assert ExternalAttention(heads=64, memory_units=10**6, implementation="folded").folds(64)
    assert not ExternalAttention(heads=1, memory_units=1, implementation="factored").folds(64)
