"""Closed forms, compared with the tutorial's figures and TensorFlow's graphs; `test_variants` has each attention's."""

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.products import counted_multiply_adds
from models.attentions.external import ExternalAttention
from models.attentions.fused_self import FusedSelfAttention
from models.attentions.self import SelfAttention
from models.build import build_attention, build_model
from models.config import VARIANTS

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


@given(heads=COUNTS, coefficient=COUNTS, units=COUNTS, width=COUNTS, patches=COUNTS)
def test_the_order_with_fewer_multiply_adds_is_chosen(heads, coefficient, units, width, patches):
    own = {"heads": heads, "dim_coefficient": coefficient, "memory_units": units}
    factored, folded, chosen = (
        ExternalAttention(**own, implementation=name).cost(heads * width, patches).multiply_adds
        for name in ("factored", "folded", "auto")
    )
    assert chosen == min(factored, folded)
