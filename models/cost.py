"""Closed forms of what a model costs: parameters and multiply-adds of every part. No Keras.

Multiply-adds count the matrix products alone, in the order the layers compute them; softmax, normalisation, dropout,
bias and residual additions are left out, as is usual. All are per image.
"""

from dataclasses import dataclass

from models.config import AttentionConfig, ExternalAttentionConfig, ModelConfig


@dataclass(frozen=True)
class PartCost:
    """One part of a model: `parameters` are trainable, `multiply_adds` are for one image, forward."""

    name: str
    parameters: int
    multiply_adds: int


def _dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def external_attention(config: ExternalAttentionConfig, dim: int, patches: int) -> list[PartCost]:
    """Parts of one external attention on `(patches, dim)`; multiply-adds are linear in `patches`."""
    wide = dim * config.dim_coefficient
    head_dim = dim // config.heads
    units, heads = config.memory_units, config.heads * config.dim_coefficient
    return [
        PartCost("query", _dense(dim, wide), patches * dim * wide),
        PartCost("memory_key", _dense(head_dim, units), patches * heads * head_dim * units),
        PartCost("memory_value", _dense(units, head_dim), patches * heads * units * head_dim),
        PartCost("output_projection", _dense(wide, dim), patches * wide * dim),
    ]


def self_attention(heads: int, key_dim: int, dim: int, patches: int) -> list[PartCost]:
    """Parts of one self-attention on `(patches, dim)`; the two products with the weights are quadratic in `patches`."""
    wide = heads * key_dim
    return [
        PartCost("query_key_value", 3 * _dense(dim, wide), 3 * patches * dim * wide),
        PartCost("scores", 0, patches**2 * wide),
        PartCost("weighted_values", 0, patches**2 * wide),
        PartCost("output_projection", _dense(wide, dim), patches * wide * dim),
    ]


def attention(config: AttentionConfig, dim: int, patches: int) -> list[PartCost]:
    """Parts of one attention of either kind on `(patches, dim)`."""
    if isinstance(config, ExternalAttentionConfig):
        return external_attention(config, dim, patches)
    return self_attention(config.heads, config.key_dim, dim, patches)


def model(config: ModelConfig) -> list[PartCost]:
    """Parts of the whole model, those of the encoder blocks added up over all blocks."""
    dim, hidden, patches, blocks = config.embedding_dim, config.mlp_dim, config.patches, config.blocks
    values = config.patch_size**2 * config.channels
    return [
        PartCost("patch_projection", _dense(values, dim), patches * values * dim),
        PartCost("position", patches * dim, 0),
        *(
            PartCost(f"attention.{part.name}", blocks * part.parameters, blocks * part.multiply_adds)
            for part in attention(config.attention, dim, patches)
        ),
        PartCost("layer_norms", blocks * 4 * dim, 0),
        PartCost(
            "feed_forward", blocks * (_dense(dim, hidden) + _dense(hidden, dim)), blocks * 2 * patches * dim * hidden
        ),
        PartCost("head", _dense(dim, config.classes), dim * config.classes),
    ]


def parameters(parts: list[PartCost]) -> int:
    """Trainable parameters of all parts."""
    return sum(part.parameters for part in parts)


def multiply_adds(parts: list[PartCost]) -> int:
    """Multiply-adds of all parts, for one image, forward."""
    return sum(part.multiply_adds for part in parts)
