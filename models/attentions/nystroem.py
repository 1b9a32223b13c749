"""Nystroem attention: softmax attention by way of a few landmarks."""

from collections.abc import Iterator
from typing import Literal

from models.attentions.attention import Attention, Grows
from models.attentions.heads import into_heads, out_of_heads
from models.cost import Part
from models.settings import Count

ITERATIONS = 6
"""Of the approximate inverse, as in the paper."""


class Nystroem(Attention):
    """Multi-head attention by the Nystroem method with `landmarks`, at most one a patch; `key_dim` is that of ONE head.

    Source: Xiong et al. 2021, arXiv:2102.03902, equations 13 and 14, without the convolution.
    """

    kind: Literal["nystroem"] = "nystroem"
    heads: Count = 4
    key_dim: Count = 16
    landmarks: Count = 16

    grows = Grows(time="linear", memory="linear")
    role = "rival"

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        sizes = (self.heads, self.key_dim, dim, patches)
        marks = min(self.landmarks, patches)
        values, short = patches * self.heads * self.key_dim, marks * self.heads * self.key_dim
        weights, square = patches * self.heads * marks, self.heads * marks**2
        products = values * marks
        yield into_heads(*sizes)
        yield Part("landmarks", multiply_adds=2 * products, kept=2 * values + 2 * short, working=2 * values + 2 * short)
        yield Part(
            "scores", multiply_adds=2 * products + short * marks, kept=2 * weights, working=2 * values + 4 * weights
        )
        yield Part("inverse", multiply_adds=4 * ITERATIONS * square * marks, kept=5 * ITERATIONS * square)
        yield Part(
            "weighted_values",
            multiply_adds=2 * products + short * marks,
            kept=values + 2 * short,
            working=2 * values + 2 * weights,
        )
        yield out_of_heads(*sizes)
