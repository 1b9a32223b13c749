"""What is compared: the settings of one model, validated and frozen.

`EANET` and `VIT` are the tutorial's two models. They differ in `attention` and in nothing else; so do the others.
`EANET_FACTORED` is the same function as `EANET`, in the order of products of the paper.
"""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Rate = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Implementation = Literal["auto", "factored", "folded"]


class Settings(BaseModel):
    """Base of every settings model: frozen, and a misspelled name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ExternalAttentionConfig(Settings):
    """External attention (Guo et al. 2021, arXiv:2105.02358), as the Keras tutorial builds it.

    The `dim * dim_coefficient` features are split into `heads * dim_coefficient` heads of width `dim / heads`. As
    published they share one pair of memories of `memory_units` rows (`memory_sharing` "heads"); with "none" each head
    has a pair of its own, with "layers" all blocks have the same one.

    `implementation` changes how it is computed and not what: "factored" as published, "folded" with W_q M_k and M_v W_o
    multiplied first, "auto" whichever has fewer multiply-adds a token (`models.cost.folds`).
    """

    kind: Literal["external"] = "external"
    heads: Count = 4
    dim_coefficient: Count = 4
    memory_units: Count = 16
    memory_sharing: Annotated[Literal["heads", "none", "layers"], Field(exclude_if=lambda by: by == "heads")] = "heads"
    normalization: Literal["patches", "units", "double"] = "double"
    attention_dropout: Rate = 0.2
    projection_dropout: Rate = 0.2
    implementation: Annotated[Implementation, Field(exclude_if=lambda name: name == "auto")] = "auto"


class SelfAttentionConfig(Settings):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762); `key_dim` is the width of ONE head."""

    kind: Literal["self"] = "self"
    heads: Count = 4
    key_dim: Count = 64
    attention_dropout: Rate = 0.2


class FusedSelfAttentionConfig(Settings):
    """Self-attention without dropout on its weights: what a backend's fused kernel computes, where it has one."""

    kind: Literal["fused_self"] = "fused_self"
    heads: Count = 4
    key_dim: Count = 64


class IdentityConfig(Settings):
    """No attention: each patch stays on its own. A control."""

    kind: Literal["identity"] = "identity"


class MeanConfig(Settings):
    """Every patch gets the mean over the patches: mixing without a weight. A control."""

    kind: Literal["mean"] = "mean"


class RandomMixingConfig(Settings):
    """The patches mixed by a random matrix that is drawn once a block and never trained. A control."""

    kind: Literal["random_mixing"] = "random_mixing"


ControlConfig = IdentityConfig | MeanConfig | RandomMixingConfig
AttentionConfig = ExternalAttentionConfig | SelfAttentionConfig | FusedSelfAttentionConfig | ControlConfig
ATTENTION_CONFIGS: tuple[type[AttentionConfig], ...] = get_args(AttentionConfig)


class ModelConfig(Settings):
    """One image classifier: patches, `blocks` pre-norm encoder blocks, global average pool, softmax.

    Raises `pydantic.ValidationError` where a value is out of range, `patch_size` does not divide `image_size`, or
    the heads of external attention do not divide `embedding_dim`.
    """

    image_size: Count = 32
    channels: Count = 3
    classes: Annotated[int, Field(ge=2)] = 100
    patch_size: Count = 2
    blocks: Count = 8
    embedding_dim: Count = 64
    mlp_dim: Count = 64
    mlp_dropout: Rate = 0.2
    attention: Annotated[AttentionConfig, Field(discriminator="kind")]

    @property
    def patches(self) -> int:
        """Tokens per image."""
        return (self.image_size // self.patch_size) ** 2

    @model_validator(mode="after")
    def _sizes_fit(self) -> "ModelConfig":
        if self.image_size % self.patch_size:
            allowed = [size for size in range(1, self.image_size + 1) if self.image_size % size == 0]
            raise ValueError(
                f"patch_size {self.patch_size} does not divide image_size {self.image_size}; allowed: "
                + ", ".join(map(str, allowed))
            )
        if isinstance(self.attention, ExternalAttentionConfig) and self.embedding_dim % self.attention.heads:
            allowed = [heads for heads in range(1, self.embedding_dim + 1) if self.embedding_dim % heads == 0]
            raise ValueError(
                f"heads {self.attention.heads} does not divide embedding_dim {self.embedding_dim}; allowed: "
                + ", ".join(map(str, allowed))
            )
        return self


EANET = ModelConfig(attention=ExternalAttentionConfig())
VIT = ModelConfig(attention=SelfAttentionConfig())
VIT_FUSED = ModelConfig(attention=FusedSelfAttentionConfig())
EANET_FACTORED = ModelConfig(attention=ExternalAttentionConfig(implementation="factored"))
CONTROLS = {
    "identity": ModelConfig(attention=IdentityConfig()),
    "mean": ModelConfig(attention=MeanConfig()),
    "random-mixing": ModelConfig(attention=RandomMixingConfig()),
}
PRESETS = {"eanet": EANET, "vit": VIT, "vit-fused": VIT_FUSED, "eanet-factored": EANET_FACTORED} | CONTROLS
"""Name of a variant -> its model at the tutorial's settings."""
