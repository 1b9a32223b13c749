"""External attention: two small memories, shared by all images, replace keys and values."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from models.attentions.attention import Attention, Grows
from models.cost import Part, dense
from models.settings import Count, Rate, require_divisor


class ExternalAttention(Attention):
    """External attention as the Keras tutorial builds it.

    The `dim * dim_coefficient` features are split into `heads * dim_coefficient` heads of width `dim / heads`. As
    published, they share one pair of memories of `memory_units` rows (`memory_sharing` "heads"). With "none" each head
    has its own pair; with "layers" all blocks share one pair.

    `memory_value_start` "keys" begins M_v as M_k^T, as the authors' code does, and not on its own.

    `implementation` is the order of the products, for the same function: "factored" as published, "folded" with W_q M_k
    and M_v W_o multiplied first, "auto" the one with fewer multiply-adds per token (`folds`).

    Sources: Guo et al. 2021, arXiv:2105.02358; for O(d S N), https://keras.io/examples/vision/eanet/; the authors'
    code, https://github.com/MenghaoGuo/EANet.
    """

    kind: Literal["external"] = "external"
    heads: Count = 4
    dim_coefficient: Count = 4
    memory_units: Count = 16
    memory_sharing: Annotated[Literal["heads", "none", "layers"], Field(exclude_if=lambda by: by == "heads")] = "heads"
    normalization: Literal["patches", "units", "double"] = "double"
    attention_dropout: Rate = 0.2
    projection_dropout: Rate = 0.2
    memory_value_start: Annotated[Literal["own", "keys"], Field(exclude_if=lambda start: start == "own")] = "own"
    implementation: Annotated[Literal["auto", "factored", "folded"], Field(exclude_if=lambda name: name == "auto")] = (
        "auto"
    )

    grows = Grows(time="linear", memory="linear")
    role = "rival"

    def require_width(self, dim: int) -> None:
        require_divisor("heads", self.heads, "embedding_dim", dim)

    def folds(self, dim: int) -> bool:
        """Returns whether W_q M_k and M_v W_o are multiplied first: as `implementation` says, or where that is cheaper.

        With d = `dim`, d_h = d / `heads` and S = `memory_units`, each head has 2 d_h (d + S) multiply-adds per token as
        published, and 2 d S folded.
        """
        if self.implementation != "auto":
            return self.implementation == "folded"
        return dim * self.memory_units < dim // self.heads * (dim + self.memory_units)

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        """Everything except the parameters is linear in `patches`."""
        units, heads, width = self.memory_units, self.heads * self.dim_coefficient, dim // self.heads
        wide = heads * width
        x, queries, weights = patches * dim, patches * wide, patches * heads * units
        dropped = weights // 4 if self.attention_dropout else 0  # the mask, one byte per value
        pairs, one = heads if self.memory_sharing == "none" else 1, self.memory_sharing == "layers"
        key = Part("memory_key", parameters=pairs * dense(width, units), one_for_all=one)
        normalization = Part("normalization", kept=2 * weights + dropped, working=2 * weights)
        value = Part("memory_value", parameters=pairs * dense(units, width), one_for_all=one)
        query = Part("query", parameters=dense(dim, wide))
        output = Part("output_projection", parameters=dense(wide, dim))
        if self.folds(dim):
            of_keys, of_values, products = (dim + 1) * wide * units, (units + 1) * wide * dim, weights * dim
            yield query
            yield replace(key, multiply_adds=products, weight_multiply_adds=of_keys, kept=x, working=x + weights)
            yield normalization
            yield replace(value, multiply_adds=products, weight_multiply_adds=of_values, kept=x, working=x + weights)
            yield output
        else:
            yield replace(query, multiply_adds=queries * dim, kept=x + queries, working=x + queries)
            yield replace(key, multiply_adds=queries * units, kept=queries + weights, working=queries + weights)
            yield normalization
            yield replace(value, multiply_adds=weights * width, kept=queries, working=weights + queries)
            yield replace(output, multiply_adds=queries * dim, kept=queries + x, working=queries + x)
