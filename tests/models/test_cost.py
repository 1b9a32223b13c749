"""Closed forms against the tutorial's own figures, against Keras's count, and against products counted one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import cost
from models.config import EANET, VIT, ExternalAttentionConfig, ModelConfig, SelfAttentionConfig

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
