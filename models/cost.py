"""Closed forms of what a model costs: parameters, multiply-adds and activations of every part. No Keras.

Multiply-adds count the matrix products alone, in the order the layers compute them; softmax, normalisation, dropout,
bias and residual additions are left out, as is usual. All are per image, but for the products of weights alone, which
a step does once, however many images it has.

Activations count the values that are in memory at once when every operation has an array of its own, as TensorFlow's
kernels on a CPU do; a compiler that joins operations needs less. They are right to within a factor of 2
(docs/measurements.md), which is what tells a size that fits from one that does not.
"""

from dataclasses import dataclass
from typing import Literal

from models.config import (
    AttentionConfig,
    ControlConfig,
    ExternalAttentionConfig,
    FusedSelfAttentionConfig,
    IdentityConfig,
    MeanConfig,
    ModelConfig,
    SelfAttentionConfig,
)

Phase = Literal["train", "infer"]
COPIES_OF_WEIGHTS = {"train": 4, "infer": 1}
"""A training step also holds a gradient and AdamW's two moments for each weight."""


@dataclass(frozen=True)
class PartCost:
    """One part of a model, for one image.

    `parameters` are trainable, `multiply_adds` those of the forward pass. `kept` activations wait for the backward
    pass; `working` is the most that the part holds at once while it is computed, its inputs included: also the least
    that it has to move, each value once. `weight_multiply_adds` are those of products of weights alone, once a step.
    All but `working` are of all the blocks that the part `occurs` in; `one_for_all` says that its parameters are the
    same ones in each.
    """

    name: str
    parameters: int
    multiply_adds: int
    kept: int = 0
    working: int = 0
    weight_multiply_adds: int = 0
    one_for_all: bool = False
    occurs: int = 1


def _dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def folds(implementation: str, dim: int, head_dim: int, memory_units: int) -> bool:
    """Whether external attention multiplies W_q M_k and M_v W_o first: as told, or where that is cheaper.

    With d = `dim`, d_h = `head_dim` and S = `memory_units`, each of its heads has 2 d_h (d + S) multiply-adds a token
    as published, and 2 d S folded.
    """
    if implementation != "auto":
        return implementation == "folded"
    return dim * memory_units < head_dim * (dim + memory_units)


def external_attention(config: ExternalAttentionConfig, dim: int, patches: int) -> list[PartCost]:
    """Parts of one external attention on `(patches, dim)`; all but the parameters are linear in `patches`."""
    wide = dim * config.dim_coefficient
    head_dim = dim // config.heads
    units, heads = config.memory_units, config.heads * config.dim_coefficient
    x, queries, weights = patches * dim, patches * wide, patches * heads * units
    dropped = weights // 4 if config.attention_dropout else 0  # the mask, a byte a value
    pairs = heads if config.memory_sharing == "none" else 1
    one = config.memory_sharing == "layers"
    key, value = pairs * _dense(head_dim, units), pairs * _dense(units, head_dim)
    if folds(config.implementation, dim, head_dim, units):
        return [
            PartCost("query", _dense(dim, wide), 0),
            PartCost("memory_key", key, x * heads * units, x, x + weights, (dim + 1) * wide * units, one),
            PartCost("normalization", 0, 0, 2 * weights + dropped, 2 * weights),
            PartCost("memory_value", value, weights * dim, x, weights + x, (units + 1) * wide * dim, one),
            PartCost("output_projection", _dense(wide, dim), 0),
        ]
    return [
        PartCost("query", _dense(dim, wide), patches * dim * wide, x + queries, x + queries),
        PartCost("memory_key", key, queries * units, queries + weights, queries + weights, one_for_all=one),
        PartCost("normalization", 0, 0, 2 * weights + dropped, 2 * weights),
        PartCost("memory_value", value, weights * head_dim, queries, weights + queries, one_for_all=one),
        PartCost("output_projection", _dense(wide, dim), queries * dim, queries + x, queries + x),
    ]


def self_attention(config: SelfAttentionConfig, dim: int, patches: int) -> list[PartCost]:
    """Parts of one self-attention on `(patches, dim)`; the products with its weights are quadratic in `patches`."""
    wide = config.heads * config.key_dim
    x, values, weights = patches * dim, patches * wide, patches**2 * config.heads
    dropped = weights + weights // 4 if config.attention_dropout else 0  # what is left of them, and the mask
    return [
        PartCost("query_key_value", 3 * _dense(dim, wide), 3 * x * wide, x + 4 * values, x + 3 * values),
        PartCost("scores", 0, patches**2 * wide, weights + dropped, 3 * values + 2 * weights),
        PartCost("weighted_values", 0, patches**2 * wide, values, weights + 2 * values),
        PartCost("output_projection", _dense(wide, dim), values * dim, values, values + x),
    ]


