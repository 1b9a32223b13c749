"""Cross-covariance attention: the features of a head attend to one another, over all patches."""

from collections.abc import Iterator
from typing import Literal

from models.attentions.attention import Attention, Grows
from models.attentions.heads import into_heads, out_of_heads
from models.cost import Part
from models.settings import Count, Rate


class CrossCovariance(Attention):
    """Cross-covariance attention (XCA): a softmax over `key_dim` x `key_dim` scores in each head.

    `key_dim` is the width of ONE head. XCiT's local patch interaction is no part of it.
    Source: El-Nouby et al. 2021, arXiv:2106.09681, equation 1.
    """

    kind: Literal["cross_covariance"] = "cross_covariance"
    heads: Count = 4
    key_dim: Count = 16
    attention_dropout: Rate = 0.2

    grows = Grows(time="linear", memory="linear")
    role = "rival"

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        sizes = (self.heads, self.key_dim, dim, patches)
        values = patches * self.heads * self.key_dim
        weights = self.heads * self.key_dim**2
        yield into_heads(*sizes)
        yield Part(
            "scores",
            parameters=self.heads,
            multiply_adds=values * self.key_dim,
            kept=2 * values + 2 * weights,
            working=4 * values,
        )
        yield Part("weighted_values", multiply_adds=values * self.key_dim, kept=values + weights, working=2 * values)
        yield out_of_heads(*sizes)
