"""Defines every variant and the settings of one model, validated and frozen. No Keras."""

from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from models.attentions.attention import Attention
from models.attentions.cross_covariance import CrossCovariance
from models.attentions.external import ExternalAttention
from models.attentions.fourier import Fourier
from models.attentions.fused_self import FusedSelfAttention
from models.attentions.identity import Identity
from models.attentions.linear import LinearAttention
from models.attentions.linformer import Linformer
from models.attentions.mean import Mean
from models.attentions.nystroem import Nystroem
from models.attentions.own import OwnAttention
from models.attentions.performer import Performer
from models.attentions.pooling import Pooling
from models.attentions.random_mixing import RandomMixing
from models.attentions.self import SelfAttention
from models.cost import Cost, Part, dense
from models.settings import Chosen as Chosen
from models.settings import Count as Count
from models.settings import Name as Name
from models.settings import Rate as Rate
from models.settings import Settings as Settings
from models.settings import Value as Value
from models.settings import require_divisor

Marker = str | tuple[int, int, int]
"""A marker that can be filled: by matplotlib's name, or a star of so many points, as `(points, 1, angle)`."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One of the compared models: the tutorial's with another `attention`.

    `title` is its name for people; `color` and `marker` are unique, in every figure.
    """

    title: str
    attention: Attention
    color: str
    marker: Marker

    @property
    def fixed(self) -> list[str]:
        """The settings that differ from its attention's defaults: no run changes them."""
        usual = type(self.attention).model_fields
        return [name for name, value in self.attention if value != usual[name].default]

    @property
    def model(self) -> "ModelConfig":
        """The variant at the tutorial's settings."""
        return ModelConfig(attention=self.attention)


VARIANTS = {
    "eanet": Variant(title="EANet", attention=ExternalAttention(), color="#2e86c1", marker="o"),
    "vit": Variant(title="ViT", attention=SelfAttention(), color="#d55e00", marker="s"),
    "vit-fused": Variant(title="ViT (dropout 0)", attention=FusedSelfAttention(), color="#2a9d6f", marker="D"),
    "identity": Variant(title="no mixing", attention=Identity(), color="#b35fa8", marker="^"),
    "mean": Variant(title="mean over patches", attention=Mean(), color="#a8882b", marker="v"),
    "random-mixing": Variant(title="random mixing", attention=RandomMixing(), color="#7a7a7a", marker="P"),
    "eanet-factored": Variant(
        title="EANet (factored)",
        attention=ExternalAttention(implementation="factored"),
        color="#d6457f",
        marker="X",
    ),
    "linear": Variant(title="linear attention", attention=LinearAttention(), color="#3a7d7d", marker="d"),
    "performer": Variant(title="Performer", attention=Performer(), color="#7b68c8", marker="H"),
    "linformer": Variant(title="Linformer", attention=Linformer(), color="#5b8c2a", marker="8"),
    "nystroem": Variant(title="Nystroem", attention=Nystroem(), color="#b0621e", marker="p"),
    "cross-covariance": Variant(title="XCA", attention=CrossCovariance(), color="#c0504d", marker="h"),
    "fourier": Variant(title="FNet", attention=Fourier(), color="#5f7f9f", marker="<"),
    "pooling": Variant(title="PoolFormer", attention=Pooling(), color="#907040", marker=">"),
}
"""Name -> variant. `eanet` and `vit` are the tutorial's; `eanet-factored` is the same function as `eanet`, with the
paper's order of products."""
ATTENTIONS: dict[str, type[Attention]] = {v.attention.kind: type(v.attention) for v in VARIANTS.values()}
"""Kind -> attention class, of those that are here."""
if TYPE_CHECKING:
    AttentionConfig = Attention
else:
    AttentionConfig = reduce(or_, ATTENTIONS.values(), OwnAttention)


class ModelConfig(Settings):
    """One image classifier: patches, `blocks` pre-norm encoder blocks, global average pool, softmax.

    `image_size` is the height of the images, and their width where `image_width` is None.

    Raises `pydantic.ValidationError` where a value is out of range, `patch_size` does not divide `image_size`, or
    the attention cannot be built on `embedding_dim` features.
    """

    image_size: Count = 32
    image_width: Annotated[Count | None, Field(exclude_if=lambda width: width is None)] = None
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
        return (self.image_size // self.patch_size) * (self.width // self.patch_size)

    @property
    def width(self) -> int:
        """Width of the images."""
        return self.image_width or self.image_size

    def cost(self) -> Cost:
        """Returns the cost of the whole model; the parts of the encoder blocks are summed over all blocks."""
        dim, hidden, patches = self.embedding_dim, self.mlp_dim, self.patches
        values = self.patch_size**2 * self.channels
        x, wide = patches * dim, patches * hidden
        dropped = 2 * (x + wide) if self.mlp_dropout else 0
        feed_forward = Part(
            "feed_forward",
            parameters=dense(dim, hidden) + dense(hidden, dim),
            multiply_adds=2 * x * hidden,
            kept=4 * wide + x + dropped,
            working=x + 3 * wide,
        )
        block = (
            *(replace(part, name=f"attention.{part.name}") for part in self.attention.parts(dim, patches)),
            Part("layer_norms", parameters=4 * dim, kept=4 * x, working=3 * x),
            feed_forward,
        )
        pixels, into, out = patches * values, dense(values, dim), dense(dim, self.classes)
        return Cost(
            (
                Part("patch_projection", parameters=into, multiply_adds=pixels * dim, kept=pixels, working=x),
                Part("position", parameters=x, kept=x, working=2 * x),
                *(part.in_blocks(self.blocks) for part in block),
                Part("head", parameters=out, multiply_adds=dim * self.classes, kept=x, working=x),
            )
        )

    @model_validator(mode="after")
    def _sizes_fit(self) -> "ModelConfig":
        for name, side in (("image_size", self.image_size), ("image_width", self.width)):
            require_divisor("patch_size", self.patch_size, name, side)
        self.attention.require_width(self.embedding_dim)
        return self
