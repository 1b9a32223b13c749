"""ModelConfig: variants differ in their attention alone, and settings that cannot be built raise an error."""

import pytest
from pydantic import ValidationError

from models.attentions.external import ExternalAttention
from models.attentions.self import SelfAttention
from models.config import VARIANTS, ModelConfig

EANET = VARIANTS["eanet"].model


def test_the_two_of_the_tutorial_are_as_it_has_them():
    assert (EANET.image_size, EANET.patch_size, EANET.patches) == (32, 2, 256)
    assert (EANET.blocks, EANET.embedding_dim, EANET.mlp_dim, EANET.mlp_dropout) == (8, 64, 64, 0.2)
    assert EANET.attention == ExternalAttention(
        heads=4,
        dim_coefficient=4,
        memory_units=16,
        normalization="double",
        attention_dropout=0.2,
        projection_dropout=0.2,
    )
    assert VARIANTS["vit"].attention == SelfAttention(heads=4, key_dim=64, attention_dropout=0.2)


def test_a_variants_model_is_the_same_except_its_attention():
    assert len({variant.model.model_dump_json(exclude={"attention"}) for variant in VARIANTS.values()}) == 1
    assert all(variant.model.attention == variant.attention for variant in VARIANTS.values())


def test_a_config_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        EANET.blocks = 3


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"patch_size": 3}, "patch_size 3 does not divide image_size 32; allowed: 1, 2, 4, 8, 16, 32"),
        ({"attention": ExternalAttention(heads=5)}, "heads 5 does not divide embedding_dim 64; allowed: 1, 2, 4"),
        ({"blocks": 0}, "greater than or equal to 1"),
        ({"mlp_dropout": 1.0}, "less than 1"),
        ({"blokcs": 2}, "Extra inputs are not permitted"),
        ({"attention": {"kind": "external", "normalization": "l1"}}, "'patches', 'units' or 'double'"),
        ({"attention": {"kind": "nothing"}}, "'external', 'self'"),
    ],
)
def test_what_cannot_be_built_is_an_error(changes, complaint):
    with pytest.raises(ValidationError, match=complaint):
        ModelConfig(**(EANET.model_dump() | changes))


def test_self_attention_heads_need_not_divide_the_width():
    assert ModelConfig(attention=SelfAttention(heads=5)).attention.heads == 5
