"""Linformer: softmax attention to a fixed number of learned mixtures of the patches."""

from collections.abc import Iterator
from typing import Literal

from models.attentions.attention import Attention, Grows
from models.attentions.heads import into_heads, out_of_heads
from models.cost import Part
from models.settings import Count, Rate


class Linformer(Attention):
    """Multi-head attention to `projected` mixtures of the patches' keys and values, the same ones for all heads.

    `key_dim` is the width of ONE head. The mixtures are parameters, of a fixed number of patches.
    Source: Wang et al. 2020, arXiv:2006.04768, equation 7.
    """

    kind: Literal["linformer"] = "linformer"
    heads: Count = 4
    key_dim: Count = 16
    projected: Count = 32
    attention_dropout: Rate = 0.2

    grows = Grows(time="linear", memory="linear")
    role = "rival"

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        sizes = (self.heads, self.key_dim, dim, patches)
        values, weights = patches * self.heads * self.key_dim, patches * self.heads * self.projected
        short = self.projected * self.heads * self.key_dim
        products = values * self.projected
        dropped = weights + weights // 4 if self.attention_dropout else 0  # the weights after dropout, and the mask
        yield into_heads(*sizes)
        yield Part(
            "projections",
            parameters=2 * patches * self.projected,
            multiply_adds=2 * products,
            kept=2 * values + 2 * short,
            working=2 * values + 2 * short,
        )
        yield Part("scores", multiply_adds=products, kept=values + weights + dropped, working=values + 2 * weights)
        yield Part("weighted_values", multiply_adds=products, kept=values, working=weights + 2 * values)
        yield out_of_heads(*sizes)