def fused_self_attention(config: FusedSelfAttentionConfig, dim: int, patches: int) -> list[PartCost]:
    """Self-attention in a fused kernel: the same products, and no array of `patches` x `patches`."""
    parts = self_attention(unfused(config), dim, patches)
    values, sums = patches * config.heads * config.key_dim, patches * config.heads
    query_key_value, scores, weighted, output = parts
    return [
        query_key_value,
        PartCost("scores", 0, scores.multiply_adds, sums, 4 * values + sums),
        PartCost("weighted_values", 0, weighted.multiply_adds, values, 4 * values),
        output,
    ]


def unfused(config: FusedSelfAttentionConfig) -> SelfAttentionConfig:
    """What a backend without a fused kernel computes instead."""
    return SelfAttentionConfig(heads=config.heads, key_dim=config.key_dim, attention_dropout=0.0)


def attention(config: AttentionConfig, dim: int, patches: int) -> list[PartCost]:
    """Parts of one attention of any kind on `(patches, dim)`."""
    if isinstance(config, ExternalAttentionConfig):
        return external_attention(config, dim, patches)
    if isinstance(config, FusedSelfAttentionConfig):
        return fused_self_attention(config, dim, patches)
    if isinstance(config, SelfAttentionConfig):
        return self_attention(config, dim, patches)
    return [control(config, dim, patches)]


def control(config: ControlConfig, dim: int, patches: int) -> PartCost:
    """What stands in for an attention on `(patches, dim)`; none of it is trained."""
    x = patches * dim
    if isinstance(config, IdentityConfig):
        return PartCost("identity", 0, 0, 0, x)
    if isinstance(config, MeanConfig):
        return PartCost("mean", 0, 0, 0, 2 * x)
    return PartCost("random_mixing", 0, patches * x, 0, 2 * x)


def model(config: ModelConfig) -> list[PartCost]:
    """Parts of the whole model, those of the encoder blocks added up over all blocks."""
    dim, hidden, patches, blocks = config.embedding_dim, config.mlp_dim, config.patches, config.blocks
    values = config.patch_size**2 * config.channels
    x, wide = patches * dim, patches * hidden
    dropped = 2 * (x + wide) if config.mlp_dropout else 0
    return [
        PartCost("patch_projection", _dense(values, dim), patches * values * dim, patches * values, x),
        PartCost("position", x, 0, x, 2 * x),
        *(
            PartCost(
                f"attention.{part.name}",
                part.parameters * (1 if part.one_for_all else blocks),
                blocks * part.multiply_adds,
                blocks * part.kept,
                part.working,
                blocks * part.weight_multiply_adds,
                part.one_for_all,
                blocks,
            )
            for part in attention(config.attention, dim, patches)
        ),
        PartCost("layer_norms", blocks * 4 * dim, 0, blocks * 4 * x, 3 * x, occurs=2 * blocks),
        PartCost(
            "feed_forward",
            blocks * (_dense(dim, hidden) + _dense(hidden, dim)),
            blocks * 2 * x * hidden,
            blocks * (4 * wide + x + dropped),
            x + 3 * wide,
            occurs=blocks,
        ),
        PartCost("head", _dense(dim, config.classes), dim * config.classes, x, x),
    ]


def parameters(parts: list[PartCost]) -> int:
    """Trainable parameters of all parts."""
    return sum(part.parameters for part in parts)


def multiply_adds(parts: list[PartCost]) -> int:
    """Multiply-adds of all parts, for one image, forward."""
    return sum(part.multiply_adds for part in parts)


def activation_bytes(parts: list[PartCost], batch: int, phase: Phase, value_bytes: int = 4) -> int:
    """Most bytes of activations at once: all that is kept in training, and the part that works with the most."""
    kept = sum(part.kept for part in parts) if phase == "train" else 0
    return batch * value_bytes * (kept + max(part.working for part in parts))


def moved_bytes(parts: list[PartCost], batch: int, phase: Phase, value_bytes: int = 4) -> int:
    """Least bytes that a step reads and writes: in the forward pass each part its inputs and outputs, once; a training
    step thrice that, for its backward pass reads them and the gradients of the outputs and writes those of the inputs.
    """
    passes = 3 if phase == "train" else 1
    return passes * batch * value_bytes * sum(part.occurs * part.working for part in parts)


def needed_bytes(parts: list[PartCost], batch: int, phase: Phase, value_bytes: int = 4) -> int:
    """Activations and the weights with all that a step keeps for them, in float32: what has to be free to run it."""
    return activation_bytes(parts, batch, phase, value_bytes) + 4 * COPIES_OF_WEIGHTS[phase] * parameters(parts)
