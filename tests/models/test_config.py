"""ModelConfig: the two presets differ in their attention alone, and what cannot be built is an error that says why."""

import pytest
from pydantic import ValidationError

from models.config import EANET, PRESETS, VIT, ExternalAttentionConfig, ModelConfig, SelfAttentionConfig


def test_presets_differ_in_their_attention_alone():
    assert len({preset.model_dump_json(exclude={"attention"}) for preset in PRESETS.values()}) == 1
    assert len({preset.attention.model_dump_json() for preset in PRESETS.values()}) == len(PRESETS)


def test_presets_are_the_tutorials():
    assert (EANET.image_size, EANET.patch_size, EANET.patches) == (32, 2, 256)
    assert (EANET.blocks, EANET.embedding_dim, EANET.mlp_dim, EANET.mlp_dropout) == (8, 64, 64, 0.2)
    assert EANET.attention == ExternalAttentionConfig(
        heads=4,
        dim_coefficient=4,
        memory_units=16,
        normalization="double",
        attention_dropout=0.2,
        projection_dropout=0.2,
    )
    assert VIT.attention == SelfAttentionConfig(heads=4, key_dim=64, attention_dropout=0.2)


def test_a_config_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        EANET.blocks = 3


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"patch_size": 3}, "patch_size 3 does not divide image_size 32; allowed: 1, 2, 4, 8, 16, 32"),
        ({"attention": ExternalAttentionConfig(heads=5)}, "heads 5 does not divide embedding_dim 64; allowed: 1, 2, 4"),
        ({"blocks": 0}, "greater than or equal to 1"),
        ({"mlp_dropout": 1.0}, "less than 1"),
        ({"blokcs": 2}, "Extra inputs are not permitted"),
        ({"attention": {"kind": "linear"}}, "'external', 'self'"),
    ],
)
def test_what_cannot_be_built_is_an_error(changes, complaint):
    with pytest.raises(ValidationError, match=complaint):
        ModelConfig(**(EANET.model_dump() | changes))


def test_self_attention_heads_need_not_divide_the_width():
    assert ModelConfig(attention=SelfAttentionConfig(heads=5)).attention.heads == 5
